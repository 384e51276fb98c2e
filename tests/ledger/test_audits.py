"""Audits and the routine control in both databases."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from eraser.domain.audit import DriveReading, DriveResult, LogHead
from eraser.domain.custody import CustodyRecord, DriveName, Erased, Received, Released
from eraser.domain.events import Outcome
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.routine_control import ControlCheck, Draw, Missed
from eraser.errors import JournalError, Refused, UsageError
from eraser.ledger import audit_plans, audits, log, routine, signed_records
from eraser.ledger.custody import custody_row, history
from eraser.ledger.schema import certificates, custody, jobs
from eraser.ledger.store import Store, open_store

AT = "2026-12-01T00:00:00.000Z"
HOLDS = DriveReading(DriveResult.HOLDS, 4096, None, "dd, cmp", 1, 4096)


def certified(first: int, behind: int, outcome: str, connection: Connection) -> None:
    """Jobs that ended so, their certificates, and the log's entries."""
    for number in range(first, behind):
        row: dict[str, Any] = {"job_id": f"job-{number}", "is_open": False, "outcome": outcome, "serial": f"S{number}"}
        connection.execute(insert(jobs).values(world_wide_name="", **row))
        digest = number.to_bytes(32, "big")
        certificate = {"certificate_id": f"c{number}", "job_id": f"job-{number}", "digest": digest}
        connection.execute(insert(certificates).values(certificate))
        log.append(connection, [LogEntry(EntryKind.CERTIFICATE, f"c{number}", digest)])


async def draw(store: Store, draw_id: str, nonce: bytes = b"n" * 16) -> Draw | None:
    size = await store.read(log.size)
    head = LogHead("log", size, bytes(32))
    return await store.write(partial(routine.draw_next, draw_id, AT, head, lambda count: nonce[:count]))


async def test_draws_cover_the_log_without_a_gap_and_take_only_what_passed(url: str) -> None:
    store = await open_store(url)
    await store.write(partial(certified, 0, 30, "passed"))
    await store.write(partial(certified, 30, 40, "failed"))
    withdrawal = LogEntry(EntryKind.WITHDRAWAL, "c3", bytes(32))
    await store.write(lambda connection: log.append(connection, [withdrawal]))
    one = await draw(store, "one")
    assert one is not None
    assert (one.first, one.passed, len(one.certificate_ids)) == (0, 29, 2)
    assert await draw(store, "two") is None
    await store.write(partial(certified, 40, 45, "passed"))
    three = await draw(store, "three")
    assert three is not None
    assert (three.first, three.log.size, three.passed, len(three.certificate_ids)) == (41, 46, 5, 1)
    assert await store.read(routine.draws) == [one, three]
    state = await store.read(partial(routine.state, AT))
    assert (state.passed, state.drawn, state.undrawn, state.overdue) == (34, 3, 0, 0)
    await store.close()


async def test_two_draws_of_the_same_entries_are_not_both_kept(url: str) -> None:
    store = await open_store(url)
    await store.write(partial(certified, 0, 3, "passed"))
    one = await draw(store, "one")
    assert one is not None
    again = {"draw_id": "other", "first": one.first, "behind": 3, "at": AT, "body": b"{}"}
    from eraser.ledger.schema import routine_draws

    with pytest.raises(JournalError):
        await store.insert(insert(routine_draws), again)
    assert [item.draw_id for item in await store.read(routine.draws)] == ["one"]
    await store.close()


@pytest.mark.parametrize("result", DriveResult)
async def test_a_drawn_drive_that_does_not_hold_what_its_certificate_says_does_not_leave(
    url: str, result: DriveResult
) -> None:
    store = await open_store(url)
    await store.write(partial(certified, 0, 1, "passed"))
    drive = DriveName("S0")
    for event in (Received("L7"), Erased("job-0", Outcome.PASSED)):
        record = CustodyRecord(AT, "station-1/A1", "op", drive, event)
        await store.insert(insert(custody), custody_row(record))
    await draw(store, "one")
    found = ControlCheck("one", "c0", AT, "checker-1", replace(HOLDS, result=result))
    await store.write(partial(routine.put_check, found))
    no = (await store.read(partial(history, drive))).may(Released())
    assert (no.code if no is not None else "") == ("" if result is DriveResult.HOLDS else "quarantined")
    await store.close()


async def test_a_drawn_drive_is_read_once_and_one_that_was_missed_may_be_read_after_all(url: str) -> None:
    store = await open_store(url)
    await store.write(partial(certified, 0, 3, "passed"))
    one = await draw(store, "one")
    assert one is not None
    (name,) = one.certificate_ids
    missed = ControlCheck("one", name, AT, "checker-1", None, Missed.GONE)
    read = ControlCheck("one", name, AT, "checker-1", HOLDS)
    await store.write(partial(routine.put_check, missed))
    await store.write(partial(routine.put_check, read))
    with pytest.raises(Refused):
        await store.write(partial(routine.put_check, read))
    with pytest.raises(UsageError):
        await store.write(partial(routine.put_check, ControlCheck("one", "c99", AT, "checker-1", HOLDS)))
    assert await store.read(routine.checks) == [missed, read]
    state = await store.read(partial(routine.state, AT))
    assert (state.read, state.missed, state.due) == (1, 0, ())
    await store.close()


async def test_an_audit_is_entered_once_with_its_record(url: str) -> None:
    store = await open_store(url)
    entry = LogEntry(EntryKind.AUDIT, "a" * 32, bytes(range(32)))
    await store.write(partial(audits.enter, entry, AT, b"record"))
    with pytest.raises(Refused):
        await store.write(partial(audits.enter, entry, AT, b"record"))
    assert await store.read(partial(log.entry_at, index=0)) == entry
    assert [item.document for item in await store.read(audits.entered)] == [b"record"]
    assert await store.read(partial(audits.document, "a" * 32)) == b"record"
    assert await store.read(partial(audits.document, "b" * 32)) is None
    assert list(await store.read(lambda connection: list(signed_records.disagreements((), connection)))) == []
    await store.write(lambda connection: log.append(connection, [LogEntry(EntryKind.AUDIT, "b" * 32, bytes(32))]))
    found = await store.read(lambda connection: list(signed_records.disagreements((), connection)))
    assert found == [f"it has the audit {'b' * 32}, the ledger has not"]
    await store.close()


async def test_a_plan_stays_as_it_was_drawn_and_the_newest_mark_counts(url: str) -> None:
    store = await open_store(url)
    plan = audit_plans.KeptPlan("p" * 32, AT, "auditor-1", b"{}")
    await store.write(partial(audit_plans.put, plan))
    assert await store.read(partial(audit_plans.get, plan.plan_id)) == plan
    assert await store.read(partial(audit_plans.get, "q" * 32)) is None
    assert await store.read(audit_plans.ids) == [plan.plan_id]
    with pytest.raises(JournalError):
        await store.write(partial(audit_plans.put, plan))
    for names, is_looked_at in ((["c1", "c2"], True), (["c1"], False), ([], True)):
        await store.write(lambda c, n=names, i=is_looked_at: audit_plans.mark(plan.plan_id, n, AT, "auditor-1", i, c))
    assert await store.read(partial(audit_plans.looked_at, plan.plan_id)) == {"c2"}
    await store.close()
