"""What people order, and what comes between an order and the drive that it was meant for. In simulated time."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eraser.domain.bay import BandwidthDomain, BayName
from eraser.domain.drive import Drive
from eraser.domain.events import Checkpoint, JobEvent
from eraser.errors import JournalError, Refused
from eraser.ledger.journal import FileJournal
from eraser.rack.filing import FiledJobLog
from eraser.rack.presence import Changed, Sighting
from eraser.rack.view import LOCATE_SECONDS, BayState
from tests.rack.memory_rack import At, MemoryDrive, MemoryRack, a_map, played

ONE_AT_A_TIME = BandwidthDomain("hub", max_active_drives=1)


# ---- an order is for the drive that was seen


@pytest.mark.parametrize("order", ["start", "retry", "resume", "pause", "cancel"])
def test_an_order_that_was_given_before_a_swap_is_refused(tmp_path: Path, order: str) -> None:
    other = MemoryDrive(serial="S2")

    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        seen = (await at.until("A1", BayState.ASKING)).sighting
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(other, "A1")
        await at.until("A1", BayState.ASKING)
        words = ("A1", "zero", seen) if order == "start" else ("A1", seen)
        with pytest.raises(Refused) as told:
            await getattr(at.station, order)(*words)
        assert told.value.reason == "another-drive"
        await asyncio.sleep(100)
        assert at.bay("A1").state is BayState.ASKING

    played(tmp_path, story, by_itself=False)
    assert other.ios == 0


def test_a_resume_that_names_no_drive_does_not_hit_one_that_was_cancelled_and_came_in_its_place(tmp_path: Path) -> None:
    other = MemoryDrive(serial="S2")

    async def story(at: At) -> None:
        await at.station.drain(on=True)
        at.memory.plug(other, "A1")
        await at.until("A1", BayState.WAITING)
        await at.station.cancel("A1")  # it stays as it is
        await at.until("A1", BayState.ASKING)
        with pytest.raises(Refused) as told:  # meant for the drive that was there before
            await at.station.resume("A1")
        assert told.value.reason == "not-seen"
        await at.station.drain(on=False)
        await asyncio.sleep(100)
        assert at.bay("A1").state is BayState.ASKING

    played(tmp_path, story)
    assert other.has_customers_data


def test_the_same_drive_plugged_in_again_has_to_be_looked_at_again(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        seen = (await at.until("A1", BayState.ASKING)).sighting
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(drive, "A1")
        assert (await at.until("A1", BayState.ASKING)).sighting != seen

    played(tmp_path, story, by_itself=False)


def test_what_was_seen_by_a_station_is_not_what_its_next_run_sees(tmp_path: Path) -> None:
    seen = []

    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        seen.append((await at.until("A1", BayState.ASKING)).sighting)

    for seed in (1, 2):
        played(tmp_path, story, by_itself=False, seed=seed)
    assert seen[0] != seen[1]


def test_an_order_between_a_pull_and_the_next_look_is_refused(tmp_path: Path) -> None:
    one, other = MemoryDrive(), MemoryDrive(serial="S2")

    async def story(at: At) -> None:
        at.memory.plug(one, "A1")
        seen = (await at.until("A1", BayState.ASKING)).sighting
        pulled = at.memory.plugged["A1"][1].name
        at.memory.pull("A1")
        at.memory.plug(other, "A1")
        while at.station._bays["A1"].has(pulled):  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(20):
            with pytest.raises(Refused):
                await at.station.start("A1", "zero", seen)
            await asyncio.sleep(0)
        await asyncio.sleep(100)

    played(tmp_path, story, by_itself=False)
    assert one.ios == other.ios == 0


def test_a_drive_that_turns_out_to_be_another_when_it_is_looked_at_again_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel told nothing of the swap: an order holds for the drive whose name was shown."""
    one, other = MemoryDrive(used_by="/srv"), MemoryDrive(serial="S2")

    async def story(at: At) -> None:
        at.memory.plug(one, "A1")
        before = await at.until("A1", BayState.REFUSED)
        at.memory.plugged["A1"] = (other, at.memory.plugged["A1"][1])
        await at.retry("A1")
        after = await at.until("A1", BayState.REFUSED)
        await asyncio.sleep(5)
        after = at.bay("A1")
        assert "not the drive that the order was given for" in after.reason
        assert after.drive is not None and after.drive.identity.serial == "S2"
        assert after.sighting != before.sighting
        with pytest.raises(Refused):
            await at.station.retry("A1", before.sighting)
        assert other.ios == 0
        await at.retry("A1")
        await at.until("A1", BayState.PASSED)

    played(tmp_path, story)


