"""The vault: what is put in is sealed, what is taken out is logged first, what is destroyed is not to be had again.

Blocks; safe from several threads and processes. No plaintext, no key and no receipt's code leaves it but as what a method
returns: not in errors, not in the log, not in the ledger.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from eraser.domain.commitment import (
    BEARER,
    KEY_BYTES,
    Commitment,
    CustomerDetails,
    DriveCustomer,
    commit,
    receipt_code,
    receipt_key,
)
from eraser.domain.drive import Identity
from eraser.domain.lot import instant
from eraser.domain.pattern import RandomBytes
from eraser.errors import EraserError, Refused, UsageError
from eraser.ledger import vault as rows
from eraser.ledger.custody import hold_gate
from eraser.ledger.engine import explained, writing
from eraser.ledger.errors import AlreadyThere
from eraser.ledger.vault import Action, Arrived, SealedReceipt, SealedRecord, VaultEntry
from eraser.privacy.errors import VaultAlteredError, VaultDestroyedError, VaultError, VaultKeyError
from eraser.privacy.key_store import KeyStore
from eraser.privacy.sealing import Context, context, seal, unseal

T = TypeVar("T")

PADDED_BYTES = 512
"""Details are filled up to a multiple of this, so that their length does not tell one customer from another."""
_TOKEN_CHARACTERS = 3
_VERSION_BYTES = 4
_IDEOGRAPH = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose drives: those of the lot, or one of them by its serial number (or world-wide name) or asset tag."""

    lot_id: str
    serial: str = ""
    asset_tag: str = ""

    def __post_init__(self) -> None:
        if self.serial and self.asset_tag:
            raise UsageError("a customer's drive is named by its serial number or by its asset tag, not by both")


