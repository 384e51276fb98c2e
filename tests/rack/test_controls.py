"""The positive control: the real engine on images and loop devices, and what follows for certificates."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eraser.certificates.controlling import ControlRecords
from eraser.certificates.envelope import CONTROL, seal
from eraser.certificates.errors import WithheldError
from eraser.certificates.keys import open_signer, station_keys
from eraser.certificates.verifying import verify_control
from eraser.domain.certificate import Station, Tool
from eraser.domain.control import Control, ControlOutcome, ControlTest
from eraser.domain.custody import CustodyRecord, DriveName, Received
from eraser.domain.drive import Drive
from eraser.domain.evidence import Operation
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.domain.sayings import Saying
from eraser.drives.claim import claim
from eraser.drives.discovery import identify
from eraser.drives.erasable import ClaimedDrive
from eraser.errors import Refused
from eraser.ledger import log, signed_records
from eraser.ledger.check import check
from eraser.ledger.engine import sqlite_url
from eraser.ledger.signed_records import SignedRecord
from eraser.ledger.station_ledger import StationLedger, open_ledger
from eraser.rack import controls as controls_module
from eraser.rack.blocking import in_own_thread
from eraser.rack.control_run import ControlParts, ControlRun
from eraser.rack.controls import ControlledIssuer, Controls, NamedDrives, Terms
from eraser.rack.erasing import Ended, Erasing, Request, prepare
from tests.lab import image_drive, loop_drive
from tests.rack.station import station

SIZE = 4 << 20
NOON = "2027-01-01T12:00:00.000Z"
DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> str:
        return self.now


def parts(clock: Callable[[], str], hold: Callable[[Drive], ClaimedDrive] | None = None) -> ControlParts:
    return ControlParts(
        Station("station-1"),
        "nist-clear",
        lambda: Tool("Eraser", "1", "build"),
        clock,
        os.urandom,
        lambda: uuid.uuid4().hex,
        hold=hold,
    )


def run(test: ControlTest, device: Path, hold: Callable[[Drive], ClaimedDrive] | None = None) -> Control:
    drive = identify(str(device))
    return asyncio.run(ControlRun(test, parts(Clock(), hold)).run(drive))


@contextmanager
def a_drive(kind: str) -> Iterator[Path]:
    if kind == "image":
        with image_drive(SIZE) as image:
            yield image
    else:
        with loop_drive(SIZE, sector_bytes=int(kind)) as loop:
            yield loop.device


KINDS = ("image", "512", "4096")


# ---- one run, on the real engine


@pytest.mark.parametrize("kind", KINDS)
def test_a_canary_passes_and_nothing_of_its_known_data_is_left(kind: str) -> None:
    with a_drive(kind) as device:
        control = run(ControlTest.CANARY, device)
        content = device.read_bytes()
    assert control.outcome is ControlOutcome.PASSED and control.is_good
    assert (control.known_places, control.known_left, control.verified_bytes) == (SIZE // 4096, 0, SIZE)
    assert b"POSITIVE CONTROL" not in content


@pytest.mark.parametrize("kind", KINDS)
def test_a_dirty_drive_fails_for_the_very_sectors_that_were_written_to(kind: str) -> None:
    with a_drive(kind) as device:
        control = run(ControlTest.DIRTY, device)
    assert control.outcome is ControlOutcome.FAILED and control.is_good
    assert len(control.dirtied) == 3 and control.dirtied[0] == 0
    sector = 512 if kind == "image" else int(kind)
    assert control.dirtied[-1] == SIZE - sector
    assert control.found == control.dirtied and control.found_total == 3
    assert "mismatch" in {reason.code for reason in control.reasons}


class Broken(ClaimedDrive):
    """A held drive of which something goes to another one."""

    def __init__(self, drive: Drive, elsewhere: Path, operations: set[Operation], *, reopens: bool = False) -> None:
        # The other one first: where it can't be had yet, the drive itself must not stay claimed.
        self._other = ClaimedDrive(claim(identify(str(elsewhere))), now_utc=Clock())
        try:
            super().__init__(claim(drive), now_utc=Clock())
        except BaseException:
            self._other.close()
            raise
        self._operations = operations
        self._reopens = reopens

    async def transfer(self, order: Any, tuning: Any, rate_limit: int) -> Any:
        if order.operation in self._operations:
            return await self._other.transfer(order, tuning, rate_limit)
        return await super().transfer(order, tuning, rate_limit)

    def reopen(self, flags: int) -> int:
        return self._other.reopen(flags) if self._reopens else super().reopen(flags)

    def close(self) -> None:
        self._other.close()
        super().close()


def broken(elsewhere: Path, *operations: Operation, reopens: bool = False) -> Callable[[Drive], ClaimedDrive]:
    return lambda drive: Broken(drive, elsewhere, set(operations), reopens=reopens)


def test_a_verification_that_does_not_see_what_is_on_the_drive_is_found_by_the_dirty_one() -> None:
    with image_drive(SIZE) as image, image_drive(SIZE) as elsewhere:
        control = run(ControlTest.DIRTY, image, broken(elsewhere, Operation.WRITE, Operation.READ))
    assert control.outcome is ControlOutcome.PASSED
    assert not control.is_good


def test_an_erasing_and_reading_of_something_else_is_found_by_the_canary() -> None:
    with image_drive(SIZE) as image, image_drive(SIZE) as elsewhere:
        control = run(ControlTest.CANARY, image, broken(elsewhere, Operation.WRITE, Operation.READ))
    assert control.outcome is ControlOutcome.PASSED  # the engine saw nothing
    assert control.known_left == control.known_places > 0
    assert not control.is_good


def test_writes_that_do_not_arrive_let_neither_be_good() -> None:
    with image_drive(SIZE) as image, image_drive(SIZE) as elsewhere:
        for test in ControlTest:
            control = run(test, image, broken(elsewhere, Operation.WRITE))
            assert control.outcome is ControlOutcome.FAILED and not control.is_good, control


def test_a_dirty_drive_that_was_not_dirtied_is_not_as_it_must_be() -> None:
    with image_drive(SIZE) as image, image_drive(SIZE) as elsewhere:
        control = run(ControlTest.DIRTY, image, broken(elsewhere, reopens=True))
    assert control.outcome is ControlOutcome.PASSED and not control.is_good


def test_a_drive_in_use_is_not_touched_and_its_control_not_as_it_must_be(tmp_path: Path) -> None:
    with loop_drive(64 << 20) as loop:
        subprocess.run(["mkfs.ext4", "-q", loop.device], check=True)
        folder = tmp_path / "mounted"
        folder.mkdir()
        subprocess.run(["mount", loop.device, folder], check=True)
        try:
            (folder / "kept").write_text("a customer's")
            for test in ControlTest:
                control = run(test, loop.device)
                assert control.outcome is ControlOutcome.NOT_RUN and not control.is_good
            assert (folder / "kept").read_text() == "a customer's"
        finally:
            subprocess.run(["umount", folder], check=True)


# ---- which drive


async def no_history(ledger: StationLedger, folder: Path, name: str, bay: str = "") -> Drive:
    names = dict.fromkeys(ControlTest, name)
    find = NamedDrives(names, folder, 1 << 20, ledger.custody, lambda device: bay, in_own_thread)
    return await find(ControlTest.DIRTY)


@asynccontextmanager
async def a_ledger(folder: Path) -> AsyncIterator[StationLedger]:
    async with open_ledger(sqlite_url(folder / "ledger.db"), "station-1", lambda: NOON) as ledger:
        yield ledger


async def test_an_image_is_made_once_in_a_folder_of_its_own(tmp_path: Path) -> None:
    async with a_ledger(tmp_path) as ledger:
        for _ in range(2):
            drive = await no_history(ledger, tmp_path / "control", "image")
        assert drive.path == str(tmp_path / "control" / "dirty.img")
        assert drive.geometry.capacity_bytes == 1 << 20
        (tmp_path / "control" / "canary.img").symlink_to(tmp_path / "ledger.db")
        names = dict.fromkeys(ControlTest, "image")
        find = NamedDrives(names, tmp_path / "control", 1 << 20, ledger.custody, lambda _: "", in_own_thread)
        before = (tmp_path / "ledger.db").read_bytes()
        try:
            control = await ControlRun(ControlTest.CANARY, parts(Clock())).run(await find(ControlTest.CANARY))
            assert control.outcome is ControlOutcome.NOT_RUN
        except Exception as error:
            assert "link" in str(error) or "regular" in str(error) or "image" in str(error), error
        assert (tmp_path / "ledger.db").read_bytes() == before


async def test_only_the_one_drive_of_its_name_outside_of_bays_and_nobodys_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with image_drive(SIZE) as image:
        found = identify(str(image))
        named = replace(found, identity=replace(found.identity, serial="CONTROL-2"))
        others: list[Drive] = [named]
        monkeypatch.setattr(controls_module, "list_drives", lambda: others)
        async with a_ledger(tmp_path) as ledger:
            assert await no_history(ledger, tmp_path, "CONTROL-2") == named
            for name, bay in (("CONTROL-3", ""), ("", ""), ("CONTROL-2", "A1")):
                with pytest.raises(Refused):
                    await no_history(ledger, tmp_path, name, bay)
            others.append(named)
            with pytest.raises(Refused, match="2 drives"):
                await no_history(ledger, tmp_path, "CONTROL-2")
            others.pop()
            record = CustodyRecord(NOON, "A1", "op", DriveName("CONTROL-2"), Received("L7"))
            await ledger.custody.record(record)
            with pytest.raises(Refused, match="somebody's"):
                await no_history(ledger, tmp_path, "CONTROL-2")


# ---- on record, and what follows


class Station1:
    """Controls over two images, a ledger, and what the station is told."""

    def __init__(self, folder: Path, ledger: StationLedger, clock: Clock) -> None:
        self.folder = folder
        self.ledger = ledger
        self.clock = clock
        self.problems: dict[str, str] = {}
        self.broken: Callable[[Drive], ClaimedDrive] | None = None
        self.controls = self.begun()

    def begun(self) -> Controls:
        records = ControlRecords(self.ledger.store, self.folder / "certificates", self.folder / "keys", "station-1")
        names = dict.fromkeys(ControlTest, "image")
        find = NamedDrives(names, self.folder / "control", SIZE, self.ledger.custody, lambda _: "", in_own_thread)
        held = parts(self.clock, self._hold)
        return Controls(Terms(DAY, names), held, records, find, self.trouble)

    def _hold(self, drive: Drive) -> ClaimedDrive:
        return self.broken(drive) if self.broken is not None else ClaimedDrive(claim(drive), now_utc=self.clock)

    def trouble(self, what: str, problem: Saying | None) -> None:
        self.problems.pop(what, None)
        if problem is not None:
            self.problems[what] = problem.english

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Runs the controls until it is so."""
        task = asyncio.ensure_future(self.controls.run())
        try:
            async with asyncio.timeout(60):
                while not is_so():
                    assert not task.done(), task
                    await asyncio.sleep(0.05)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def have_run(self, ended_at: str) -> bool:
        newest = self.controls.newest
        return len(newest) == 2 and all(item.ended_at == ended_at for item in newest.values())

    async def entries(self) -> list[LogEntry]:
        store = self.ledger.store
        return await store.read(lambda connection: [log.entry_at(connection, n) for n in range(log.size(connection))])


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Station1]:
    async with a_ledger(tmp_path) as ledger:
        plant = Station1(tmp_path, ledger, Clock())
        await plant.controls.load()
        yield plant


