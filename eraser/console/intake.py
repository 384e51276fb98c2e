"""Intake over the API: lists of expected drives, what a scan means, how a lot stands, and other programs' specifications."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from eraser.console.certificates import CertificateForm, certificate_form
from eraser.console.identity import Permission, Viewer, require
from eraser.console.problems import NotFound
from eraser.domain.catalogue import standard_named
from eraser.domain.custody import own_serial, world_wide_name
from eraser.domain.expected_list import ExpectedList, read_expected
from eraser.domain.lot import MAX_NAME_CHARACTERS, Lot
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.domain.scanning import MAX_SCAN_CHARACTERS, Chosen, Known, choose, differences
from eraser.domain.specification import Specification
from eraser.errors import Refused, UsageError
from eraser.ledger.certificate_index import CertificateIndex
from eraser.ledger.lots import Lots
from eraser.ledger.specifications import MAX_PAGE, Matched, Progress, Specifications
from eraser.rack.view import StationPort, StationSnapshot

MAX_LISTED = 500
"""Drives of a lot that a picture of it lists of each kind; the rest is counted."""

_VIEW_LOTS = [Depends(require(Permission.VIEW_LOTS))]
_MANAGE_LOTS = Annotated[Viewer, Depends(require(Permission.MANAGE_LOTS))]
_SPECIFY = Annotated[Viewer, Depends(require(Permission.MANAGE_LOTS))]

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Scan = Annotated[str, Field(min_length=1, max_length=MAX_SCAN_CHARACTERS)]


class ProblemForm(BaseModel):
    """What is wrong in a line."""

    line: int
    code: str
    subject: str
    other_line: int


class ListForm(BaseModel):
    """What was read out of a file. With `errors` it is not taken over."""

    drives: int
    first_serials: list[str]
    encoding: str
    delimiter: str
    has_header: bool
    column: int
    lines: int
    errors: list[ProblemForm]
    warnings: list[ProblemForm]
    problems_omitted: int
    revision: int | None


class ScanOrder(BaseModel):
    """The codes of one label, as the scanner typed them."""

    model_config = ConfigDict(extra="forbid")
    codes: Annotated[list[Scan], Field(min_length=1, max_length=20)]


class KnownForm(BaseModel):
    """A drive that a scan may mean. `differs_at`: places, from 0, at which its serial number is not what was scanned."""

    serial: str
    world_wide_name: str
    asset_tag: str
    bay: str
    is_expected: bool
    has_arrived: bool
    differs_at: list[int]


class CodeForm(BaseModel):
    """One code of the label."""

    kind: str
    value: str


class ScanForm(BaseModel):
    """What the codes mean. `value`: the name to go on with; empty where a person has to look first."""

    finding: str
    value: str
    drives: list[KnownForm]
    codes: list[CodeForm]


class SpecificationOrder(BaseModel):
    """What is asked of a drive. `reference` is the asker's own: sent again, it replaces what was asked before."""

    model_config = ConfigDict(extra="forbid")
    reference: Name
    serial: Name
    standard: Annotated[str, Field(max_length=64)] = ""
    level: Level | None = None
    verification: Verification | None = None


class SpecificationForm(BaseModel):
    """A specification and its report. `is_met`: whether a certificate answers it in everything; None while there is none."""

    number: int
    at: str
    reference: str
    serial: str
    standard: str
    level: str
    verification: str
    progress: Progress
    is_met: bool | None
    shortfalls: list[str]
    certificate: CertificateForm | None


def add_intake(
    router: APIRouter, lots: Lots, specified: Specifications, index: CertificateIndex, station: StationPort
) -> None:
    """To what the desk's router has."""
    _add_lists(router, lots)
    _add_scans(router, lots, station)
    _add_specifications(router, specified, index)


def _add_lists(router: APIRouter, lots: Lots) -> None:
    @router.post("/lots/{lot_id}/expected/import")
    async def read_list(
        request: Request,
        lot_id: str,
        viewer: _MANAGE_LOTS,
        apply: bool = False,
        column: Annotated[int | None, Query(ge=1, le=1000)] = None,
        header: Literal["", "yes", "no"] = "",
    ) -> ListForm:
        """Reads a CSV file (the body) and says what is in it; with `apply`, the lot expects exactly these drives."""
        lot = await lot_named(lots, lot_id)
        has_header = {"": None, "yes": True, "no": False}[header]
        file = await request.body()
        found = await asyncio.to_thread(lambda: read_expected(file, column=column, has_header=has_header))
        if not apply:
            return _list_form(found, None)
        if found.errors:
            raise Refused(
                "list-has-errors",
                f"the list has errors, the first one in line {found.errors[0].line}",
                subject=f"lot {lot_id}",
                remedy="Mend them in the file and import it again: nothing was taken over.",
            )
        expecting = replace(lot, expected_serials=found.serials, expected_drives=None)
        return _list_form(found, await lots.put(expecting, viewer.name, is_new=False))


