"""A plant's years in a moment: a ledger with very many certificates, lots and drives, as the pages and the reports find it.

The rows are put in at once, without the jobs' events: it is for what reads the index, not for what checks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, Table, insert

from eraser.domain.custody import CustodyRecord, DriveName, Received
from eraser.domain.log_entry import EntryKind
from eraser.domain.lot import Lot, LotPolicy
from eraser.ledger.custody import custody_row
from eraser.ledger.records import body_of
from eraser.ledger.schema import certificate_index, certificates, custody, jobs, log_entries, lots

AT_ONCE = 5_000
MODELS = ("ST4000NM0035-1V4107", "WD40EFRX-68WT0N0", "MG08ACA16TE", "WUH721414ALE6L4", "MZ7LN256HCHP-000L7")
STANDARDS = ("nist-800-88-clear", "gb-46864-2025", "random")
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def fill(engine: Engine, *, certificates: int, lots: int) -> None:
    """Into an empty ledger: 1 of 50 failed, 1 of 500 was withdrawn; each lot has its share of the drives, and expects more."""
    with engine.begin() as connection:
        _insert(connection, _rows(certificates, lots))


def serial_of(number: int) -> str:
    """Of the drive of certificate `number`."""
    return f"ZA{number:06}"


def lot_of(number: int, lots: int) -> str:
    """The lot of that drive."""
    return f"LOT-{number % lots:04}"


def _insert(connection: Connection, rows: Iterator[tuple[Table, dict[str, Any]]]) -> None:
    waiting: dict[Table, list[dict[str, Any]]] = {
        table: [] for table in (jobs, certificates, log_entries, custody, certificate_index, lots)
    }
    held = 0
    for table, row in rows:
        waiting[table].append(row)
        held += 1
        if held >= 6 * AT_ONCE:
            _flush(connection, waiting)
            held = 0
    _flush(connection, waiting)


def _flush(connection: Connection, waiting: dict[Table, list[dict[str, Any]]]) -> None:
    for table, rows in waiting.items():
        if rows:
            connection.execute(insert(table), rows)
            rows.clear()


def _rows(count: int, lot_count: int) -> Iterator[tuple[Table, dict[str, Any]]]:
    withdrawn = {number: count + place for place, number in enumerate(range(0, count, 500))}
    for number in range(lot_count):
        yield lots, _lot_row(number, count, lot_count)
    for number in range(count):
        yield from _drive_rows(number, lot_of(number, lot_count), withdrawn.get(number))
    for number, entry in withdrawn.items():
        yield log_entries, _entry_row(entry, EntryKind.WITHDRAWAL, f"certificate-{number}")


def _lot_row(number: int, count: int, lot_count: int) -> dict[str, Any]:
    serials = tuple(serial_of(drive) for drive in range(number, count + lot_count, lot_count))
    lot = Lot(lot_of(number, lot_count), LotPolicy(STANDARDS[number % 3]), "a school", serials)
    at = FIRST_DAY.isoformat()
    return {"lot_id": lot.lot_id, "revision": 1, "at": at, "operator": "clerk", "body": body_of(lot)}


def _drive_rows(number: int, lot_id: str, withdrawn: int | None) -> Iterator[tuple[Table, dict[str, Any]]]:
    serial, job_id, certificate_id = serial_of(number), f"job-{number}", f"certificate-{number}"
    at = (FIRST_DAY + timedelta(minutes=5 * number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    outcome = "failed" if number % 50 == 7 else "passed"
    digest = sha256(certificate_id.encode()).digest()
    yield jobs, {"job_id": job_id, "is_open": False, "outcome": outcome, "serial": serial, "world_wide_name": ""}
    yield certificates, {"certificate_id": certificate_id, "job_id": job_id, "digest": digest}
    yield log_entries, _entry_row(number, EntryKind.CERTIFICATE, certificate_id)
    arrival = CustodyRecord(at, "station-1/A1", "operator-7", DriveName(serial), Received(lot_id))
    yield custody, custody_row(arrival)
    yield (
        certificate_index,
        {
            "number": number,
            "certificate_id": certificate_id,
            "job_id": job_id,
            "digest": digest,
            "issued_at": at,
            "finished_at": at,
            "serial": serial,
            "is_serial_own": True,
            "world_wide_name": f"5000c500{number:08x}",
            "device": "/dev/sda",
            "model": MODELS[number % len(MODELS)],
            "lot_id": lot_id,
            "outcome": outcome,
            "standard": STANDARDS[number % 3],
            "level": "clear" if outcome == "passed" else "",
            "verification": "full",
            "reason": "mismatch" if outcome == "failed" else "",
            "capacity_bytes": 4_000_787_030_016,
            "bytes_done": 8_001_574_060_032,
            "busy_seconds": 40_000.0 + number % 5 * 4_000,
            "withdrawn": withdrawn,
        },
    )


def _entry_row(number: int, kind: EntryKind, subject: str) -> dict[str, Any]:
    return {"number": number, "kind": kind.value, "subject": subject, "digest": sha256(subject.encode()).digest()}
