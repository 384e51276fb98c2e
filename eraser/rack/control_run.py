"""One positive control: a drive of the station's own goes the way that customers' drives go, through the same `JobRun`.

The canary gets known data first, and is looked through for it afterwards by a plain reading that is not the engine's. On the
dirty one a few sectors are written to in the moment between erasing and reading back. What comes out is put down; whether that
is as it must be is a rule (`domain/control.py`).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from eraser.domain.certificate import Station, Tool
from eraser.domain.control import FORMAT, VERSION, Control, ControlDrive, ControlOutcome, ControlTest
from eraser.domain.custody import own_serial, world_wide_name
from eraser.domain.drive import Drive
from eraser.domain.events import DriveIdentified, JobEvent, JobPlanned, JobQueued, Reason, VerificationStarted
from eraser.domain.job import JobState, apply
from eraser.domain.pattern import RandomBytes
from eraser.domain.policy import make_plan
from eraser.domain.program import Verification
from eraser.drives.claim import claim
from eraser.drives.erasable import ClaimedDrive
from eraser.drives.guard import UseReason
from eraser.engine.tuning import Tuning, tuning_for
from eraser.errors import EraserError, Refused
from eraser.rack.blocking import BlockingCall, in_own_thread
from eraser.rack.job_run import JobRun

HOLD_TRIES = 20
HOLD_SECONDS = 0.25
MOST_PLACES = 1024
PLACE_BYTES = 4096
_TEXT = b"ERASER POSITIVE CONTROL: KNOWN DATA AT BYTE %020d\n"


@dataclass(frozen=True, slots=True)
class ControlParts:
    """What a control needs of its surroundings. `hold` claims a drive as for any job; it may block."""

    station: Station
    standard: str
    tool: Callable[[], Tool]
    now_utc: Callable[[], str]
    random_bytes: RandomBytes
    new_id: Callable[[], str]
    tune: Callable[[Drive], Tuning] = tuning_for
    hold: Callable[[Drive], ClaimedDrive] | None = None
    call: BlockingCall = in_own_thread


class ControlRun:
    """Runs one control on one drive, which is erased. `run` once."""

    def __init__(self, test: ControlTest, parts: ControlParts) -> None:
        self._test = test
        self._parts = parts
        self._began = parts.now_utc()
        self._drive = ControlDrive("", "", "", 0)
        self._dirtied: tuple[int, ...] = ()
        self._job: JobRun | None = None

    def cancel(self) -> None:
        """Ends it; what it found is then *not run*."""
        if self._job is not None:
            self._job.cancel()

    async def run(self, drive: Drive) -> Control:
        """What came out. Nothing is raised for what the drive does."""
        identity = drive.identity
        self._drive = ControlDrive(
            drive.path, own_serial(identity), world_wide_name(identity), drive.geometry.capacity_bytes
        )
        try:
            held = await self._held(drive)
        except (EraserError, OSError) as error:
            return self.not_run(str(error))
        try:
            return await self._on(held)
        except (EraserError, OSError) as error:
            return self.not_run(str(error))
        finally:
            await self._parts.call(held.close)

    def not_run(self, why: str) -> Control:
        """A control that came to no judgement."""
        return self._control(ControlOutcome.NOT_RUN, (Reason("not-run", why),))

    async def _held(self, drive: Drive) -> ClaimedDrive:
        """A transfer process of the control before may take a moment to be gone: that one is waited for."""
        for _ in range(HOLD_TRIES):
            try:
                return await self._parts.call(self._hold, drive)
            except Refused as refusal:
                if refusal.reason != UseReason.OPEN.value:
                    raise
            await asyncio.sleep(HOLD_SECONDS)
        return await self._parts.call(self._hold, drive)

    def _hold(self, drive: Drive) -> ClaimedDrive:
        if self._parts.hold is not None:
            return self._parts.hold(drive)
        return ClaimedDrive(claim(drive), now_utc=self._parts.now_utc)

    async def _on(self, held: ClaimedDrive) -> Control:
        is_canary = self._test is ControlTest.CANARY
        places = places_of(held.drive.geometry.capacity_bytes) if is_canary else ()
        if is_canary and not await self._parts.call(write_known, held, places):
            return self.not_run("known data that was written to it did not come back")
        state = await self._erased(held)
        if state.outcome is None:
            return self.not_run(state.why or "its job did not end")
        left = await self._parts.call(known_left, held, places)
        return self._judged(state, len(places), left)

    async def _erased(self, drive: ClaimedDrive) -> JobState:
        parts = self._parts

        async def before_reading() -> None:
            if self._test is ControlTest.DIRTY and not self._dirtied:
                self._dirtied = await parts.call(dirty, drive, parts.random_bytes)

        log = _MemoryLog(
            JobQueued(parts.new_id(), drive.drive.path, parts.standard, parts.station.id), parts.now_utc, before_reading
        )
        plan = make_plan(drive.drive, parts.standard, random_bytes=parts.random_bytes, verification=Verification.FULL)
        await log.append(DriveIdentified(drive.drive))
        await log.append(JobPlanned(plan))
        self._job = JobRun(
            log,
            drive,
            parts.tune(drive.drive),
            random_bytes=parts.random_bytes,
            keep_hashes=lambda state, leaves: None,
            call=parts.call,
        )
        return await self._job.run()

    def _judged(self, state: JobState, known: int, left: int) -> Control:
        assert state.outcome is not None
        readings = (*state.pass_verifications, *([state.final_verification] if state.final_verification else []))
        report = readings[-1].report if readings else None
        return replace(
            self._control(ControlOutcome(state.outcome.value), state.reasons),
            verified_bytes=report.bytes_done if report is not None else 0,
            known_places=known,
            known_left=left,
            dirtied=self._dirtied,
            found=tuple(sorted(report.first_mismatches)) if report is not None else (),
            found_total=report.mismatched_sectors if report is not None else 0,
        )

    def _control(self, outcome: ControlOutcome, reasons: tuple[Reason, ...]) -> Control:
        parts = self._parts
        return Control(
            format=FORMAT,
            version=VERSION,
            control_id=parts.new_id(),
            test=self._test,
            drive=self._drive,
            standard=parts.standard,
            outcome=outcome,
            reasons=reasons,
            verified_bytes=0,
            known_places=0,
            known_left=0,
            dirtied=(),
            found=(),
            found_total=0,
            started_at=self._began,
            ended_at=parts.now_utc(),
            station=parts.station,
            tool=parts.tool(),
        )


class _MemoryLog:
    """`eraser.ledger.journal.JobLog` of a job that is on record as its control alone. `before_reading` is called when the job
    announces a verification: after its last write and flush, and before the first byte is read back.
    """

    def __init__(
        self, request: JobQueued, now_utc: Callable[[], str], before_reading: Callable[[], Awaitable[None]]
    ) -> None:
        self._now_utc = now_utc
        self._before_reading = before_reading
        self.state = apply(None, request, now_utc())

    async def append(self, event: JobEvent) -> None:
        """Raises JournalError for what can't come now."""
        if isinstance(event, VerificationStarted):
            await self._before_reading()
        self.state = apply(self.state, event, self._now_utc())

    async def close(self) -> None:
        """Nothing is held."""


