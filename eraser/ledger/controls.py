"""Controls in the ledger: the newest of each kind at a station."""

from collections.abc import Mapping

from sqlalchemy import Connection

from eraser.domain.control import ControlTest
from eraser.domain.log_entry import EntryKind
from eraser.ledger import signed_records


def newest(station_id: str, connection: Connection) -> Mapping[ControlTest, bytes]:
    """The documents of the controls that went on record last, where there are any."""
    found = {test: signed_records.newest(station_id, EntryKind.CONTROL, test.value, connection) for test in ControlTest}
    return {test: document for test, document in found.items() if document is not None}
