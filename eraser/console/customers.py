"""Customers' details over the API. Who takes a drive in writes them down; the privacy officer alone looks at them.

Each look is in the trail, and in the vault's own log with its reason. No answer of these routes is kept, and of no order even a
digest: names can be guessed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from eraser.certificates.receipt import FORMAT
from eraser.console.identity import Permission, Viewer, require
from eraser.console.orders import keep_no_answer, note
from eraser.console.problems import NotFound
from eraser.domain.commitment import KEPT_DAYS, MAX_DETAIL_CHARACTERS, CustomerDetails, DriveCustomer
from eraser.domain.lot import MAX_NAME_CHARACTERS
from eraser.errors import UsageError
from eraser.ledger.vault import Action, VaultEntry
from eraser.privacy.destruction import Destruction
from eraser.privacy.opening import OpensLate
from eraser.privacy.vault import Kept, Receipt, Scope, Stored, Vault

T = TypeVar("T")

MAX_LISTED = 200
READS = (Action.READ, Action.SEARCHED, Action.EXPORTED, Action.RECEIPT)
"""What takes something out of the vault."""

TO_LOOK = Annotated[Viewer, Depends(require(Permission.VIEW_PERSONAL_DATA))]
TO_ENTER = Annotated[Viewer, Depends(require(Permission.ENTER_PERSONAL_DATA))]
TO_ERASE = Annotated[Viewer, Depends(require(Permission.ERASE_PERSONAL_DATA))]

RecordId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
Detail = Annotated[str, Field(max_length=MAX_DETAIL_CHARACTERS)]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="Kept for good: it must not name the customer")]


class DetailsForm(BaseModel):
    """Who a drive is from."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=MAX_DETAIL_CHARACTERS)]
    contact: Detail = ""
    phone: Detail = ""
    address: Detail = ""
    id_note: Detail = ""
    reference: Detail = ""


class CustomerOrder(BaseModel):
    """A customer of a lot, or of one drive of it by its serial number or its asset tag."""

    model_config = ConfigDict(extra="forbid")
    lot_id: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
    serial: Name = ""
    asset_tag: Name = ""
    details: DetailsForm


class WhyOrder(BaseModel):
    """Why somebody's details are needed."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class SearchOrder(WhyOrder):
    """A text of their details, or their receipt's code."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_DETAIL_CHARACTERS)]


class ReceiptOrder(WhyOrder):
    """Of which drive, where the record is of a whole lot."""

    drive: Name = ""


class RecordForm(BaseModel):
    """That there is a record, without what it says."""

    record_id: str
    lot_id: str
    serial: str
    asset_tag: str
    version: int
    at: str
    operator: str


class ReceiptForm(BaseModel):
    """What the customer takes along; as `eraser receipt verify` reads it."""

    format: str
    code: str
    drive: str
    lot: str
    details: DetailsForm


class EnteredForm(BaseModel):
    """A new record; its receipt, where it is of one drive."""

    record_id: str
    receipt: ReceiptForm | None


class EntryForm(BaseModel):
    """One entry of the vault's log. It names no customer."""

    number: int
    at: str
    operator: str
    action: Action
    lot_id: str
    record_id: str
    reason: str


class KeptForm(BaseModel):
    """A lot's customers, and until when they are kept."""

    lot_id: str
    records: int
    until: str
    is_over: bool


class ErasedForm(BaseModel):
    """What was destroyed. `unreachable`: backups of keys that may still hold the record's."""

    record_id: str
    lot_id: str
    commitment_keys: int
    unreachable: list[str]


