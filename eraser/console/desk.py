"""The desk of the API: lots, asset tags and the chain of custody. It reads and writes the ledger, not the bays.

Who is written down as the operator is the viewer; only root may speak for somebody else.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from eraser.audits.filed import FiledAudits
from eraser.certificates.destroying import Destroying
from eraser.certificates.filed import FiledCertificates
from eraser.certificates.withdrawing import Withdrawing
from eraser.console.audits import audits_router
from eraser.console.certificates import Id, certificates_router
from eraser.console.controls import control_router
from eraser.console.customers import Customers, add_customers
from eraser.console.forms import DriveForm, LotForm, WithdrawalForm, desk_form
from eraser.console.identity import Viewer, require
from eraser.console.intake import add_intake, lot_named
from eraser.console.paging import Limit, page_answer
from eraser.console.problems import Forbidden, NotFound
from eraser.console.reports import add_reports
from eraser.console.texts import printable
from eraser.domain import custody
from eraser.domain.account import Permission
from eraser.domain.catalogue import standard_named
from eraser.domain.custody import CustodyRecord, DriveName
from eraser.domain.intake import Opening
from eraser.domain.lot import MAX_DRIVES, MAX_NAME_CHARACTERS, Lot, LotPolicy, TagBinding
from eraser.domain.naming import expect_house, expect_nobody, expect_role
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.ledger.attendances import Attendances
from eraser.ledger.custody import Custody, History
from eraser.ledger.intake import Intake
from eraser.ledger.lots import Lots
from eraser.ledger.specifications import Specifications
from eraser.ledger.withdrawals import UnknownCertificate
from eraser.rack.view import ControlPort, StationPort

Text = Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
LotName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=r"^[^/]+$")]
Operator = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]


_VIEW_LOTS = [Depends(require(Permission.VIEW_LOTS))]
_VIEW_CUSTODY = [Depends(require(Permission.VIEW_CUSTODY))]
LotsViewer = Annotated[Viewer, Depends(require(Permission.MANAGE_LOTS))]
TagsViewer = Annotated[Viewer, Depends(require(Permission.BIND_TAGS))]
CustodyViewer = Annotated[Viewer, Depends(require(Permission.RECORD_CUSTODY))]
WithdrawingViewer = Annotated[Viewer, Depends(require(Permission.WITHDRAW_CERTIFICATES))]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the desk needs: the ledger's parts for it, and where and when things are written down. Without `withdraw` no
    certificate is taken back here.
    """

    custody: Custody
    lots: Lots
    intake: Intake
    station_id: str
    now_utc: Callable[[], str]
    end_jobs: Callable[[list[str], str], Awaitable[None]]
    """Ends these open jobs as failed, for the reason given. Raises Refused while one is under way."""
    withdraw: Withdrawing | None = None
    destroy: Destroying | None = None
    """Signs what is recorded as destroyed."""
    filed: FiledCertificates | None = None
    """The certificates that were issued; without them none is found here."""
    check_url: str = ""
    """Where the public reaches this station: what QR codes lead to. Empty: they hold id and digest."""
    specified: Specifications | None = None
    """What other programs ask of drives."""
    controls: ControlPort | None = None
    """The positive control, where the station has one."""
    attendances: Attendances | None = None
    """Customers who are there; without them nobody is shown their drive."""
    audits: FiledAudits | None = None
    """Audits of the certificates; without them none is planned or shown here."""
    customers: Customers | None = None
    """Who drives are from; without them nothing of a customer is taken in or shown."""


class _Order(BaseModel):
    """`operator` is for root, who may act for somebody; everybody else is written down under their own name."""

    model_config = ConfigDict(extra="forbid")
    operator: Operator = ""


class LotPolicyOrder(BaseModel):
    """How a lot's drives are to be treated; `deadline` is RFC 3339 in UTC."""

    model_config = ConfigDict(extra="forbid")
    standard: Name
    level: Level | None = None
    verification: Verification = Verification.FULL
    starts_by_itself: StrictBool = False
    is_customer_waiting: StrictBool = False
    deadline: Annotated[str, Field(max_length=40)] = ""