def test_retrying_what_nobody_could_name_does_not_say_that_it_may_be_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive, is_sick = MemoryDrive(), [True]
    identify = MemoryRack.identify

    def sickly(self: MemoryRack, sighting: Sighting) -> Drive:
        if is_sick:
            raise OSError(5, "Input/output error")
        return identify(self, sighting)

    monkeypatch.setattr(MemoryRack, "identify", sickly)

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.REFUSED)
        is_sick.clear()
        await at.retry("A1")
        await at.until("A1", BayState.ASKING)
        assert drive.ios == 0

    played(tmp_path, story, by_itself=False)


def test_two_different_orders_at_once_are_not_both_accepted(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.ASKING)
        await at.start("A1", "zero")
        await at.start("A1", "zero")
        with pytest.raises(Refused) as told:
            await at.start("A1", "random")
        assert told.value.reason == "already-ordered"
        assert (await at.until("A1", BayState.PASSED)).standard == "zero"

    played(tmp_path, story, by_itself=False)


# ---- what a person cancelled does not go on by itself


@pytest.mark.parametrize("return_by", ["plugging in again", "another bay", "restart"])
@pytest.mark.parametrize("by_itself", [True, False])
def test_a_job_that_was_cancelled_is_asked_about_when_its_drive_comes_back(
    tmp_path: Path, return_by: str, by_itself: bool
) -> None:
    drive, memory = MemoryDrive(), MemoryRack()
    written = []

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        if not by_itself:
            await at.until("A1", BayState.ASKING)
            await at.start("A1", "random")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(3)
        await at.station.cancel("A1")
        await at.until("A1", BayState.INTERRUPTED)
        written.append(drive.ios)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        if return_by != "restart":
            await back(at, "A1" if return_by == "plugging in again" else "A2")

    async def back(at: At, bay: str = "A1") -> None:
        at.memory.plug(drive, bay)
        seen = await at.until(bay, BayState.ASKING)
        await asyncio.sleep(100)
        assert at.bay(bay).waits_for == "it was cancelled (job job-1): resume it, or start it to begin anew"
        assert (seen.job_id, drive.ios) == ("job-1", written[0])
        await at.station.resume(bay, seen.sighting)
        assert (await at.until(bay, BayState.PASSED)).job_id == "job-1"

    played(tmp_path, story, memory=memory, by_itself=by_itself)
    if return_by == "restart":
        played(tmp_path, back, by_itself=by_itself)
    assert not drive.has_customers_data


def test_what_was_cancelled_can_be_begun_anew_and_the_cancelled_job_then_has_failed(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(3)
        await at.station.cancel("A1")
        await at.until("A1", BayState.INTERRUPTED)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.ASKING)
        await at.start("A1", "zero")
        seen = await at.until("A1", BayState.PASSED)
        assert (seen.job_id, seen.standard) == ("job-2", "zero")

    played(tmp_path, story)
    assert [path.read_text() for path in sorted(tmp_path.glob("*.json"))] == ["failed", "passed"]