async def test_until_both_have_run_nothing_is_certified_and_then_both_are_on_record(plant: Station1) -> None:
    assert "has not been run yet" in plant.problems["control"]
    await plant.until(lambda: plant.have_run(NOON))
    assert plant.controls.why_withheld() == "" and plant.problems == {}
    documents = sorted((plant.folder / "certificates").glob("*.control"))
    assert [path.name.split("-")[0] for path in documents] == ["canary", "dirty"]
    keys = station_keys(plant.folder / "keys")
    assert all(verify_control(path.read_bytes(), keys).is_good for path in documents)
    assert [item.kind for item in await plant.entries()] == [EntryKind.CONTROL] * 2
    report = check(sqlite_url(plant.folder / "ledger.db"), processes=1)
    assert report.is_clean, report.findings


async def test_what_is_on_record_counts_after_the_next_start_until_it_is_overdue(plant: Station1) -> None:
    await plant.until(lambda: plant.have_run(NOON))
    again = plant.begun()
    await again.load()
    assert again.why_withheld() == ""
    plant.clock.now = "2027-01-03T00:00:00Z"
    assert "overdue" in again.why_withheld()
    await again.load()
    assert "overdue" in plant.problems["control"]


async def test_it_is_run_again_when_it_is_due_and_when_somebody_asks(plant: Station1) -> None:
    await plant.until(lambda: plant.have_run(NOON))
    plant.clock.now = "2027-01-02T12:00:00.000Z"
    await plant.until(lambda: plant.have_run(plant.clock.now))
    plant.clock.now = "2027-01-02T13:00:00.000Z"
    plant.controls.ask()
    await plant.until(lambda: plant.have_run(plant.clock.now))
    assert plant.problems == {}
    assert len(await plant.entries()) == 6