class LotOrder(_Order):
    """A whole lot: what is not said has its default, also where the lot is there already."""

    policy: LotPolicyOrder
    supplier: Text = ""
    expected_serials: Annotated[tuple[Name, ...], Field(max_length=MAX_DRIVES)] = ()
    expected_drives: int | None = None

    def lot(self, lot_id: str) -> Lot:
        """Raises UsageError where it contradicts itself or names a standard that nobody knows."""
        standard_named(self.policy.standard)
        policy = LotPolicy(**dict(self.policy))
        return Lot(
            lot_id,
            policy,
            expect_house(printable(self.supplier), "supplier"),
            self.expected_serials,
            self.expected_drives,
        )


class NewLotOrder(LotOrder):
    """A lot that is not there yet."""

    lot_id: LotName


class OpenOrder(_Order):
    """The bays that take the lot in; all where none is named."""

    bays: tuple[Name, ...] = ()


class CloseOrder(_Order):
    """Nothing more comes with the lot."""


class TagOrder(_Order):
    """A tag means the drive of this serial number, or whatever drive is put into this bay next."""

    tag: Name
    bay: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""
    serial: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReceivedOrder(_Event):
    """It has arrived, with this lot."""

    kind: Literal["received"]
    lot_id: LotName
    received_from: Text = ""


class QuarantinedOrder(_Event):
    """It is put aside."""

    kind: Literal["quarantined"]
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class SeparatedOrder(_Event):
    """One drive alone bears the name from now on."""

    kind: Literal["separated"]
    how: Annotated[str, Field(min_length=1, max_length=1000)]


class ReleasedOrder(_Event):
    """It may be sold."""

    kind: Literal["released"]
    to: Text = ""


class DestroyedOrder(_Event):
    """How, and who has seen it."""

    kind: Literal["destroyed"]
    how: Annotated[str, Field(min_length=1, max_length=1000)]
    witness: Text = ""


class HandedOverOrder(_Event):
    """It left the plant."""

    kind: Literal["handed-over"]
    to: Annotated[str, Field(min_length=1, max_length=1000)]


ByHand = (
    custody.Received
    | custody.Quarantined
    | custody.Separated
    | custody.Released
    | custody.Destroyed
    | custody.HandedOver
)
"""What people record; the rest is recorded where it happens."""

_NAMING = {
    "witness": expect_role,
    "how": expect_nobody,
    "reason": expect_nobody,
    "received_from": expect_house,
    "to": expect_house,
}
"""Whom the fields of an event may name."""

_EVENTS: dict[str, type[ByHand]] = {event.kind: event for event in ByHand.__args__}


class CustodyOrder(_Order):
    """What happened to a drive, which is named by its serial number, its world-wide name or its asset tag."""

    drive: Name
    event: Annotated[
        ReceivedOrder | QuarantinedOrder | SeparatedOrder | ReleasedOrder | DestroyedOrder | HandedOverOrder,
        Field(discriminator="kind"),
    ]

    def custody_event(self) -> ByHand:
        """As the domain's value. Raises UsageError for what can't be printed, and for what names a person."""
        values = {name: printable(value) for name, value in dict(self.event).items() if name != "kind"}
        for name, expect in _NAMING.items():
            if name in values:
                expect(values[name], name.replace("_", " "))
        return _EVENTS[self.event.kind](**values)


class WithdrawalOrder(_Order):
    """Why the certificate is taken back. `digest`: SHA-256 of its signed bytes, where only that one is meant."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""


def desk_router(desk: Desk, station: StationPort) -> APIRouter:
    """Everything below `/api/v1` that is the desk's."""
    router = APIRouter(prefix="/api/v1")
    _add_lots(router, desk)
    _add_openings(router, desk, station)
    _add_tags(router, desk, station)
    _add_custody(router, desk)
    if desk.withdraw is not None:
        _add_withdrawals(router, desk.withdraw)
    if desk.filed is not None:
        router.include_router(certificates_router(desk.filed, desk.check_url))
        add_reports(router, desk.filed.reports)
        if desk.specified is not None:
            add_intake(router, desk.lots, desk.specified, desk.filed.index, station)
    if desk.audits is not None:
        router.include_router(audits_router(desk.audits))
    if desk.customers is not None:
        add_customers(router, desk.customers)
    if desk.controls is not None:
        router.include_router(control_router(desk.controls))
    return router


