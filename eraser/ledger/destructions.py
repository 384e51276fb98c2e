"""Destructions in the ledger: the drive's record, the signed document and the log's entry in one transaction."""

from sqlalchemy import Connection

from eraser.domain.custody import CustodyRecord
from eraser.ledger import signed_records
from eraser.ledger.custody import record_now
from eraser.ledger.signed_records import SignedRecord


def enter(record: CustodyRecord, signed: SignedRecord, connection: Connection) -> None:
    """Within a transaction that writes. Raises Refused, with the rule's code, for what may not be recorded now."""
    record_now(record, connection)
    signed_records.put(signed, connection)