class Customers:
    """The station's vault, asked without holding anybody else up."""

    def __init__(self, vault: OpensLate) -> None:
        self._vault = vault

    async def ask(self, work: Callable[[Vault], T]) -> T:
        """What `work` gives. Raises as the vault does."""
        return await asyncio.to_thread(lambda: work(self._vault()))

    async def enter(self, scope: Scope, details: CustomerDetails, operator: str) -> tuple[str, Receipt | None]:
        """The new record, and its receipt where it is of one drive."""

        def work(vault: Vault) -> tuple[str, Receipt | None]:
            record_id = vault.add(scope, details, operator, keep_until(vault.now_utc()))
            is_of_one = bool(scope.serial or scope.asset_tag)
            return record_id, vault.receipt(record_id, "", operator, "hand-in") if is_of_one else None

        return await self.ask(work)

    async def records(self, lot_id: str, drive: str) -> list[Stored]:
        """The records of a lot and a drive, the newest first; of all where nothing is said."""
        found = await self.ask(lambda vault: vault.stored(lot_id or None))
        wanted = [item for item in found if not drive or drive in (item.scope.serial, item.scope.asset_tag)]
        return wanted[::-1]

    async def reads(self, record_id: str = "", most: int = MAX_LISTED) -> tuple[VaultEntry, ...]:
        """Who took what out, the newest first."""
        return await self.ask(lambda vault: vault.newest_entries(READS, most, record_id))

    async def of_drive(self, identity: Any, operator: str) -> DriveCustomer | None:
        """As `Vault.customer_or_bearer`."""
        return await self.ask(
            lambda vault: vault.customer_or_bearer(identity, operator, keep_until(vault.now_utc())),
        )

    async def code_of(self, customer: DriveCustomer) -> str:
        """The code of a drive's receipt, for the customer who stands before it."""
        why = "confirmed by the customer"
        receipt = await self.ask(lambda vault: vault.receipt(customer.record_id, customer.drive, "customer", why))
        return receipt.code

    async def erase(self, record_id: str, operator: str, reason: str) -> ErasedForm:
        """Destroys a record's keys."""

        def work(vault: Vault) -> ErasedForm:
            destruction = Destruction(vault)
            done = destruction.erase(record_id, operator, reason)
            left = [name for name in destruction.pending() if name in done.backups]
            return ErasedForm(
                record_id=record_id,
                lot_id=done.lot_id,
                commitment_keys=done.commitment_keys,
                unreachable=left,
            )

        return await self.ask(work)


def keep_until(now: str) -> str:
    """Until when a new lot's customers are kept."""
    end = datetime.fromisoformat(now) + timedelta(days=KEPT_DAYS)
    return end.isoformat(timespec="seconds").replace("+00:00", "Z")


def add_customers(router: APIRouter, customers: Customers) -> None:
    """Below `/customers`."""
    _add_lists(router, customers)
    _add_entering(router, customers)
    _add_taking_out(router, customers)


def _add_lists(router: APIRouter, customers: Customers) -> None:
    @router.get("/customers")
    async def list_customers(
        viewer: TO_LOOK,
        lot: Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)] = "",
        drive: Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)] = "",
    ) -> list[RecordForm]:
        """Which records there are, the newest first; nothing of what they say."""
        return [record_form(item) for item in (await customers.records(lot, drive))[:MAX_LISTED]]

    @router.get("/customers/reads")
    async def list_reads(viewer: TO_LOOK, record: Annotated[str, Query(max_length=64)] = "") -> list[EntryForm]:
        """Who took what out of the vault, the newest first."""
        return [_entry_form(item) for item in await customers.reads(record)]

    @router.get("/customers/retention")
    async def list_retention(viewer: TO_LOOK) -> list[KeptForm]:
        """What expires next, first."""
        return [_kept_form(item) for item in (await customers.ask(lambda vault: vault.kept()))[:MAX_LISTED]]


def _add_entering(router: APIRouter, customers: Customers) -> None:
    @router.post("/customers", status_code=HTTPStatus.CREATED)
    async def enter(request: Request, order: CustomerOrder, viewer: TO_ENTER) -> EnteredForm:
        """Puts a customer in. The receipt is for them: it is shown to whoever takes the drive in this once."""
        note(request, "customer: entered", f"lot {order.lot_id}")
        keep_no_answer(request)
        scope = Scope(order.lot_id, order.serial, order.asset_tag)
        record_id, receipt = await customers.enter(scope, CustomerDetails(**dict(order.details)), viewer.name)
        note(request, "customer: entered", f"record {record_id}")
        return EnteredForm(record_id=record_id, receipt=receipt_form(receipt) if receipt is not None else None)


