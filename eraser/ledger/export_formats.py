"""Exports of lots as text: CSV for a table's program, JSON and XML for another's. Written as they are read, never held whole.

JSON follows `docs/lot-export.schema.json`, XML `docs/lot-export.xsd`.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from xml.sax.saxutils import quoteattr

from eraser.ledger.lot_exports import ExportedDrive, ExportedJob, ExportedLot

FORMAT = "eraser lot export v1"
NAMESPACE = "urn:eraser:lot-export:1"

CSV_COLUMNS = (
    "lot", "serial", "world_wide_name", "asset_tag", "match", "state", "outcome", "received_at", "last_event",
    "last_event_at", "jobs", "job", "certificate", "certificate_sha256", "log_index", "withdrawn",
)  # fmt: skip
_FORMULA = re.compile(r"[=+\-@\t\r]")  # what a table's program may take for the beginning of a formula
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2


@dataclass(frozen=True, slots=True)
class Export:
    """Lots with their drives, which are taken one after the other."""

    made_at: str
    station_id: str
    lots: Iterable[tuple[ExportedLot, Iterable[ExportedDrive]]]


def as_csv(export: Export) -> Iterator[str]:
    """RFC 4180 with a header: a line for each drive, with its last job. A cell that might be run as a formula begins with an
    apostrophe.
    """
    yield _line(CSV_COLUMNS)
    for _, drives in export.lots:
        for drive in drives:
            yield _line(_cells(drive))


def _cells(drive: ExportedDrive) -> list[str]:
    job = drive.jobs[-1] if drive.jobs else ExportedJob("", "")
    last = drive.custody[-1] if drive.custody else None
    return [
        drive.lot_id, drive.serial, drive.world_wide_name, drive.asset_tag, drive.match, drive.state, drive.outcome,
        drive.received_at, last.event if last else "", last.at if last else "", str(len(drive.jobs)), job.job_id,
        job.certificate_id, job.certificate_sha256, "" if job.log_index is None else str(job.log_index),
        ("yes" if job.is_withdrawn else "no") if job.certificate_id else "",
    ]  # fmt: skip


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([spreadsheet_safe(cell) for cell in cells])
    return text.getvalue()


def spreadsheet_safe(cell: object) -> object:
    """A text that a spreadsheet would take for a formula, so marked that it does not: drives name themselves."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def as_json(export: Export) -> Iterator[str]:
    """One object; a drive on each line."""
    head = {"format": FORMAT, "made_at": export.made_at, "station": export.station_id}
    yield json.dumps(head)[:-1] + ', "lots": ['
    for number, (lot, drives) in enumerate(export.lots):
        yield (",\n" if number else "\n") + json.dumps(asdict(lot))[:-1] + ', "drives": ['
        for place, drive in enumerate(drives):
            form = asdict(drive)
            del form["lot_id"]
            yield (",\n" if place else "\n") + json.dumps(form, ensure_ascii=False)
        yield "]}"
    yield "]}\n"


def as_xml(export: Export) -> Iterator[str]:
    """One document, UTF-8."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    head = {"format": FORMAT, "made_at": export.made_at, "station": export.station_id}
    yield f'<lots xmlns="{NAMESPACE}"{_attributes(head)}>\n'
    for lot, drives in export.lots:
        yield f"<lot{_attributes(asdict(lot))}>\n"
        for drive in drives:
            yield _drive_element(drive)
        yield "</lot>\n"
    yield "</lots>\n"


def _drive_element(drive: ExportedDrive) -> str:
    own = {
        item.name: getattr(drive, item.name) for item in fields(drive) if item.name not in ("lot_id", "jobs", "custody")
    }
    inner = [f"<job{_attributes(asdict(job))}/>" for job in drive.jobs]
    inner += [f"<record{_attributes(asdict(record))}/>" for record in drive.custody]
    return f"<drive{_attributes(own)}>{''.join(inner)}</drive>\n"


def _attributes(values: Mapping[str, object]) -> str:
    """What is None is left out."""
    return "".join(f" {name}={quoteattr(_text(value))}" for name, value in values.items() if value is not None)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _NOT_XML.sub("\ufffd", str(value))


FORMATS = {"csv": as_csv, "json": as_json, "xml": as_xml}