@dataclass(frozen=True, slots=True)
class Stored:
    """That there is a record, without what it says."""

    record_id: str
    scope: Scope
    version: int
    at: str
    operator: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A lot's customers: how many records, until when, and whether that time is over."""

    lot_id: str
    records: int
    until: str
    is_over: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the customer takes along: everything that shows that a certificate is theirs."""

    drive: str
    lot_id: str
    details: CustomerDetails
    code: str


class Vault:
    """Of one station."""

    def __init__(
        self,
        engine: Engine,
        keys: KeyStore,
        *,
        now_utc: Callable[[], str],
        new_id: Callable[[], str],
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        self.engine = engine
        self.keys = keys
        self.now_utc = now_utc
        self.new_id = new_id
        self.random_bytes = random_bytes

    # ---- putting in

    def add(self, scope: Scope, details: CustomerDetails, operator: str, keep_until: str) -> str:
        """A new customer's record; its id. Durable when it returns. `keep_until` (RFC 3339 in UTC) counts where nothing has
        been said of the lot yet.

        Raises UsageError for a lot that the ledger does not know, Refused for one whose retention has ended and where these
        drives have a customer already.
        """
        instant(keep_until)
        record_id = self.new_id()
        with self.keys.exclusively():
            self.read_rows(lambda connection: self._expect_room(connection, scope))
            # The key is on disk before anything is sealed with it.
            self.keys.put_lot(scope.lot_id)
            key = self.keys.put_record(scope.lot_id, record_id)
            record = self._sealed(record_id, 1, scope, details, operator, key)

            def work(connection: Connection) -> None:
                hold_gate(connection, rows.GATE)
                self._expect_room(connection, scope)  # another station may have come before
                rows.put_record(connection, record)
                self._note(connection, operator, Action.ADDED, scope.lot_id, record_id)
                if scope.lot_id not in rows.retention_ends(connection):
                    body = {"until": keep_until}
                    self._note(connection, operator, Action.RETENTION, scope.lot_id, body=body)

            try:
                self.write_rows(work)
            except (Refused, UsageError):
                self.keys.destroy_record(scope.lot_id, record_id)
                raise
        return record_id

    def change(self, record_id: str, details: CustomerDetails, operator: str, reason: str) -> int:
        """Puts right what is known of a customer; the version's number. What certificates are committed to stays what it was: a
        receipt of before goes with the details of before.
        """
        _expect_reason(reason, details)

        def work(connection: Connection) -> int:
            hold_gate(connection, rows.GATE)
            newest = self._newest(connection, record_id)
            key = self._key(newest)
            _expect_reason(reason, self._details(newest, key))
            version = newest.version + 1
            rows.put_record(connection, self._sealed(record_id, version, _scope(newest), details, operator, key))
            self._note(connection, operator, Action.CHANGED, newest.lot_id, record_id, reason, {"version": version})
            return version

        return self.write_rows(work)

    def keep_until(self, lot_id: str, until: str, operator: str, reason: str) -> None:
        """Sets the end of a lot's retention. Raises UsageError for a lot without records, Refused for one that has ended."""
        _expect_reason(reason)
        instant(until)

        def work(connection: Connection) -> None:
            hold_gate(connection, rows.GATE)
            if lot_id not in rows.retention_ends(connection):
                raise UsageError("the vault has nothing of this lot", subject=lot_id)
            self._expect_not_ended(connection, lot_id)
            self._note(connection, operator, Action.RETENTION, lot_id, reason=reason, body={"until": until})

        self.write_rows(work)

    def customer_or_bearer(self, identity: Identity, operator: str, keep_until: str) -> DriveCustomer | None:
        """Whose drive this is; where nobody is on record, whoever will hold the receipt is from now on. None for a drive that
        came with no lot, or that nothing tells from others: its certificate is committed to nobody.
        """
        for _ in range(2):
            record, arrived = self.read_rows(lambda connection: self._of_drive(connection, identity))
            if arrived is None:
                return None
            own = arrived.name.serial or arrived.name.world_wide_name
            if record is not None:
                return DriveCustomer(record.record_id, self.read_rows(partial(_receipt_name, record, arrived)))
            tag = "" if own else next(iter(sorted(arrived.tags)), "")
            if not own and not tag:
                return None  # without a name it would be the customer of all drives of the lot
            scope = Scope(arrived.lot_id, own, tag)
            with suppress(Refused):  # somebody was put in meanwhile, or the lot has come to its end
                self.add(scope, BEARER, operator, keep_until)
        return None

    # ---- taking out

    def stored(self, lot_id: str | None = None) -> list[Stored]:
        """Which records there are, without a look into them; of one lot or of all."""
        return [_stored(item) for item in self.read_rows(partial(self._living, lot_id=lot_id, with_content=False))]

    def one(self, record_id: str) -> Stored:
        """That there is this record, without a look into it. Raises UsageError and VaultDestroyedError."""
        return _stored(self.read_rows(lambda connection: self._newest(connection, record_id)))

    def kept(self) -> list[Kept]:
        """What expires next, first; lots whose customers are gone are left out."""
        ends, now = self.read_rows(rows.retention_ends), instant(self.now_utc())
        counts = Counter(item.lot_id for item in self.read_rows(partial(self._living, with_content=False)))
        found = [Kept(lot, counts[lot], until, instant(until) <= now) for lot, until in ends.items() if counts[lot]]
        return sorted(found, key=lambda item: (instant(item.until), item.lot_id))

    def read(self, record_id: str, operator: str, reason: str) -> CustomerDetails:
        """What is known of the customer; on the vault's log before it is given.

        Raises UsageError without a reason, or for one that names the customer, and for an id that is none; VaultDestroyedError,
        VaultKeyError, VaultAlteredError.
        """
        record, details = self._opened(record_id, reason)
        self._log(operator, Action.READ, record.lot_id, record_id, reason)
        return details

    def find(self, text: str, operator: str, reason: str) -> list[Stored]:
        """The records of this station in which the text stands, whatever its case; of a receipt's code those that it belongs
        to. What they say is told by `read` alone; that there was a search, and which records it found, is logged, never what
        was looked for.
        """
        sought = " ".join(text.split()).casefold()
        if not sought:
            raise UsageError("there is nothing to look for")
        _expect_reason(reason, CustomerDetails(text))
        code = None
        with suppress(UsageError):
            code = receipt_key(text)
        found = []
        for item in self.read_rows(self._living):
            if item.key_store != self.keys.store_id:
                continue
            key = self._key(item)
            receipts = self.read_rows(partial(rows.receipts, record_id=item.record_id)) if code is not None else ()
            details = self._details(item, key)
            is_said = any(sought in value.casefold() for value in details.values())
            if is_said or any(_unsealed_receipt(receipt, key)[0] == code for receipt in receipts):
                _expect_reason(reason, details)
                found.append(_stored(item))
        self._log(operator, Action.SEARCHED, reason=reason, body={"found": [item.record_id for item in found]})
        return found

    def export(self, record_ids: Iterable[str], operator: str, reason: str) -> dict[str, Any]:
        """Everything that the plant has of a customer, for the customer: what these records say and said, receipts with their
        codes, until when it is kept, and who looked at it. JSON. Each record's export is logged before anything is given.
        """
        exported = [self._exported(record_id, reason) for record_id in dict.fromkeys(record_ids)]
        for record, _ in exported:
            self._log(operator, Action.EXPORTED, record.lot_id, record.record_id, reason)
        return {
            "format": "eraser customer export v1",
            "exported_at": self.now_utc(),
            "records": [x for _, x in exported],
        }

    def check(self, operator: str) -> tuple[int, list[EraserError]]:
        """Opens every record and receipt of this station and looks at none; how many records, and what can't be opened."""
        own = [item for item in self.read_rows(self._living) if item.key_store == self.keys.store_id]
        found: list[EraserError] = []
        for newest in own:
            versions = self.read_rows(partial(rows.versions, record_id=newest.record_id))
            receipts = self.read_rows(partial(rows.receipts, record_id=newest.record_id))
            try:
                key = self._key(newest)
                for version in versions:
                    self._details(version, key)
                for receipt in receipts:
                    _unsealed_receipt(receipt, key)
            except VaultError as error:
                found.append(error)
        self._log(operator, Action.CHECKED, body={"records": len(own), "faults": len(found)})
        return len(own), found

    def log(self, *, lot_id: str = "", record_id: str = "") -> tuple[VaultEntry, ...]:
        """Who did what, when and why; of a lot or of a record where it is given."""
        return self.read_rows(lambda connection: rows.entries(connection, lot_id=lot_id, record_id=record_id))

    def newest_entries(self, actions: Iterable[Action], most: int, record_id: str = "") -> tuple[VaultEntry, ...]:
        """Of these actions, of a record where it is given; the newest first."""
        wanted = list(actions)
        return self.read_rows(
            lambda connection: rows.entries(connection, record_id=record_id, actions=wanted, newest=most)
        )

    # ---- receipts and commitments

    def receipt(self, record_id: str, drive: str, operator: str, reason: str) -> Receipt:
        """The receipt of one drive, its key made if there is none yet. `drive` is its serial number, else its world-wide name;
        empty where the record is of one drive. Logged before it is given.
        """
        record, _ = self._opened(record_id, reason)
        drive = record.serial or record.asset_tag or drive
        if not drive:
            raise UsageError(
                "the record is of all drives of its lot",
                subject=record_id,
                remedy="Say which drive the receipt is for.",
            )
        key, details = self._receipt(record, drive, operator)
        _expect_reason(reason, details)  # which may be those of before a correction
        self._log(operator, Action.RECEIPT, record.lot_id, record_id, reason, {"drive": drive})
        return Receipt(drive, record.lot_id, details, receipt_code(key))

    def commitment_for(self, identity: Identity, job_id: str, operator: str) -> Commitment | None:
        """For the certificate of a job on this drive, and fitting its receipt; None where no customer of it is known here. The
        same however often it is asked for. Raises VaultKeyError, VaultAlteredError, JournalError: then the certificate waits.
        """
        record, arrived = self.read_rows(lambda connection: self._of_drive(connection, identity))
        if record is None or arrived is None:
            return None
        drive = self.read_rows(partial(_receipt_name, record, arrived))
        key, details = self._receipt(record, drive, operator)
        self._log(operator, Action.COMMITTED, record.lot_id, record.record_id, f"certificate of job {job_id}")
        return commit(key, job_id, details)

    # ---- for the parts of the vault beside this one

    def read_rows(self, work: Callable[[Connection], T]) -> T:
        """What `work` finds, in one snapshot. Raises JournalError."""
        try:
            with self.engine.connect() as connection, connection.begin():
                return work(connection)
        except SQLAlchemyError as error:
            raise explained(error, self.engine) from error

    def write_rows(self, work: Callable[[Connection], T]) -> T:
        """Durable when it returns. Raises JournalError."""
        try:
            with writing(self.engine) as connection, connection.begin():
                return work(connection)
        except SQLAlchemyError as error:
            raise explained(error, self.engine) from error

    def expect_unnamed(self, record_id: str, reason: str) -> SealedRecord:
        """The record, if the reason does not name its customer, as far as it can still be read. Raises UsageError and
        VaultDestroyedError as `read` does.
        """
        _expect_reason(reason)
        record = self.read_rows(lambda connection: self._newest(connection, record_id))
        with suppress(
            VaultKeyError, VaultAlteredError
        ):  # what nobody can read any more can still be brought to its end
            _expect_reason(reason, self._details(record, self._key(record)))
        return record

    # ---- inside

    def _opened(self, record_id: str, reason: str) -> tuple[SealedRecord, CustomerDetails]:
        _expect_reason(reason)
        record = self.read_rows(lambda connection: self._newest(connection, record_id))
        details = self._details(record, self._key(record))
        _expect_reason(reason, details)
        return record, details

    def _exported(self, record_id: str, reason: str) -> tuple[SealedRecord, dict[str, Any]]:
        record, _ = self._opened(record_id, reason)
        key = self._key(record)
        versions = self.read_rows(lambda connection: rows.versions(connection, record_id))
        receipts = self.read_rows(lambda connection: rows.receipts(connection, record_id))
        until = self.read_rows(rows.retention_ends).get(record.lot_id, "")
        return record, {
            "record_id": record_id,
            "lot": record.lot_id,
            "serial": record.serial,
            "asset_tag": record.asset_tag,
            "kept_until": until,
            "versions": [
                {"at": item.at, "operator": item.operator, "details": asdict(self._details(item, key))}
                for item in versions
            ],
            "receipts": [
                {"drive": item.drive, "at": item.at, "code": receipt_code(_unsealed_receipt(item, key)[0])}
                for item in receipts
            ],
            "log": [
                {"at": item.at, "operator": item.operator, "action": item.action.value, "reason": item.reason}
                for item in self.log(record_id=record_id)
            ],
        }

    def _newest(self, connection: Connection, record_id: str) -> SealedRecord:
        found = rows.versions(connection, record_id)
        if not found:
            raise UsageError(
                "the vault has no such record", subject=record_id[:64], remedy="`eraser vault list` names them."
            )
        if (end := rows.end_of(connection, found[-1].lot_id, record_id)) is not None:
            what = "it was erased" if end.action is Action.ERASING else "its retention ended"
            raise VaultDestroyedError(f"{what} at {end.at}; its keys were destroyed", subject=f"record {record_id}")
        if self.keys.is_destroyed(found[-1].lot_id, record_id):  # the ledger was restored from before that
            raise VaultDestroyedError("its keys were destroyed", subject=f"record {record_id}")
        return found[-1]

    def _living(
        self, connection: Connection, lot_id: str | None = None, *, with_content: bool = True
    ) -> list[SealedRecord]:
        """The newest version of each record that has not come to its end."""
        found = rows.newest_records(connection, lot_id, with_content=with_content)
        return [item for item in found if not self.keys.is_destroyed(item.lot_id, item.record_id)]

    def _expect_room(self, connection: Connection, scope: Scope) -> None:
        if not rows.is_lot(connection, scope.lot_id):
            raise UsageError("there is no such lot", subject=scope.lot_id, remedy="`eraser lot add` makes it.")
        self._expect_not_ended(connection, scope.lot_id)
        if any(_scope(item) == scope for item in self._living(connection, scope.lot_id)):
            raise Refused(
                "customer-known",
                "these drives have a customer already",
                subject=scope.serial or scope.asset_tag or f"lot {scope.lot_id}",
                remedy="`eraser vault change` puts right what is known; `eraser vault erase` removes it.",
            )

    def _expect_not_ended(self, connection: Connection, lot_id: str) -> None:
        lots_gone, _ = rows.ended(connection)
        if lot_id in lots_gone or self.keys.is_destroyed(lot_id):
            raise Refused(
                "retention-ended", "its retention has ended, and its keys were destroyed", subject=f"lot {lot_id}"
            )

    def _sealed(
        self, record_id: str, version: int, scope: Scope, details: CustomerDetails, operator: str, key: bytes
    ) -> SealedRecord:
        at = self.now_utc()
        record = SealedRecord(
            record_id, version, scope.lot_id, scope.serial, scope.asset_tag, self.keys.store_id, at, operator, b""
        )
        plain = json.dumps(asdict(details), ensure_ascii=False).encode()
        plain += b" " * (-len(plain) % PADDED_BYTES)
        sealed = seal(key, plain, _record_context(record), self.random_bytes)
        return SealedRecord(**{**_columns(record), "sealed": sealed})

    def _key(self, record: SealedRecord) -> bytes:
        return self.keys.record_key(record.lot_id, record.record_id)

    def _details(self, record: SealedRecord, key: bytes) -> CustomerDetails:
        subject = f"record {record.record_id}"
        plain = unseal(key, record.sealed, _record_context(record), subject)
        try:
            form = json.loads(plain)
            return CustomerDetails(**{item.name: form[item.name] for item in fields(CustomerDetails)})
        except (ValueError, KeyError, TypeError, UsageError):
            # Not `from`: the reason would quote what it could not read.
            raise VaultAlteredError("what it holds are no customer's details", subject=subject) from None

    def _receipt(self, record: SealedRecord, drive: str, operator: str) -> tuple[bytes, CustomerDetails]:
        """The receipt's key and the details that go with it: those that were known when it was first made."""
        key = self._key(record)

        def found(connection: Connection) -> SealedReceipt | None:
            return rows.receipt_of(connection, record.record_id, drive)

        if (receipt := self.read_rows(found)) is None:
            plain = self.random_bytes(KEY_BYTES) + record.version.to_bytes(_VERSION_BYTES, "big")
            sealed = seal(key, plain, _receipt_context(record.record_id, drive), self.random_bytes)
            fresh = SealedReceipt(record.record_id, drive, self.now_utc(), operator, sealed)
            try:
                self.write_rows(lambda connection: rows.put_receipt(connection, fresh))
                receipt = fresh
            except AlreadyThere:  # somebody prints it while its certificate is issued: the first one counts
                receipt = self.read_rows(found)
                if receipt is None:
                    raise
        receipt_key, version = _unsealed_receipt(receipt, key)
        versions = self.read_rows(lambda connection: rows.versions(connection, record.record_id))
        meant = next((item for item in versions if item.version == version), None)
        if meant is None:
            raise VaultAlteredError(f"its version {version} is gone", subject=f"record {record.record_id}")
        return receipt_key, self._details(meant, key)

    def _of_drive(self, connection: Connection, identity: Identity) -> tuple[SealedRecord | None, Arrived | None]:
        arrived = rows.arrival(connection, identity)
        if arrived is None:
            return None, None
        own = [
            item
            for item in self._living(connection, arrived.lot_id)
            # Another station's keys are not here, and its customers not this station's to name.
            if item.key_store == self.keys.store_id
        ]
        names = {arrived.name.serial, arrived.name.world_wide_name} - {""}
        by_serial = [item for item in own if item.serial in names]
        by_tag = [item for item in own if item.asset_tag in arrived.tags]
        whole = [item for item in own if not item.serial and not item.asset_tag]
        return next(iter([*by_serial, *by_tag, *whole]), None), arrived

    def _log(
        self,
        operator: str,
        action: Action,
        lot_id: str = "",
        record_id: str = "",
        reason: str = "",
        body: dict[str, Any] | None = None,
    ) -> None:
        self.write_rows(lambda connection: self._note(connection, operator, action, lot_id, record_id, reason, body))

    def _note(
        self,
        connection: Connection,
        operator: str,
        action: Action,
        lot_id: str = "",
        record_id: str = "",
        reason: str = "",
        body: dict[str, Any] | None = None,
    ) -> None:
        rows.note(connection, VaultEntry(self.now_utc(), operator, action, lot_id, record_id, reason, body or {}))