def _add_taking_out(router: APIRouter, customers: Customers) -> None:
    @router.post("/customers/search")
    async def search(request: Request, order: SearchOrder, viewer: TO_LOOK) -> list[RecordForm]:
        """The records in which a text stands, or to which a receipt's code belongs. What was looked for is kept nowhere."""
        begin(request, "searched")
        found = await customers.ask(lambda vault: vault.find(order.text, viewer.name, order.reason))
        return [record_form(item) for item in found[:MAX_LISTED]]

    @router.post("/customers/{record_id}/read")
    async def read(request: Request, record_id: RecordId, order: WhyOrder, viewer: TO_LOOK) -> DetailsForm:
        """What is known of them."""
        begin(request, "read", record_id)
        await expect_known(customers, record_id)
        details = await customers.ask(lambda vault: vault.read(record_id, viewer.name, order.reason))
        return DetailsForm(**asdict(details))

    @router.post("/customers/{record_id}/receipt")
    async def print_receipt(request: Request, record_id: RecordId, order: ReceiptOrder, viewer: TO_LOOK) -> ReceiptForm:
        """Their receipt once more, or of another drive of their lot."""
        begin(request, "receipt", record_id)
        await expect_known(customers, record_id)
        found = await customers.ask(lambda vault: vault.receipt(record_id, order.drive, viewer.name, order.reason))
        return receipt_form(found)

    @router.post("/customers/{record_id}/export")
    async def export(request: Request, record_id: RecordId, order: WhyOrder, viewer: TO_LOOK) -> dict[str, Any]:
        """Everything that the plant has of them, for them."""
        begin(request, "exported", record_id)
        await expect_known(customers, record_id)
        return await customers.ask(lambda vault: vault.export([record_id], viewer.name, order.reason))

    @router.post("/customers/{record_id}/erase")
    async def erase(request: Request, record_id: RecordId, order: WhyOrder, viewer: TO_ERASE) -> ErasedForm:
        """Destroys the record's keys, as they ask. Nothing undoes it."""
        begin(request, "erased", record_id)
        await expect_known(customers, record_id)
        return await customers.erase(record_id, viewer.name, order.reason)


def begin(request: Request, what: str, record_id: str = "") -> None:
    """Puts into the trail what is done to a record; the reason stands in the vault's log alone, which refuses names."""
    note(request, f"customer: {what}", f"record {record_id}" if record_id else "")
    keep_no_answer(request)


async def expect_known(customers: Customers, record_id: str) -> Stored:
    """Raises NotFound for a record that never was, VaultDestroyedError for one that is gone."""
    try:
        return await customers.ask(lambda vault: vault.one(record_id))
    except UsageError as error:
        raise NotFound(error.what, subject=error.subject, remedy="The list has those that there are.") from error


def record_form(item: Stored) -> RecordForm:
    """As the API shows it."""
    return RecordForm(
        record_id=item.record_id,
        lot_id=item.scope.lot_id,
        serial=item.scope.serial,
        asset_tag=item.scope.asset_tag,
        version=item.version,
        at=item.at,
        operator=item.operator,
    )


def receipt_form(receipt: Receipt) -> ReceiptForm:
    """As the API shows it."""
    details = DetailsForm(**asdict(receipt.details))
    return ReceiptForm(format=FORMAT, code=receipt.code, drive=receipt.drive, lot=receipt.lot_id, details=details)


def _entry_form(item: VaultEntry) -> EntryForm:
    return EntryForm(**{name: getattr(item, name) for name in EntryForm.model_fields})


def _kept_form(item: Kept) -> KeptForm:
    return KeptForm(**asdict(item))