def dirty(held: ClaimedDrive, random_bytes: RandomBytes) -> tuple[int, ...]:
    """Writes to the first sector, to the last, and to one that nobody knows before: their byte offsets, sorted. Blocks. Raises
    OSError.
    """
    geometry = held.drive.geometry
    sector = geometry.logical_sector_bytes
    last = geometry.capacity_bytes // sector - 1
    chosen = 1 + int.from_bytes(random_bytes(8), "big") % max(1, last - 1)
    places = sorted({0, chosen * sector, last * sector})
    fd = held.reopen(os.O_RDWR)
    try:
        for place in places:
            os.pwrite(fd, random_bytes(sector), place)
        os.fsync(fd)
    finally:
        os.close(fd)
    return tuple(places)


def places_of(capacity_bytes: int) -> tuple[int, ...]:
    """Byte offsets at which a canary gets known data: spread evenly, the first and the last place among them."""
    count = capacity_bytes // PLACE_BYTES
    step = max(1, count // MOST_PLACES)
    return tuple(sorted({*(place * PLACE_BYTES for place in range(0, count, step)), (count - 1) * PLACE_BYTES}))


def _known(place: int) -> bytes:
    text = _TEXT % place
    return (text * (PLACE_BYTES // len(text) + 1))[:PLACE_BYTES]


def write_known(held: ClaimedDrive, places: tuple[int, ...]) -> bool:
    """Writes known data, and tells whether all of it came back. Blocks. Raises OSError."""
    fd = held.reopen(os.O_RDWR)
    try:
        for place in places:
            os.pwrite(fd, _known(place), place)
        os.fsync(fd)
        _drop_cache(fd)
        return all(os.pread(fd, PLACE_BYTES, place) == _known(place) for place in places)
    finally:
        os.close(fd)


def known_left(held: ClaimedDrive, places: tuple[int, ...]) -> int:
    """At how many places a piece of the known data is still there. Blocks. Raises OSError."""
    fd = held.reopen(os.O_RDONLY)
    try:
        _drop_cache(fd)
        return sum(_holds_known(os.pread(fd, PLACE_BYTES, place), place) for place in places)
    finally:
        os.close(fd)


def _drop_cache(fd: int) -> None:
    """So that what is read comes from the drive."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _holds_known(content: bytes, place: int) -> bool:
    known = _known(place)
    pieces = range(0, PLACE_BYTES, 512)
    return any(content[start : start + 512] == known[start : start + 512] for start in pieces)