def test_a_job_that_was_resumed_after_a_cancel_goes_on_by_itself_again(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await at.station.cancel("A1")
        await at.until("A1", BayState.INTERRUPTED)
        await at.resume("A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(3)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(drive, "A2")
        await at.until("A2", BayState.PASSED)

    played(tmp_path, story)


def test_a_cancel_is_on_record_before_a_drive_that_hangs_has_let_go(tmp_path: Path) -> None:
    """A crash in these seconds must not undo it."""
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        drive.hangs = True
        await asyncio.sleep(3)
        await at.station.cancel("A1")
        await asyncio.sleep(2)
        assert at.bay("A1").state is BayState.WRITING
        (state,) = FileJournal(tmp_path / "journal", str).open_states()
        assert state.is_cancelled

    played(tmp_path, story)


def test_a_pull_in_the_middle_of_a_cancel_does_not_undo_it(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await at.station.cancel("A1")
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.ASKING)

    played(tmp_path, story)


def test_a_cancel_while_an_interrupted_job_is_put_away_holds(tmp_path: Path) -> None:
    class CancelledAtItsEnd(MemoryDrive):
        def close(self) -> None:
            super().close()
            with suppress(StopIteration):
                at_work.pop().station.cancel("A1").send(None)

    drive = CancelledAtItsEnd()
    at_work: list[At] = []

    async def story(at: At) -> None:
        at_work.append(at)
        at.memory.plug(drive, "A1")
        drive.gone_after_ios = 20
        await at.until("A1", BayState.INTERRUPTED)
        at.memory.pull("A1")
        at.memory.plug(drive, "A2")
        await at.until("A2", BayState.ASKING)

    played(tmp_path, story)


def test_a_cancel_while_the_log_of_an_interrupted_job_is_closed_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = MemoryDrive()
    at_work: list[At] = []
    close = FiledJobLog.close

    async def cancelled_meanwhile(log: FiledJobLog) -> None:
        await close(log)
        if at_work:
            with suppress(StopIteration):
                at_work.pop().station.cancel("A1").send(None)

    async def story(at: At) -> None:
        at_work.append(at)
        at.memory.plug(drive, "A1")
        drive.gone_after_ios = 20
        await at.until("A1", BayState.INTERRUPTED)
        (state,) = FileJournal(tmp_path / "journal", str).open_states()
        assert state.is_cancelled
        at.memory.pull("A1")
        at.memory.plug(drive, "A2")
        await at.until("A2", BayState.ASKING)

    monkeypatch.setattr(FiledJobLog, "close", cancelled_meanwhile)
    played(tmp_path, story)


def test_a_cancel_holds_although_the_jobs_log_fails_before_it_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = MemoryDrive()
    at_work: list[At] = []
    append = FiledJobLog.append

    async def failing_after_a_cancel(log: FiledJobLog, event: JobEvent) -> None:
        if at_work and isinstance(event, Checkpoint):
            with suppress(StopIteration):
                at_work.pop().station.cancel("A1").send(None)
            raise JournalError("the disk did not answer")
        await append(log, event)

    async def story(at: At) -> None:
        at_work.append(at)
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.INTERRUPTED)
        at.memory.pull("A1")
        at.memory.plug(drive, "A2")
        await at.until("A2", BayState.ASKING)

    monkeypatch.setattr(FiledJobLog, "append", failing_after_a_cancel)
    played(tmp_path, story)


# ---- no cancel is lost


def is_left_alone(drive: MemoryDrive) -> bool:
    return drive.ios == 0 and drive.has_customers_data


def test_what_was_cancelled_in_the_queue_is_asked_about_after_a_restart_too(tmp_path: Path) -> None:
    waiting, memory = MemoryDrive(serial="S2"), MemoryRack()

    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WRITING)
        at.memory.plug(waiting, "A2")
        await at.until("A2", BayState.WAITING)
        await at.station.cancel("A2")
        await at.until("A2", BayState.ASKING)
        await at.until("A1", BayState.PASSED)

    async def later(at: At) -> None:
        at.memory.plug(waiting, "A2")
        seen = await at.until("A2", BayState.ASKING)
        await asyncio.sleep(100)
        assert is_left_alone(waiting)
        await at.station.resume("A2", seen.sighting)
        await at.until("A2", BayState.PASSED)

    played(tmp_path, story, memory=memory, bays=a_map(3, ONE_AT_A_TIME))
    assert is_left_alone(waiting)
    played(tmp_path, later)