def settled(plant: Station1, names: dict[ControlTest, str]) -> None:
    """As a changed configuration does."""
    find = NamedDrives(names, plant.folder / "control", SIZE, plant.ledger.custody, lambda _: "", in_own_thread)
    plant.controls.reconfigure(Terms(DAY, names), parts(plant.clock, plant._hold), find)


async def test_a_control_that_is_switched_off_withholds_nothing_and_one_that_is_switched_on_is_run(
    plant: Station1,
) -> None:
    assert plant.controls.why_withheld() != ""
    settled(plant, {})
    assert (plant.controls.why_withheld(), plant.problems, plant.controls.form()) == ("", {}, None)
    settled(plant, dict.fromkeys(ControlTest, "image"))
    assert "has not been run yet" in plant.problems["control"]
    await plant.until(lambda: plant.have_run(NOON))
    form = plant.controls.form()
    assert form is not None and form.withheld == ""
    assert [(line.is_as_expected, line.next_at) for line in form.controls] == [(True, "2027-01-02T12:00:00Z")] * 2


async def test_a_control_whose_drive_is_another_one_now_is_run_at_once(plant: Station1) -> None:
    await plant.until(lambda: plant.have_run(NOON))
    plant.clock.now = "2027-01-01T13:00:00.000Z"
    settled(plant, {ControlTest.CANARY: "image", ControlTest.DIRTY: "NO-SUCH-DRIVE"})
    form = plant.controls.form()
    assert form is not None and [line.next_at for line in form.controls] == ["2027-01-02T12:00:00Z", ""]
    await plant.until(lambda: plant.controls.newest[ControlTest.DIRTY].ended_at == plant.clock.now)
    assert plant.controls.newest[ControlTest.CANARY].ended_at == NOON, "nothing about it has changed"
    assert "dirty control" in plant.controls.why_withheld()