def _expect_reason(reason: str, details: CustomerDetails | None = None) -> None:
    """A reason is kept for good, and so must not hold what is to be destroyed one day. Raises UsageError."""
    if not reason.strip():
        raise UsageError("whoever looks at a customer's details says why", remedy="Give --reason.")
    if len(reason) > 500 or not reason.isprintable():
        raise UsageError("a reason has at most 500 characters, which can be printed")
    if details is not None and _names(reason, details):
        raise UsageError(
            "the reason names the customer, and would outlive their details",
            remedy="Say it without: the log has the record's id.",
        )


def _names(reason: str, details: CustomerDetails) -> bool:
    said = " ".join(reason.split()).casefold()
    parts = [*details.values(), *(part for part in details.name.split() if len(part) >= _TOKEN_CHARACTERS)]
    return any(_stands_in(part.casefold(), said) for part in parts if len(part) > 1)


def _stands_in(part: str, said: str) -> bool:
    """As a word of its own, where the script has words."""
    if _IDEOGRAPH.search(part):
        return part in said
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", said) is not None


def _receipt_name(record: SealedRecord, arrived: Arrived, connection: Connection) -> str:
    """By which of the drive's names the record's receipt goes: the one that a customer may hold already, else the usual one."""
    names = [record.serial or record.asset_tag, arrived.name.serial, arrived.name.world_wide_name]
    made = {receipt.drive for receipt in rows.receipts(connection, record.record_id)}
    return next((name for name in names if name in made), next(filter(None, names), ""))