def test_a_cancel_while_a_bay_waits_for_another_to_be_done_with_the_drive_holds(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        await asyncio.sleep(3)
        at.memory.pull("A1")
        at.memory.plug(drive, "A2")
        bay = at.station._bays["A2"]
        while bay.snapshot().state is not BayState.WAITING:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert "to be done with it" in bay.snapshot().waits_for
        await at.station.cancel("A2")
        await at.until("A2", BayState.ASKING)
        before = drive.ios
        await asyncio.sleep(100)
        assert at.bay("A2").state is BayState.ASKING and drive.ios == before
        at.memory.pull("A2")
        await at.until("A2", BayState.EMPTY)
        at.memory.plug(drive, "A3")
        await at.until("A3", BayState.ASKING)

    played(tmp_path, story)


@pytest.mark.parametrize("turns", range(60))
def test_a_cancel_in_any_turn_of_the_loop_holds(tmp_path: Path, turns: int) -> None:
    """From the arrival to the first write, a turn of the loop at a time: what is accepted is done."""
    drive = MemoryDrive()
    was_taken = []

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        for _ in range(turns):
            await asyncio.sleep(0)
        try:
            await at.station.cancel("A1")
            was_taken.append(True)
        except Refused:
            return  # it is empty still
        await at.until("A1", BayState.ASKING, BayState.INTERRUPTED)
        before = drive.ios
        await asyncio.sleep(100)
        assert drive.ios == before
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.ASKING)

    played(tmp_path, story)
    assert was_taken or turns < 10


def test_a_cancel_in_the_step_in_which_a_bays_turn_comes_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = MemoryDrive(serial="S2")

    async def story(at: At) -> None:
        begin = at.station.admissions._begin

        def begin_then_cancel(bay: BayName, now: float) -> None:
            begin(bay, now)
            if bay == "A2":
                at.station._bays[bay].cancel()

        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WRITING)
        at.memory.plug(waiting, "A2")
        await at.until("A2", BayState.WAITING)
        monkeypatch.setattr(at.station.admissions, "_begin", begin_then_cancel)
        await at.until("A2", BayState.ASKING)
        await asyncio.sleep(100)
        assert at.bay("A2").state is BayState.ASKING

    played(tmp_path, story, bays=a_map(2, ONE_AT_A_TIME))
    assert is_left_alone(waiting)


def test_a_cancel_right_after_a_start_takes_it_back(tmp_path: Path) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.ASKING)
        await at.start("A1")
        await at.station.cancel("A1")
        await asyncio.sleep(100)
        assert at.bay("A1").state is BayState.ASKING

    played(tmp_path, story, by_itself=False)
    assert is_left_alone(drive)


# ---- two drives in one slot; faults of this program


def test_a_second_drive_in_a_slot_has_its_turn_when_the_first_has_left(tmp_path: Path) -> None:
    one, other = MemoryDrive(), MemoryDrive(serial="S2")

    async def story(at: At) -> None:
        at.memory.plug(one, "A1")
        first = at.memory.plugged["A1"]
        await at.until("A1", BayState.WRITING)
        at.memory.plug(other, "A1")
        second = at.memory.plugged["A1"]
        await at.until("A1", BayState.PASSED)
        assert other.ios == 0
        at.memory.plugged["A1"] = first
        at.memory.pull("A1")
        at.memory.plugged["A1"] = second
        await at.until("A1", BayState.IDENTIFYING, BayState.WRITING)
        seen = await at.until("A1", BayState.PASSED)
        assert seen.drive is not None and seen.drive.identity.serial == "S2"

    played(tmp_path, story)