def _add_lots(router: APIRouter, desk: Desk) -> None:
    @router.get("/lots", dependencies=_VIEW_LOTS)
    async def list_lots(
        request: Request,
        after: Annotated[str, Query(max_length=MAX_NAME_CHARACTERS)] = "",
        limit: Limit = 100,
        is_open: bool | None = None,
    ) -> Any:
        openings = await desk.intake.openings()
        are_open = {opening.lot_id for opening in openings}
        names = sorted(name for name in await desk.lots.names() if name > after)
        wanted = [name for name in names if is_open is None or (name in are_open) is is_open]
        found = [desk_form(_lot_form(lot, openings)) for lot in await desk.lots.several(wanted[: limit + 1])]
        return page_answer(request, found, limit, lambda form: str(form["lot"]["lot_id"]))

    @router.get("/lots/{lot_id}", dependencies=_VIEW_LOTS)
    async def show_lot(lot_id: str) -> Any:
        lot = await lot_named(desk.lots, lot_id)
        form = _lot_form(lot, await desk.intake.openings())
        return desk_form(LotForm(form.lot, form.is_open, form.bays, await desk.lots.arrivals(lot_id)))

    @router.post("/lots", status_code=HTTPStatus.CREATED)
    async def add_lot(order: NewLotOrder, viewer: LotsViewer) -> Any:
        revision = await desk.lots.put(order.lot(order.lot_id), _operator(viewer, order), is_new=True)
        return {"lot_id": order.lot_id, "revision": revision}

    @router.put("/lots/{lot_id}")
    async def change_lot(lot_id: str, order: LotOrder, viewer: LotsViewer) -> Any:
        await lot_named(desk.lots, lot_id)
        revision = await desk.lots.put(order.lot(lot_id), _operator(viewer, order), is_new=False)
        return {"lot_id": lot_id, "revision": revision}


def _add_openings(router: APIRouter, desk: Desk, station: StationPort) -> None:
    @router.post("/lots/{lot_id}/open")
    async def open_lot(lot_id: str, order: OpenOrder, viewer: LotsViewer) -> Any:
        await lot_named(desk.lots, lot_id)
        for bay in order.bays:
            _require_bay(station, bay)
        opening = await desk.intake.open(lot_id, order.bays, _operator(viewer, order))
        return {"lot_id": lot_id, "bays": list(opening.bays)}

    @router.post("/lots/{lot_id}/close")
    async def close_lot(lot_id: str, order: CloseOrder, viewer: LotsViewer) -> Any:
        await lot_named(desk.lots, lot_id)
        await desk.intake.close(lot_id, _operator(viewer, order))
        return {"lot_id": lot_id}


def _add_tags(router: APIRouter, desk: Desk, station: StationPort) -> None:
    @router.post("/tags", status_code=HTTPStatus.CREATED)
    async def bind_tag(order: TagOrder, viewer: TagsViewer) -> Any:
        binding = TagBinding(order.tag, order.bay, order.serial)
        if order.bay:
            _require_bay(station, order.bay)
        await desk.lots.bind(binding, _operator(viewer, order))
        return {"tag": order.tag, "bay": order.bay, "serial": order.serial}