def _list_form(found: ExpectedList, revision: int | None) -> ListForm:
    return ListForm(
        drives=len(found.serials),
        first_serials=list(found.serials[:10]),
        encoding=found.encoding,
        delimiter=found.delimiter,
        has_header=found.has_header,
        column=found.column,
        lines=found.lines,
        errors=[ProblemForm(**_fields(item)) for item in found.errors],
        warnings=[ProblemForm(**_fields(item)) for item in found.warnings],
        problems_omitted=found.problems_omitted,
        revision=revision,
    )


def _fields(problem: Any) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ProblemForm.model_fields}


def _add_scans(router: APIRouter, lots: Lots, station: StationPort) -> None:
    @router.post("/lots/{lot_id}/scan", dependencies=_VIEW_LOTS)
    async def read_scan(lot_id: str, order: ScanOrder) -> ScanForm:
        """Which of a label's codes is the drive's name, and which drive that is. It records nothing."""
        lot = await lot_named(lots, lot_id)
        missing = set((await lots.arrivals(lot_id)).missing_serials)
        known = await asyncio.to_thread(lambda: list(known_drives(lot, station.snapshot())))
        chosen = await asyncio.to_thread(choose, order.codes, known)
        return _scan_form(chosen, lot, missing)


def known_drives(lot: Lot, snapshot: StationSnapshot) -> Iterator[Known]:
    """The drives that a scan may mean: those in bays, and those that the lot expects."""
    expected = set(lot.expected_serials)
    for bay in snapshot.bays:
        if bay.drive is None:
            continue
        serial, wide = own_serial(bay.drive.identity), world_wide_name(bay.drive.identity)
        if serial or wide or bay.asset_tag:
            lot_id = lot.lot_id if serial in expected else bay.lot
            expected.discard(serial)
            yield Known(serial, wide, bay.asset_tag, bay.name, lot_id)
    for serial in lot.expected_serials:
        if serial in expected:
            yield Known(serial, lot_id=lot.lot_id)


def _scan_form(chosen: Chosen, lot: Lot, missing: set[str]) -> ScanForm:
    expected = set(lot.expected_serials)
    scanned = chosen.value or next((code.value for code in chosen.codes if code.value), "")
    return ScanForm(
        finding=chosen.finding.value,
        value=chosen.value,
        drives=[
            KnownForm(
                serial=drive.serial,
                world_wide_name=drive.world_wide_name,
                asset_tag=drive.asset_tag,
                bay=drive.bay,
                is_expected=drive.serial in expected,
                has_arrived=drive.serial in expected and drive.serial not in missing,
                differs_at=list(differences(scanned, drive.serial)),
            )
            for drive in chosen.drives[:20]
        ],
        codes=[CodeForm(kind=code.kind.value, value=code.value) for code in chosen.codes],
    )


def _add_specifications(router: APIRouter, specified: Specifications, index: CertificateIndex) -> None:
    view = [Depends(require(Permission.VIEW_CERTIFICATES))]

    @router.post("/specifications", status_code=HTTPStatus.CREATED)
    async def add_specification(order: SpecificationOrder, viewer: _SPECIFY) -> SpecificationForm:
        """Takes a job's specification in: the drive of this serial number is erased as it says, whenever it comes."""
        # By the name that certificates have, also where it is asked for by another.
        standard = standard_named(order.standard).name if order.standard else ""
        await specified.put(Specification(**dict(order) | {"standard": standard}), viewer.name)
        return _specification_form(await specified.one(order.reference))

    @router.get("/specifications", dependencies=view)
    async def list_specifications(
        progress: Progress | None = None,
        cursor: Annotated[int, Query(ge=0, lt=1 << 53)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> list[SpecificationForm]:
        """The oldest first; `cursor` is the number of the last one that was shown."""
        await index.refresh()
        return [_specification_form(item) for item in await specified.queue(progress, after=cursor, limit=limit)]

    @router.get("/specifications/{reference}", dependencies=view)
    async def report(reference: str) -> SpecificationForm:
        """The report: which certificate answers it, and whether in everything that was asked."""
        await index.refresh()
        try:
            return _specification_form(await specified.one(_nameable(reference)))
        except UsageError as error:
            raise NotFound(error.what, subject=error.subject) from error


def _specification_form(item: Matched) -> SpecificationForm:
    asked = item.specification
    return SpecificationForm(
        number=item.number,
        at=item.at,
        reference=asked.reference,
        serial=asked.serial,
        standard=asked.standard,
        level=asked.level.value if asked.level is not None else "",
        verification=asked.verification.value if asked.verification is not None else "",
        progress=item.progress,
        is_met=not item.shortfalls if item.certificate is not None else None,
        shortfalls=list(item.shortfalls),
        certificate=certificate_form(item.certificate) if item.certificate is not None else None,
    )


async def lot_named(lots: Lots, lot_id: str) -> Lot:
    """Raises NotFound."""
    try:
        return await lots.get(_nameable(lot_id))
    except UsageError as error:
        raise NotFound(error.what, subject=error.subject, remedy=error.remedy) from error


def _nameable(text: str) -> str:
    """Raises UsageError for what nothing is called, and PostgreSQL would not take: NUL among it."""
    if not text.isprintable():
        raise UsageError("nothing has such a name", subject=ascii(text)[:80])
    return text
