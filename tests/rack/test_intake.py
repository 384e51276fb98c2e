"""Lots and custody at the station: what starts by itself, who goes first, and what is on record. In simulated time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eraser.domain.attendance import Confirmed, Consented, Opened
from eraser.domain.bay import BandwidthDomain
from eraser.domain.custody import (
    CustodyRecord,
    Destroyed,
    DriveName,
    HandedOver,
    Quarantined,
    Received,
    Released,
    Separated,
    drive_name,
)
from eraser.domain.drive import Condition, Drive
from eraser.domain.events import Entry, JobCancelled
from eraser.domain.job import JobState
from eraser.domain.lot import Lot, LotPolicy, TagBinding
from eraser.domain.program import Verification
from eraser.domain.sayings import Code, english
from eraser.domain.specification import Specification
from eraser.errors import JournalError, Refused
from eraser.ledger.errors import LedgerError, LedgerFull
from eraser.rack.view import BaySnapshot, BayState
from tests.rack.ledger_desk import AT, OPERATOR, LedgerDesk, a_ledger_desk
from tests.rack.memory_rack import At, MemoryDrive, MemoryRack, a_map, a_station
from tests.rack.simulated_time import run

Story = Callable[[At, LedgerDesk], Coroutine[Any, Any, None]]


@asynccontextmanager
async def a_lot_station(folder: Path, desk: LedgerDesk, **station: Any) -> AsyncIterator[At]:
    async with a_station(folder, journal=desk.journal, intake=desk.intake, **station) as at:
        yield at


def played(folder: Path, story: Story, *, by_itself: bool = False, **station: Any) -> None:
    """Plays a story at a station of its own, whose drives of no lot are asked about unless told otherwise."""

    async def play() -> None:
        with a_ledger_desk(folder, by_itself=by_itself) as desk:
            async with a_lot_station(folder, desk, **station) as at:
                await story(at, desk)

    run(play())


class ConditionedDrive(MemoryDrive):
    """A drive that shows a condition."""

    condition = Condition.SECURITY_LOCKED

    @property
    def drive(self) -> Drive:
        return replace(super().drive, conditions=(self.condition,))


def test_a_lots_policy_says_how_and_that_a_drive_is_erased(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.lots.bind(TagBinding("T-1", serial="S1"), OPERATOR)
        await desk.open("L7", "A1", "A2")
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.PASSED)
        assert (seen.lot, seen.standard, seen.asset_tag) == ("L7", "zero", "T-1")
        assert await desk.kinds("S1") == ["received", "registered", "erased", "verified"]
        records = (await desk.custody.history(DriveName("S1"))).gathered.records
        assert {(record.place, record.operator) for record in records} == {("station-1/A1", OPERATOR)}
        assert {record.drive.asset_tag for record in records} == {"T-1"}

    played(tmp_path, story)
    assert not drive.has_customers_data


def test_a_lots_verification_is_its_own(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        policy = LotPolicy("random", verification=Verification.NONE, starts_by_itself=True)
        await desk.open("L7", policy=policy)
        at.memory.plug(MemoryDrive(), "A1")
        seen = await at.until("A1", BayState.FAILED, BayState.PASSED)
        assert seen.verified_bytes == 0

    played(tmp_path, story)


def test_a_drive_is_erased_as_its_specification_says_and_no_less_than_its_lot_does(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        asked = Specification("order-1", "S1", standard="one", verification=Verification.NONE)
        await desk.specified.put(asked, "erp")
        await desk.open("L7")
        at.memory.plug(MemoryDrive(), "A1")
        seen = await at.until("A1", BayState.PASSED)
        assert (seen.lot, seen.standard) == ("L7", "one")
        assert seen.verified_bytes == MemoryDrive().drive.geometry.capacity_bytes
        assert english(seen.specification) == (
            "specification order-1 asks for one; specification order-1 wants it read back not at all; "
            "its lot or the station would take zero; the stronger wish counts, it is read back in full"
        )

    played(tmp_path, story)


def test_a_specification_for_another_serial_number_changes_nothing(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.specified.put(Specification("order-1", "S2", standard="one"), "erp")
        await desk.open("L7")
        at.memory.plug(MemoryDrive(), "A1")
        seen = await at.until("A1", BayState.PASSED)
        assert (seen.standard, seen.specification) == ("zero", ())

    played(tmp_path, story)


def test_specifications_that_contradict_each_other_are_left_to_a_person(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At, desk: LedgerDesk) -> None:
        for number, standard in enumerate(("one", "random")):
            await desk.specified.put(Specification(f"order-{number}", "S1", standard=standard), "erp")
        await desk.open("L7")
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.ASKING)
        assert "different standards" in seen.waits_for and drive.ios == 0
        await at.start("A1", "one")
        assert (await at.until("A1", BayState.PASSED)).standard == "one"

    played(tmp_path, story)


def test_a_specification_that_comes_while_its_drive_waits_for_its_turn_counts(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        await at.station.drain(on=True)
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WAITING)
        await desk.specified.put(Specification("order-1", "S1", standard="one"), "erp")
        await at.station.drain(on=False)
        assert (await at.until("A1", BayState.PASSED)).standard == "one"

    played(tmp_path, story)


@pytest.mark.parametrize(
    "lot",
    [
        {"expected_serials": ("S2",)},
        {"policy": LotPolicy("zero")},
    ],
)
def test_a_drive_that_its_lot_does_not_expect_or_asks_about_is_left_alone_until_somebody_starts_it(
    tmp_path: Path, lot: dict[str, Any]
) -> None:
    drive = MemoryDrive()

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7", **lot)
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.ASKING)
        assert "lot L7" in seen.waits_for and seen.lot == "L7"
        await asyncio.sleep(1000)
        assert drive.ios == 0 and drive.has_customers_data
        assert await desk.kinds("S1") == ["received", "registered"]
        await at.start("A1", "")
        assert (await at.until("A1", BayState.PASSED)).standard == "zero"

    played(tmp_path, story, by_itself=True)


@pytest.mark.parametrize("expected", [{"expected_serials": ("S2",)}, {"expected_drives": 1}])
def test_a_drive_that_its_lot_did_not_expect_is_not_erased_by_itself_once_the_lot_is_closed(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    drive = MemoryDrive()

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7", **expected)
        at.memory.plug(MemoryDrive(serial="S2"), "A2")
        await at.until("A2", BayState.PASSED)
        at.memory.plug(drive, "A1")
        asked = (await at.until("A1", BayState.ASKING)).waits_for
        await desk.ledger.close("L7", OPERATOR)
        at.memory.plug(at.memory.pull("A1"), "A1")
        await asyncio.sleep(100)
        assert (await at.until("A1", BayState.ASKING)).waits_for == asked
        assert drive.ios == 0 and drive.has_customers_data

    played(tmp_path, story)


@pytest.mark.parametrize("is_ordered", [False, True])
def test_a_drive_that_is_put_aside_while_it_waits_for_its_turn_is_not_erased(tmp_path: Path, is_ordered: bool) -> None:
    hub = BandwidthDomain("hub", max_active_drives=1)
    drive = MemoryDrive(serial="S2")

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7", policy=LotPolicy("zero", starts_by_itself=not is_ordered))
        for number, inside in enumerate((MemoryDrive(), drive), start=1):
            at.memory.plug(inside, f"A{number}")
            if is_ordered:
                await at.until(f"A{number}", BayState.ASKING)
                await at.start(f"A{number}")
            await at.until(f"A{number}", BayState.WRITING if number == 1 else BayState.WAITING)
        aside = Quarantined("a court wants it as it is")
        await desk.custody.record(CustodyRecord(AT, "desk", OPERATOR, DriveName("S2"), aside))
        await at.until("A1", BayState.PASSED)
        assert aside.reason in (await at.until("A2", BayState.ASKING)).waits_for
        assert drive.ios == 0 and drive.has_customers_data
        await at.start("A2")
        await at.until("A2", BayState.PASSED)

    played(tmp_path, story, bays=a_map(2, hub))


def test_a_lot_that_changes_while_its_drive_waits_for_its_turn_counts_as_it_is_then(tmp_path: Path) -> None:
    hub = BandwidthDomain("hub", max_active_drives=1)

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        for number, state in ((1, BayState.WRITING), (2, BayState.WAITING), (3, BayState.WAITING)):
            at.memory.plug(MemoryDrive(serial=f"S{number}"), f"A{number}")
            await at.until(f"A{number}", state)
        await desk.lots.put(Lot("L7", LotPolicy("random", starts_by_itself=True)), OPERATOR)
        await at.until("A2", BayState.WRITING)
        await desk.lots.put(Lot("L7", LotPolicy("random")), OPERATOR)
        assert (await at.until("A2", BayState.PASSED)).standard == "random"
        assert "start it" in (await at.until("A3", BayState.ASKING)).waits_for

    played(tmp_path, story, bays=a_map(3, hub))


def test_a_drive_of_no_lot_is_treated_as_the_configuration_says(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7", "A2")
        at.memory.plug(MemoryDrive(), "A1")
        seen = await at.until("A1", BayState.PASSED)
        assert (seen.lot, seen.standard) == ("", "random")

    played(tmp_path, story, by_itself=True)


def test_a_customer_who_waits_goes_before_a_deadline_and_that_before_the_rest(tmp_path: Path) -> None:
    hub = BandwidthDomain("hub", max_active_drives=1)
    order: list[str] = []

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("plain", "A1", "A2")
        await desk.open("later", "A3", policy=LotPolicy("zero", starts_by_itself=True, deadline="2027-01-02T00:00:00Z"))
        await desk.open(
            "sooner", "A4", policy=LotPolicy("zero", starts_by_itself=True, deadline="2027-01-01T06:00:00Z")
        )
        await desk.open("counter", "A5", policy=LotPolicy("zero", starts_by_itself=True, is_customer_waiting=True))
        at.memory.plug(MemoryDrive(serial="S1"), "A1")
        await at.until("A1", BayState.WRITING)
        for number in range(2, 6):
            at.memory.plug(MemoryDrive(serial=f"S{number}"), f"A{number}")
            await at.until(f"A{number}", BayState.WAITING)
        await agree(desk, at.bay("A5"))
        while len(order) < 4:
            await asyncio.sleep(0.25)
            for bay in ("A2", "A3", "A4", "A5"):
                if at.bay(bay).state is BayState.WRITING and bay not in order:
                    order.append(bay)

    played(tmp_path, story, bays=a_map(5, hub))
    assert order == ["A5", "A4", "A3", "A2"]


async def agree(desk: LedgerDesk, bay: BaySnapshot) -> None:
    """The clerk shows the drive to its customer, who says yes."""
    assert bay.drive is not None
    name = drive_name(bay.drive.identity)
    assert name is not None
    token = await desk.attendances.open(Opened(bay.name, bay.sighting, name, "", "Li"))
    await desk.attendances.add(token, Consented("zh-CN", "0" * 64))


def test_where_a_customer_waits_nothing_is_written_before_they_agree(tmp_path: Path) -> None:
    drive = MemoryDrive(serial="S1")

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("counter", policy=LotPolicy("zero", starts_by_itself=True, is_customer_waiting=True))
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WAITING)
        await asyncio.sleep(600)
        seen = at.bay("A1")
        assert [saying.code for saying in seen.waiting] == [Code.WAITS_FOR_CONSENT]
        assert seen.state is BayState.WAITING and drive.ios == 0 and drive.has_customers_data
        await agree(desk, seen)
        assert (await at.until("A1", BayState.PASSED)).waiting == ()

    played(tmp_path, story)
    assert not drive.has_customers_data


@pytest.mark.parametrize("earlier", ["has seen the end", "was shown it before"])
def test_what_an_earlier_customer_of_the_drive_agreed_to_is_no_consent_of_the_next(
    tmp_path: Path, earlier: str
) -> None:
    drive = MemoryDrive(serial="S1")

    async def story(at: At, desk: LedgerDesk) -> None:
        name = DriveName("S1")
        before = await desk.attendances.open(Opened("A1", "earlier", name, "", "Li"))
        await desk.attendances.add(before, Consented("zh-CN", "0" * 64))
        if earlier == "has seen the end":
            await desk.attendances.add(before, Confirmed("0" * 64, False))
        else:
            await desk.attendances.open(Opened("A1", "now", name, "", "Li"))
        await desk.open("counter", policy=LotPolicy("zero", starts_by_itself=True, is_customer_waiting=True))
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WAITING)
        await asyncio.sleep(600)
        assert drive.ios == 0 and drive.has_customers_data
        await agree(desk, at.bay("A1"))
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story)


def test_not_even_an_operator_starts_what_a_customer_has_not_agreed_to(tmp_path: Path) -> None:
    drive = MemoryDrive(serial="S1")

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("counter", policy=LotPolicy("zero", starts_by_itself=False, is_customer_waiting=True))
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.ASKING)
        await at.station.start("A1", "", at.bay("A1").sighting)
        await at.until("A1", BayState.WAITING)
        await at.station.cancel("A1")
        cancelled = await at.until("A1", BayState.ASKING)
        assert [saying.code for saying in cancelled.waiting] == [Code.JOB_CANCELLED]
        # The job that was opened to put the cancel on record does not go on without a consent either.
        await at.resume("A1")
        await at.until("A1", BayState.WAITING)
        await asyncio.sleep(600)
        assert drive.ios == 0 and drive.has_customers_data
        await agree(desk, at.bay("A1"))
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story)


def test_a_drive_that_is_pulled_and_put_elsewhere_has_moved_and_its_job_goes_on(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7", "A1")
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(2)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        await desk.ledger.close("L7", OPERATOR)
        at.memory.plug(drive, "A3")
        seen = await at.until("A3", BayState.PASSED)
        assert (seen.job_id, seen.lot) == ("job-1", "L7")
        assert await desk.kinds("S1") == ["received", "registered", "moved", "erased", "verified"]

    played(tmp_path, story)


def fail_to_record_cancels(desk: LedgerDesk, error: JournalError, times: int) -> None:
    """The ledger takes everything but the next so many cancels."""
    write, left = desk.journal.write, [error] * times

    async def failing(entry: Entry, before: JobState, after: JobState, place: str) -> None:
        if isinstance(entry.event, JobCancelled) and left:
            raise left.pop()
        await write(entry, before, after, place)

    desk.journal.write = failing  # type: ignore[method-assign]


@pytest.mark.parametrize(("error", "times"), [(LedgerFull("no room"), 2), (LedgerError("it did not answer"), 1)])
def test_a_cancel_in_the_queue_that_the_ledger_does_not_take_at_once_begins_one_job_and_holds(
    tmp_path: Path, error: JournalError, times: int
) -> None:
    hub = BandwidthDomain("hub", max_active_drives=1)
    drive = MemoryDrive(serial="S2")

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WRITING)
        at.memory.plug(drive, "A2")
        await at.until("A2", BayState.WAITING)
        fail_to_record_cancels(desk, error, times)
        await at.station.cancel("A2")
        await asyncio.sleep(30)
        at.memory.plug(at.memory.pull("A2"), "A2")
        await at.until("A1", BayState.PASSED)
        assert "it was cancelled" in (await at.until("A2", BayState.ASKING)).waits_for
        (job,) = await desk.journal.open_states()
        assert job.is_cancelled and drive.has_customers_data
        await at.resume("A2")
        await at.until("A2", BayState.PASSED)

    played(tmp_path, story, bays=a_map(2, hub))


@pytest.mark.parametrize("times", [1, 2])
def test_a_cancel_that_the_ledger_did_not_take_is_not_forgotten(tmp_path: Path, times: int) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WRITING)
        fail_to_record_cancels(desk, LedgerError("it did not answer"), times)
        await at.station.cancel("A1")
        await at.until("A1", BayState.INTERRUPTED)
        at.memory.plug(at.memory.pull("A1"), "A1")
        assert "it was cancelled" in (await at.until("A1", BayState.ASKING)).waits_for
        (job,) = await desk.journal.open_states()
        assert job.is_cancelled
        await at.resume("A1")
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story)


def test_a_full_ledger_keeps_a_drive_waiting_and_nothing_is_lost(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        desk.store.failure = LedgerFull("the ledger's disk is full")
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.WAITING)
        assert "the ledger's disk is full" in seen.waits_for
        await asyncio.sleep(1000)
        assert at.bay("A1").state is BayState.WAITING and drive.ios == 0
        desk.store.failure = None
        await at.until("A1", BayState.PASSED)
        assert await desk.kinds("S1") == ["received", "registered", "erased", "verified"]

    played(tmp_path, story)


def test_a_drive_may_leave_a_station_whose_ledger_is_full(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        desk.store.failure = LedgerFull("the ledger's disk is full")
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WAITING)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)

    played(tmp_path, story, by_itself=True)


def test_a_ledger_that_fails_refuses_the_drive_until_somebody_retries(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        desk.store.failure = JournalError("the database server can't be reached")
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.REFUSED)
        assert "can't be reached" in seen.reason and drive.ios == 0
        desk.store.failure = None
        await at.retry("A1")
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story)


def test_a_disk_that_the_machine_uses_is_not_received(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        at.memory.plug(MemoryDrive(used_by="/"), "A1")
        await at.until("A1", BayState.REFUSED)
        assert await desk.kinds("S1") == []

    played(tmp_path, story)


def test_a_drive_that_is_refused_for_what_it_is_is_quarantined(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        at.memory.plug(ConditionedDrive(), "A1")
        assert (await at.until("A1", BayState.REFUSED)).lot == "L7"
        assert await desk.kinds("S1") == ["received", "registered", "quarantined"]
        history = await desk.custody.history(DriveName("S1"))
        assert "security-locked" in history.standing.quarantine
        await at.retry("A1")
        await asyncio.sleep(10)
        assert await desk.kinds("S1") == ["received", "registered", "quarantined"]

    played(tmp_path, story)


def test_an_empty_reader_is_no_arrival(tmp_path: Path) -> None:
    class Reader(ConditionedDrive):
        condition = Condition.NO_MEDIUM

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        at.memory.plug(Reader(), "A1")
        await at.until("A1", BayState.REFUSED)
        assert await desk.kinds("S1") == []

    played(tmp_path, story)


@pytest.mark.parametrize(
    ("event", "asked"), [(Quarantined("it clicks"), "quarantined (it clicks)"), (Destroyed("shredded"), "destroyed")]
)
def test_a_drive_with_something_on_record_against_it_is_not_erased_by_itself(
    tmp_path: Path, event: Quarantined | Destroyed, asked: str
) -> None:
    drive = MemoryDrive()

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7", expected_serials=("S1",))
        await desk.custody.record(CustodyRecord(AT, "station-1", OPERATOR, DriveName("S1"), event))
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.ASKING)
        assert asked in seen.waits_for and drive.ios == 0

    played(tmp_path, story, by_itself=True)


def test_a_drive_plugged_in_before_its_lot_was_opened_is_not_erased_by_itself_and_joins_it_when_started(
    tmp_path: Path,
) -> None:
    drive = MemoryDrive()

    async def story() -> None:
        with a_ledger_desk(tmp_path) as desk:
            memory = MemoryRack()
            async with a_lot_station(tmp_path, desk, memory=memory) as at:
                memory.plug(drive, "A1")
                await at.until("A1", BayState.ASKING)
                await desk.open("L7")
            memory = MemoryRack()
            async with a_lot_station(tmp_path, desk, memory=memory) as at:
                memory.plug(drive, "A1")
                seen = await at.until("A1", BayState.ASKING)
                assert "before lot L7 was taken in" in seen.waits_for and drive.ios == 0
                await at.start("A1", operator="clerk")
                seen = await at.until("A1", BayState.PASSED)
                assert (seen.lot, seen.standard) == ("L7", "zero")
                assert (await desk.lots.arrivals("L7")).arrived == 1
                records = (await desk.custody.history(DriveName("S1"))).gathered.records
                assert [(record.event.kind, record.operator) for record in records] == [
                    ("received", OPERATOR),
                    ("registered", OPERATOR),
                    ("received", "clerk"),
                    ("registered", "clerk"),
                    ("erased", "clerk"),
                    ("verified", "clerk"),
                ]

    run(story())


def test_a_quarantine_ends_when_a_later_job_passes(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        name = DriveName("S1")
        await desk.custody.record(CustodyRecord(AT, "station-1", OPERATOR, name, Quarantined("it clicks")))
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.ASKING)
        with pytest.raises(Refused, match="it clicks"):
            await desk.custody.record(CustodyRecord(AT, "station-1", OPERATOR, name, Released()))
        await at.start("A1", "")
        await at.until("A1", BayState.PASSED)
        await desk.custody.record(CustodyRecord(AT, "station-1", OPERATOR, name, Released()))

    played(tmp_path, story)


def test_a_failed_drive_is_quarantined_and_not_released(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        at.memory.plug(MemoryDrive(bad={5}), "A1")
        await at.until("A1", BayState.FAILED)
        assert (await desk.kinds("S1"))[-1] == "quarantined"
        for event in (Released(), HandedOver("a buyer")):
            with pytest.raises(Refused, match="quarantined"):
                await desk.custody.record(CustodyRecord(AT, "station-1", OPERATOR, DriveName("S1"), event))

    played(tmp_path, story)


def test_a_station_that_begins_anew_receives_nothing_twice(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story() -> None:
        with a_ledger_desk(tmp_path) as desk:
            await desk.open("L7", policy=LotPolicy("zero"))
            for _ in range(3):
                memory = MemoryRack()
                async with a_lot_station(tmp_path, desk, memory=memory) as at:
                    memory.plug(drive, "A1")
                    await at.until("A1", BayState.ASKING)
            assert await desk.kinds("S1") == ["received", "registered"]
            assert (await desk.lots.arrivals("L7")).arrived == 1

    run(story())


def test_a_drive_received_by_hand_is_registered_at_its_bay_and_not_received_again(tmp_path: Path) -> None:
    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7", "A1")
        record = CustodyRecord(AT, "station-1", OPERATOR, DriveName("S1"), Received("L7", "a school"))
        await desk.custody.record(record)
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.PASSED)
        assert await desk.kinds("S1") == ["received", "moved", "registered", "erased", "verified"]

    played(tmp_path, story)


# ---- two drives of one name, and what a person has put aside


def test_a_clone_keeps_both_from_leaving_until_they_are_separated(tmp_path: Path) -> None:
    clone = MemoryDrive(serial="S1")

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        at.memory.plug(MemoryDrive(serial="S1"), "A1")
        await at.until("A1", BayState.WRITING)
        at.memory.plug(clone, "A2")
        await at.until("A2", BayState.REFUSED)
        await at.until("A1", BayState.PASSED)
        assert clone.has_customers_data
        no = (await desk.custody.history(DriveName("S1"))).may(Released())
        assert no is not None and no.code == "seen-twice"
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        await desk.custody.record(CustodyRecord(AT, "desk", OPERATOR, DriveName("S1"), Separated("the other is gone")))
        await at.retry("A2")
        await at.until("A2", BayState.PASSED)
        assert not clone.has_customers_data
        assert (await desk.custody.history(DriveName("S1"))).may(Released()) is None

    played(tmp_path, story)


def test_another_drive_under_a_name_that_passed_is_asked_about_and_lets_none_leave(tmp_path: Path) -> None:
    other = MemoryDrive(serial="S1", sectors=128)

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        at.memory.plug(MemoryDrive(serial="S1"), "A1")
        await at.until("A1", BayState.PASSED)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(other, "A1")
        seen = await at.until("A1", BayState.ASKING)
        assert "another drive" in seen.waits_for and other.ios == 0
        no = (await desk.custody.history(DriveName("S1"))).may(Released())
        assert no is not None and no.code == "seen-twice"

    played(tmp_path, story)


def test_an_interrupted_job_on_a_drive_that_a_person_put_aside_waits_for_a_person(tmp_path: Path) -> None:
    drive = MemoryDrive(serial="S1")

    async def story(at: At, desk: LedgerDesk) -> None:
        await desk.open("L7")
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        aside = Quarantined("court order: keep it")
        await desk.custody.record(CustodyRecord(AT, "desk", OPERATOR, DriveName("S1"), aside))
        at.memory.plug(drive, "A1")
        seen = await at.until("A1", BayState.INTERRUPTED)
        assert "court order" in seen.reason
        await at.station.resume("A1", seen.sighting)
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story)