async def test_a_record_that_this_stations_key_did_not_sign_lets_nothing_be_certified(plant: Station1) -> None:
    await plant.until(lambda: plant.have_run(NOON))
    good = plant.controls.newest[ControlTest.DIRTY]
    plant.clock.now = later = "2027-01-04T00:00:00.000Z"
    forged = replace(good, control_id="f" * 32, ended_at=later)
    document = seal(to_json(forged), open_signer(plant.folder / "elsewhere"), CONTROL)
    record = SignedRecord(
        LogEntry(EntryKind.CONTROL, "f" * 32, bytes(32)), "dirty", "station-1", later, "forged.control", document
    )
    await plant.ledger.store.write(lambda connection: signed_records.put(record, connection))
    again = plant.begun()
    await again.load()
    assert "dirty control has not been run" in again.why_withheld()


async def test_a_control_that_cannot_be_put_on_record_lets_nothing_be_certified(
    plant: Station1, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise Refused("full", "no room")

    with monkeypatch.context() as full:
        full.setattr(signed_records, "put", fails)
        await plant.until(lambda: "control record" in plant.problems)
        assert plant.controls.why_withheld() != ""
    await plant.until(lambda: plant.have_run(NOON))
    assert plant.problems == {}


async def test_a_control_that_is_not_as_it_must_be_closes_even_where_it_cannot_be_put_on_record(
    plant: Station1, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise Refused("full", "no room")

    async def bursts(*_: object) -> None:
        raise ZeroDivisionError

    await plant.until(lambda: plant.have_run(NOON))
    assert plant.controls.why_withheld() == ""
    monkeypatch.setattr(signed_records, "put", fails)
    monkeypatch.setattr(ControlRun, "_on", bursts)
    plant.controls.ask()
    await plant.until(lambda: "control record" in plant.problems)
    assert "a fault of this program" in plant.problems["control"]


async def test_what_is_on_record_becomes_overdue_also_while_the_next_control_takes_its_time(
    plant: Station1, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lasts(*_: object) -> None:
        await asyncio.Event().wait()

    await plant.until(lambda: plant.have_run(NOON))
    monkeypatch.setattr(controls_module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(controls_module, "STOP_SECONDS", 0.05)
    monkeypatch.setattr(ControlRun, "_on", lasts)
    plant.controls.ask()
    await plant.until(lambda: plant.controls.running is not None and not plant.problems)
    plant.controls.ask()
    plant.clock.now = "2027-01-04T00:00:00.000Z"
    await plant.until(lambda: plant.controls.running is not None and "overdue" in plant.problems.get("control", ""))


async def test_a_fault_of_this_program_in_a_control_closes_and_does_not_end_the_station(
    plant: Station1, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bursts(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as fault:
        fault.setattr(ControlRun, "_on", bursts)
        await plant.until(lambda: plant.have_run(NOON))
    assert "a fault of this program" in plant.controls.why_withheld()


def controlled_station(plant: Station1) -> Any:
    at = station(plant.folder / "home")
    issue = ControlledIssuer(at.issue, lambda: plant.controls.why_withheld())
    return replace(at, issue=issue, why_doubted=lambda at: plant.controls.why_doubted(at), now_utc=plant.clock)


async def test_a_job_that_was_read_back_while_a_control_was_blind_never_passes_however_good_the_next_control_is(
    plant: Station1,
) -> None:
    at = controlled_station(plant)
    with image_drive(SIZE) as elsewhere, image_drive(SIZE) as image:
        plant.broken = broken(elsewhere, Operation.WRITE, Operation.READ)
        await plant.until(lambda: plant.have_run(NOON))
        assert "PASSED although 3 sectors were dirty" in plant.problems["control"]
        assert "left known data at" in plant.problems["control"]
        plant.clock.now = "2027-01-01T12:05:00.000Z"
        result = await Erasing(at, str(image)).begin(prepare(str(image), Request("random"), at.random_bytes))
        assert result.outcome is Ended.INTERRUPTED and "it failed, and its certificate waits" in result.reason
        plant.broken = None
        plant.clock.now = "2027-01-01T12:15:00.000Z"
        await plant.until(lambda: plant.have_run(plant.clock.now))
        assert plant.problems == {}
        issued = await Erasing(at, "").issue_due(result.job_id)
        assert issued.outcome is Ended.FAILED and "known data" in issued.reason
        assert await at.journal.open_states() == []


async def test_a_job_that_waited_for_an_overdue_control_which_then_was_blind_has_failed(plant: Station1) -> None:
    at = controlled_station(plant)
    with image_drive(SIZE) as elsewhere, image_drive(SIZE) as image:
        plant.clock.now = "2027-01-01T11:00:00.000Z"  # none has run yet
        result = await Erasing(at, str(image)).begin(prepare(str(image), Request("random"), at.random_bytes))
        assert result.outcome is Ended.INTERRUPTED and "it passed, and its certificate waits" in result.reason
        plant.clock.now = NOON
        plant.broken = broken(elsewhere, Operation.WRITE, Operation.READ)
        await plant.until(lambda: plant.have_run(NOON))
        plant.broken = None
        plant.clock.now = "2027-01-01T12:15:00.000Z"
        plant.controls = plant.begun()  # the station began anew in between: what is on record counts
        await plant.controls.load()
        await plant.until(lambda: plant.have_run(plant.clock.now))
        issued = await Erasing(at, "").issue_due(result.job_id)
        assert issued.outcome is Ended.FAILED and "canary control" in issued.reason


async def test_jobs_end_while_nothing_is_certified_and_their_certificates_are_issued_when_the_control_is_good_again(
    plant: Station1,
) -> None:
    at = controlled_station(plant)
    with image_drive(SIZE) as image:
        plant.broken = in_use
        await plant.until(lambda: plant.have_run(NOON))
        assert "could not be run" in plant.problems["control"]
        erasing = Erasing(at, str(image))
        result = await erasing.begin(prepare(str(image), Request("random"), at.random_bytes))
        assert result.outcome is Ended.INTERRUPTED and result.certificate is None
        assert "it passed, and its certificate waits" in result.reason
        assert not list((plant.folder / "home").rglob("*.json"))
        (state,) = await at.journal.open_states()
        assert state.outcome is not None and state.is_open
        plant.broken = None
        plant.clock.now = "2027-01-01T12:15:00.000Z"
        await plant.until(lambda: plant.have_run(plant.clock.now))
        assert plant.problems == {}
        issued = await Erasing(at, "").issue_due(result.job_id)
        assert issued.outcome is Ended.PASSED and issued.certificate is not None
        assert await at.journal.open_states() == []


def in_use(drive: Drive) -> ClaimedDrive:
    raise Refused("mounted", "it is in use", subject=drive.path)


def test_the_gate_names_its_reason() -> None:
    with pytest.raises(WithheldError, match="the dirty control"):
        ControlledIssuer(Never(), lambda: "the dirty control is overdue")(None)  # type: ignore[arg-type]


class Never:
    def keep_hashes(self, state: Any, leaves: Any) -> None:
        raise AssertionError

    def __call__(self, state: Any) -> Any:
        raise AssertionError