def _scope(record: SealedRecord) -> Scope:
    return Scope(record.lot_id, record.serial, record.asset_tag)


def _stored(record: SealedRecord) -> Stored:
    return Stored(record.record_id, _scope(record), record.version, record.at, record.operator)


def _columns(record: SealedRecord) -> dict[str, Any]:
    return {item.name: getattr(record, item.name) for item in fields(record)}


def _record_context(record: SealedRecord) -> Context:
    """All of the row but what is sealed: none of it can be changed, or moved to another record, unseen."""
    return context(
        "record",
        record.lot_id,
        record.record_id,
        str(record.version),
        record.serial,
        record.asset_tag,
        record.key_store,
        record.at,
        record.operator,
    )


def _receipt_context(record_id: str, drive: str) -> Context:
    return context("receipt", record_id, drive)


def _unsealed_receipt(receipt: SealedReceipt, key: bytes) -> tuple[bytes, int]:
    """The commitment's key, and the version of the record that it goes with."""
    subject = f"receipt of record {receipt.record_id}"
    found = unseal(key, receipt.sealed, _receipt_context(receipt.record_id, receipt.drive), subject)
    if len(found) != KEY_BYTES + _VERSION_BYTES:
        raise VaultAlteredError("its key has another length", subject=subject)
    return found[:KEY_BYTES], int.from_bytes(found[KEY_BYTES:], "big")