def test_a_second_drive_that_leaves_before_the_first_is_forgotten(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        first = at.memory.plugged["A1"]
        await at.until("A1", BayState.WRITING)
        at.memory.plug(MemoryDrive(serial="S2"), "A1")
        at.memory.pull("A1")
        at.memory.plugged["A1"] = first
        await at.until("A1", BayState.PASSED)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        await asyncio.sleep(100)
        assert at.bay("A1").state is BayState.EMPTY

    played(tmp_path, story)


def _break_snapshot(at: At) -> None:
    def snapshot(now: float) -> None:
        raise ZeroDivisionError

    at.station._bays["A1"].snapshot = snapshot  # type: ignore[assignment,method-assign]


def test_a_fault_in_looking_at_one_bay_is_that_bays(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        at.memory.plug(MemoryDrive(serial="S2"), "A2")
        await at.until("A1", BayState.WRITING)
        _break_snapshot(at)
        await at.until("A2", BayState.PASSED)
        assert "what is shown of it is old" in at.bay("A1").reason
        assert any("bay A1" in problem for problem in at.station.snapshot().problems)
        del at.station._bays["A1"].snapshot
        await at.until("A1", BayState.PASSED)
        assert not at.station.snapshot().problems and not at.bay("A1").reason

    played(tmp_path, story)


def test_a_fault_in_drawing_the_picture_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = MemoryDrive()

    async def story(at: At) -> None:
        at.memory.plug(drive, "A1")
        await at.until("A1", BayState.WRITING)
        queue = at.station._queue
        monkeypatch.setattr(at.station, "_queue", lambda bays: 1 / 0)
        await asyncio.sleep(300)
        monkeypatch.setattr(at.station, "_queue", queue)
        await at.until("A1", BayState.PASSED, seconds=1)

    played(tmp_path, story)


def test_a_fault_in_hearing_of_one_drive_leaves_the_others_heard(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        at.memory.plug(MemoryDrive(), "A1")
        await at.until("A1", BayState.WRITING)
        _, sighting = at.memory.plugged["A1"]
        at.station._bays["A1"].change = None  # type: ignore[assignment,method-assign]
        at.memory.events.put_nowait(Changed(sighting, sighting))
        at.memory.plug(MemoryDrive(serial="S2"), "A2")
        await at.until("A2", BayState.PASSED)
        assert any(sighting.name in problem for problem in at.station.snapshot().problems)

    played(tmp_path, story)


# ---- locating


@dataclass
class CountedLight:
    """A slot's light that remembers how it was switched."""

    switched: list[bool] = field(default_factory=list)

    def switch(self, *, on: bool) -> None:
        self.switched.append(on)


def test_a_slots_light_shows_the_bay_whatever_its_job_does_and_goes_out_again(tmp_path: Path) -> None:
    light = CountedLight()

    async def story(at: At) -> None:
        at.memory.lights["A1"] = light
        at.memory.plug(MemoryDrive(), "A1")
        seen = await at.until("A1", BayState.WRITING)
        await at.station.locate("A1", seen.sighting)
        assert light.switched == [True] and at.bay("A1").state is BayState.WRITING
        await at.until("A1", BayState.PASSED)
        await asyncio.sleep(LOCATE_SECONDS + 1)
        assert light.switched == [True, False] and at.memory.blinking == []

    played(tmp_path, story)


def test_a_drive_is_not_read_to_be_found_while_that_would_disturb_its_job(tmp_path: Path) -> None:
    async def story(at: At) -> None:
        for bay, reason in (("A1", "would-disturb"), ("A2", "empty-bay")):
            if bay == "A1":
                at.memory.plug(MemoryDrive(), "A1")
                await at.until("A1", BayState.WRITING)
            with pytest.raises(Refused) as told:
                await at.station.locate(bay)
            assert told.value.reason == reason and at.memory.blinking == []
        passed = await at.until("A1", BayState.PASSED)
        with pytest.raises(Refused) as told:
            await at.station.locate("A1", "another sighting")
        assert told.value.reason == "another-drive"
        await at.station.locate("A1", passed.sighting)
        await asyncio.sleep(1)
        assert len(at.memory.blinking) == 1
        # Whoever starts it is not kept from the drive by a light that blinks.
        await at.station.start("A1", "", passed.sighting)
        await at.until("A1", BayState.WRITING)
        assert at.memory.blinking == []
        await at.until("A1", BayState.PASSED)
        await at.station.locate("A1")
        await asyncio.sleep(1)
        at.memory.pull("A1")
        await at.until("A1", BayState.EMPTY)
        assert at.memory.blinking == []

    played(tmp_path, story)