def _add_custody(router: APIRouter, desk: Desk) -> None:
    @router.get("/custody", dependencies=_VIEW_CUSTODY)
    async def show_drive(drive: Annotated[str, Field(min_length=1)]) -> Any:
        name = await _known(desk, drive)
        return desk_form(_drive_form(await desk.custody.history(name)))

    @router.post("/custody", status_code=HTTPStatus.CREATED)
    async def record(order: CustodyOrder, viewer: CustodyViewer) -> Any:
        event = order.custody_event()
        if isinstance(event, custody.Received):
            await lot_named(
                desk.lots, event.lot_id
            )  # a slip would make a lot of which nobody knows what to do with its drives
        name = await desk.custody.named(printable(order.drive))
        if name is None:
            if not isinstance(event, custody.Received):
                raise _unknown(order.drive)
            name = DriveName(serial=order.drive)  # the label's, until it is seen in a bay
        if isinstance(event, custody.Destroyed):
            await _end_jobs(desk, name, event)
        operator = _operator(viewer, order)
        if isinstance(event, custody.Destroyed) and desk.destroy is not None:
            await desk.destroy(name, event, operator)
        else:
            await desk.custody.record(CustodyRecord(desk.now_utc(), desk.station_id, operator, name, event))
        return desk_form(_drive_form(await desk.custody.history(name)))


async def _end_jobs(desk: Desk, name: DriveName, event: custody.Destroyed) -> None:
    """A drive that vanished in the middle of its job never comes back to end it. Nothing is ended where the record would be
    refused for another reason.
    """
    history = await desk.custody.history(name)
    if history.open_jobs and replace(history, open_jobs=0).may(event) is None:
        await desk.end_jobs(await desk.custody.open_jobs(name), "the drive was destroyed")


def _add_withdrawals(router: APIRouter, withdraw: Withdrawing) -> None:
    @router.post("/certificates/{certificate_id}/withdrawal", status_code=HTTPStatus.CREATED)
    async def withdraw_certificate(certificate_id: Id, order: WithdrawalOrder, viewer: WithdrawingViewer) -> Any:
        reason, operator = expect_nobody(printable(order.reason), "reason"), _operator(viewer, order)
        try:
            done = await withdraw(certificate_id, reason, operator, bytes.fromhex(order.digest))
        except UnknownCertificate as error:
            raise NotFound(error.what, subject=error.subject, remedy=error.remedy) from error
        after = done.consequence
        return desk_form(
            WithdrawalForm(
                done.withdrawal, str(done.path), after.drive, after.is_quarantined, after.is_destroyed, after.left_to
            )
        )


def _operator(viewer: Viewer, order: _Order) -> str:
    """Who is written down. Raises Forbidden where another name is asked for by anybody but root."""
    if order.operator and not viewer.may_speak_for_others:
        raise Forbidden(
            "not-root", "only root may record for another operator", subject=order.operator, remedy="Leave it out."
        )
    return printable(order.operator) if order.operator else viewer.name


def _lot_form(lot: Lot, openings: list[Opening]) -> LotForm:
    mine = next((opening for opening in openings if opening.lot_id == lot.lot_id), None)
    return LotForm(lot, mine is not None, mine.bays if mine is not None else (), None)


def _require_bay(station: StationPort, name: str) -> None:
    if all(bay.name != name for bay in station.snapshot().bays):
        raise NotFound("there is no such bay", subject=f"bay {name}", remedy="`eraser status` lists the bays.")


async def _known(desk: Desk, text: str) -> DriveName:
    # What can't be printed names nothing, and PostgreSQL takes no NUL.
    name = await desk.custody.named(text) if text.isprintable() else None
    if name is None:
        raise _unknown(text)
    return name


def _unknown(text: str) -> NotFound:
    return NotFound(
        "no drive is on record by this serial number, world-wide name or asset tag",
        subject=text,
        remedy="Scan the label again: it has several codes, and 8 is easily taken for B.",
    )


def _drive_form(history: History) -> DriveForm:
    no = history.may(custody.Released())
    return DriveForm(
        drive=history.gathered.name,
        standing=history.standing,
        open_jobs=history.open_jobs,
        is_ambiguous=history.gathered.is_ambiguous,
        not_for_sale=no.what if no is not None else "",
        not_for_sale_code=no.code if no is not None else "",
        records=history.gathered.records,
    )
