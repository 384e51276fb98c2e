"""One bay: what is in it, and what becomes of that. One task tree for as long as a drive is in the slot.

A drive that arrives is identified, looked at by the guard, planned, admitted and erased; each step may end in a state in which
a person is needed, and each person's order begins the steps anew. A job that has begun is never torn off: it is asked to
stop at a checkpoint, writes down how far it came, and gives the drive back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, TypeVar

from eraser.domain.admission import Needs
from eraser.domain.bay import BandwidthDomain, Bay, BayName
from eraser.domain.drive import Drive, is_recognisable, same_drive
from eraser.domain.events import Outcome, Reason
from eraser.domain.job import JobState
from eraser.domain.sayings import VERIFICATION_FAILURES, Code, Saying, Sayings, english, say, say_error
from eraser.drives.guard import UseReason
from eraser.errors import DriveError, EraserError, Refused
from eraser.ledger.errors import LedgerFull
from eraser.rack.admitting import Withdrawn
from eraser.rack.erasing import Ended, Erasing, Prepared, Result, open_job, prepare_drive
from eraser.rack.intake import Terms
from eraser.rack.job_run import Progress, Stage
from eraser.rack.meter import Meter
from eraser.rack.picture import Shown, of_job
from eraser.rack.presence import Sighting
from eraser.rack.surroundings import Light, Past, Surroundings
from eraser.rack.view import LOCATE_SECONDS, BaySnapshot, BayState, PauseReason

T = TypeVar("T")

IDENTIFY_SECONDS = 60.0
"""Longer than a sick drive's host takes to give a command up; then the drive is refused until somebody asks again."""

CONSENT_SECONDS = 1.0
"""How often the ledger is asked whether a customer has agreed."""

FULL_LEDGER_SECONDS = 5.0
"""How long until a full ledger is tried again."""

_RUNNING = (BayState.WRITING, BayState.VERIFYING, BayState.PAUSED)
_STARTABLE = (BayState.ASKING, BayState.PASSED, BayState.INTERRUPTED)
_STILL = (BayState.ASKING, BayState.PASSED, BayState.FAILED, BayState.REFUSED, BayState.INTERRUPTED)
"""In which a drive may be read to make its light blink: nothing is done with it, nor begins by itself."""
_REPEATABLE = (BayState.FAILED, BayState.INTERRUPTED, BayState.REFUSED)


class _Order(Enum):
    """Why the steps begin."""

    NONE = auto()
    """By themselves."""
    START = auto()
    """A person wants it erased from the start."""
    RESUME = auto()
    """A person wants its job to go on, and no other to begin."""
    RETRY = auto()
    """A person wants its job to go on, or where there is none a new one."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """Why the steps begin, and which drive whoever wished it saw."""

    order: _Order = _Order.NONE
    standard: str = ""
    seen: Drive | None = None
    operator: str = ""
    """Who wished it, where that is known."""


class _Stale(Exception):
    """What was to be done with the drive is no longer so, by what went on record while it waited for its turn."""


class BayRun:
    """One bay at work. `run` once, in a task of its own; all else at any time, on the loop's thread."""

    def __init__(self, bay: Bay, station: Surroundings) -> None:
        self.bay = bay
        self._station = station
        self._sighting: Sighting | None = None
        self._next: list[Sighting] = []
        """Other drives in the slot, in the order in which they came: the first of them is next."""
        self._attended: Sighting | None = None
        self._found_domains: tuple[BandwidthDomain, ...] = ()
        self._erasing: Erasing | None = None
        self._shown = Shown()
        self._meter = Meter()
        self._wish: _Wish | None = None
        self._wished = asyncio.Event()
        self._wake = asyncio.Event()
        self._is_cancelled = False
        """Whether a person cancelled what has not begun yet."""
        self._owed: Sighting | None = None
        """What a person cancelled, until that is on record or a person orders something else: it may take long, and the bay
        be maintained meanwhile.
        """
        self._is_recording = False
        self._is_stopping = False
        self._pauses: dict[PauseReason, Saying] = {}
        self._in_maintenance = False
        self._is_leaving = False
        self._tree: asyncio.TaskGroup | None = None
        """While a drive is attended to."""
        self._locating: asyncio.Task[None] | None = None

    @property
    def name(self) -> BayName:
        """As in the map."""
        return self.bay.name

    # ---- what happens to it

    def arrive(self, sighting: Sighting) -> bool:
        """A drive is in the slot. False when there is one already: the slot then shows two, and the other waits until the first
        has left.
        """
        if self._sighting is not None:
            self._next = [*(item for item in self._next if item.name != sighting.name), sighting]
            return False
        self._sighting = sighting
        self._wake.set()
        return True

    def leave(self, sighting: Sighting) -> None:
        """The drive is no longer in the slot."""
        self._next = [item for item in self._next if item.name != sighting.name]
        if self._sighting is not None and self._sighting.name == sighting.name:
            self._sighting = self._next.pop(0) if self._next else None
            self._wake.set()
            self._station.tell_change()

    def change(self, sighting: Sighting) -> None:
        """Another medium is in the same device: all begins anew."""
        self._next = [sighting if item.name == sighting.name else item for item in self._next]
        if self._sighting is not None and self._sighting.name == sighting.name:
            self._sighting = sighting
            self._wake.set()

    def stop(self) -> None:
        """Ends at the next checkpoint; `run` returns then."""
        self._is_stopping = True
        self._wake.set()

    def claims(self, drive: Drive) -> bool:
        """Whether this very drive is here, or what was begun with it is not put away yet."""
        mine = self._shown.drive
        return mine is not None and is_recognisable(drive) and not same_drive(mine, drive)

    def has(self, name: str) -> bool:
        """Whether the drive that the kernel calls so is in the slot."""
        return any(item is not None and item.name == name for item in (self._sighting, *self._next))

    @property
    def is_at_work(self) -> bool:
        """Whether a job runs, or is being put away."""
        return self._erasing is not None or self._is_recording

    @property
    def is_occupied(self) -> bool:
        """Whether a drive is in the slot now."""
        return self._sighting is not None

    @property
    def waits_for_room(self) -> bool:
        """Whether its job stands still because a disk is full: the ledger's, or that of the certificates."""
        return self._erasing is not None and self._erasing.waits_for_room

    # ---- what people order

    def start(self, standard: str, seen: str, operator: str = "") -> None:
        """Erases the drive from the start; a job that somebody cancelled is given up for it. Raises Refused."""
        self._expect_seen(seen)
        self._expect("start", *_STARTABLE)
        self._take_wish(_Wish(_Order.START, standard, self._shown.drive, operator))

    def pause(self, seen: str | None = None) -> None:
        """Holds the job at a checkpoint. Raises Refused."""
        self._expect_seen(seen)
        rests_anyway = self._pauses and PauseReason.PERSON not in self._pauses
        self._expect("pause", BayState.WRITING, BayState.VERIFYING, *((BayState.PAUSED,) if rests_anyway else ()))
        self.rest(PauseReason.PERSON, say(Code.PAUSED_BY_PERSON))

    def resume(self, seen: str | None = None) -> None:
        """Goes on with what a person paused or cancelled, or with what was interrupted; begins nothing new. Raises Refused."""
        self._expect_seen(seen)
        cancelled = (BayState.ASKING,) if self._shown.is_cancelled else ()
        self._expect("resume", BayState.PAUSED, BayState.INTERRUPTED, *cancelled)
        if self._erasing is None:
            if seen is None:
                # It writes: what a person cancelled stays so until somebody who knows which drive it is says otherwise.
                raise Refused(
                    "not-seen",
                    "a job that stopped goes on only on the drive that whoever says so has seen",
                    subject=f"bay {self.name}",
                    remedy="Say with the order which sighting of the bay it is for (`sighting` of the bay).",
                )
            self._take_wish(_Wish(_Order.RESUME, seen=self._shown.drive))
            return
        if self._pauses and PauseReason.PERSON not in self._pauses:
            raise Refused(
                "rests",
                f"no person paused it: it {english(self._pauses.values())}",
                subject=f"bay {self.name}",
                remedy="It goes on by itself; cancel it if it is not to.",
            )
        self.go_on(PauseReason.PERSON)

    def cancel(self, seen: str | None = None) -> None:
        """Stops the job at a checkpoint, or keeps it from beginning; it goes on when a person says so. Raises Refused."""
        self._expect_seen(seen)
        if self._wish is not None:  # not begun with: as if it had not been said
            self._wish = None
            self._wished.clear()
            return
        self._expect("cancel", BayState.IDENTIFYING, BayState.WAITING, *_RUNNING)
        if self._erasing is not None:
            self._erasing.cancel(by_person=True)
        else:
            self._is_cancelled, self._owed = True, self._sighting
            self._station.admissions.withdraw(self.name)
            self._station.tell_change()  # it may wait for another bay, and then says so

    def retry(self, seen: str, operator: str = "") -> None:
        """Looks at the drive anew and erases it; an interrupted job goes on. One that could not be identified before is treated
        as if it were new, since nobody knew what it was. Raises Refused.
        """
        self._expect_seen(seen)
        self._expect("retry", *_REPEATABLE)
        drive = self._shown.drive
        self._take_wish(_Wish(_Order.RETRY, seen=drive, operator=operator) if drive is not None else _Wish())

    async def locate(self, seen: str | None = None) -> None:
        """Lights up the slot for a while, or makes the drive's own light blink. Raises Refused, or DriveError when its light
        cannot be switched.
        """
        self._expect_seen(seen)
        sighting, tree = self._sighting, self._tree
        if sighting is None or tree is None or self._shown.drive is None:
            raise Refused("empty-bay", "no drive is known in it, so it cannot be shown", subject=f"bay {self.name}")
        light = await self._station.parts.call(self._station.access.light, sighting)
        if light is None and (self.is_at_work or self.snapshot().state not in _STILL):
            raise Refused(
                "would-disturb",
                "the slot has no light, and to read the drive so that its own blinks would disturb its job",
                subject=f"bay {self.name}",
                remedy="Wait until the job has ended, or look for the serial number.",
            )
        await self._end_locating()
        if light is not None:
            await self._station.parts.call(light.switch, on=True)
        if self._tree is tree and not self._is_leaving:
            self._locating = tree.create_task(self._show_place(sighting, light))

    async def _show_place(self, sighting: Sighting, light: Light | None) -> None:
        """Nothing that goes wrong here is the job's matter."""
        try:
            if light is None:
                await self._station.access.blink(sighting, LOCATE_SECONDS)
            else:
                await asyncio.sleep(LOCATE_SECONDS)
        except (EraserError, OSError) as error:
            self._station.log.warning("cannot be located", bay=self.name, reason=str(error))
        finally:
            if light is not None:
                with suppress(EraserError):
                    await self._station.parts.call(light.switch, on=False)

    async def _end_locating(self) -> None:
        """Whoever wants to do something with the drive is not kept from it."""
        if self._locating is not None:
            self._locating.cancel()
            await asyncio.wait({self._locating})
            self._locating = None

    def maintain(self, on: bool) -> None:
        """Begins nothing here until it is taken back; what runs stops at a checkpoint."""
        self._in_maintenance = on
        self._wake.set()

    # ---- what its watchdog sees and does

    @property
    def sighting(self) -> Sighting | None:
        """What is in the slot now."""
        return self._sighting

    @property
    def drive(self) -> Drive | None:
        """Once it is identified."""
        return self._shown.drive

    @property
    def erasing(self) -> Erasing | None:
        """What is being done with it."""
        return self._erasing

    @property
    def is_resting(self) -> bool:
        """Whether its job is to rest, for whatever reason."""
        return bool(self._pauses)

    def rest(self, reason: PauseReason, what: Saying) -> None:
        """Holds its job at a checkpoint, also one that begins later, until nobody has a reason any more."""
        self._pauses[reason] = what
        if self._erasing is not None:
            self._erasing.pause()

    def go_on(self, reason: PauseReason) -> None:
        """One reason to rest is no more."""
        was_resting = self._pauses.pop(reason, None) is not None
        if was_resting and not self._pauses and self._erasing is not None:
            self._erasing.resume()

    def give_up(self, criterion: Reason) -> None:
        """Ends its job as failed: it is not worth going on with."""
        if self._erasing is not None:
            self._erasing.give_up(criterion)

    def alarm(self, alarms: Mapping[str, Saying], *, stalls: int, temperature_celsius: float | None) -> None:
        """What is the matter with the drive, by name."""
        self._shown.alarms = alarms
        self._shown.stalls = stalls
        self._shown.temperature_celsius = temperature_celsius

    def _expect(self, order: str, *states: BayState) -> None:
        state = self.snapshot().state
        if state not in states:
            raise Refused(
                "wrong-state",
                f"it is {state.value} and cannot obey {order}",
                subject=f"bay {self.name}",
                remedy=f"{order} is for a bay that is {', '.join(item.value for item in states)}.",
            )

    def _expect_seen(self, seen: str | None) -> None:
        is_changing = self._attended is not None and self._must_end(self._attended)
        if seen is not None and (seen != self._shown.sighting or is_changing):
            raise Refused(
                "another-drive",
                "what is in it is not what the order was given for",
                subject=f"bay {self.name}",
                remedy="Look at the bay again (`eraser status`), then repeat the order.",
            )

    def _take_wish(self, wish: _Wish) -> None:
        if self._wish is not None and self._wish != wish:
            raise Refused(
                "already-ordered",
                "another order is about to be carried out",
                subject=f"bay {self.name}",
                remedy="Look at the bay again, then repeat the order if it is still wanted.",
            )
        self._wish, self._owed = wish, None
        self._wished.set()

    # ---- what is seen

    def needs(self) -> Needs:
        """What its drive shares with others, by the map as it is now."""
        station = self._station
        return Needs(self.name, station.domains_of(self.bay, self._found_domains), station.power_of(self.bay))

    def snapshot(self, now: float | None = None) -> BaySnapshot:
        """What the picture shows. With the loop's time, once a tick, it also takes in how fast its job goes."""
        job = self._erasing.job if self._erasing is not None else None
        progress = job.progress() if job is not None else None
        drive = self._shown.drive
        if progress is not None and drive is not None and now is not None:
            self._meter.look(progress, drive.geometry.capacity_bytes, now)
        fields = self._shown.of_drive(self.bay)
        waiting = self._waiting()
        if self._erasing is not None:
            fields["job_id"] = self._erasing.job_id
        if job is not None and progress is not None:
            fields |= of_job(fields, job, progress, self._meter)
            waiting = (*waiting, *self._pauses.values())
            fields["pauses"] = tuple(self._pauses)
        return BaySnapshot(state=self._state(progress), waiting=waiting, **fields)

    def _waiting(self) -> Sayings:
        if self.waits_for_room:
            return (say(Code.WAITS_FOR_ROOM),)
        waiting = self._station.admissions.reason(self.name)
        return (waiting.saying,) if waiting is not None else self._shown.waiting

    def _state(self, progress: Progress | None) -> BayState:
        if self._erasing is not None:
            if self.waits_for_room:
                return BayState.PAUSED
            if progress is None:
                return BayState.WRITING
            if progress.is_paused or self._pauses:
                return BayState.PAUSED
            early = (Stage.STARTING, Stage.MARKERS, Stage.WRITING)
            return BayState.WRITING if progress.stage in early else BayState.VERIFYING
        return BayState.MAINTENANCE if self._in_maintenance else self._shown.state

    # ---- the way

    async def run(self) -> None:
        """Attends to one drive after the other until `stop`."""
        while (sighting := await self._next_drive()) is not None:
            await self._attend(sighting)

    async def _next_drive(self) -> Sighting | None:
        while not self._is_stopping:
            if self._sighting is not None and not self._in_maintenance:
                return self._sighting
            self._wake.clear()
            await self._wake.wait()
        return None

    async def _attend(self, sighting: Sighting) -> None:
        """All that is done with one drive, until it leaves, the bay is maintained, or the station stops."""
        self._is_leaving = False
        self._attended = sighting
        self._shown.sighting = self._station.new_sighting()
        async with asyncio.TaskGroup() as tree:
            self._tree = tree
            life = tree.create_task(self._live(sighting))
            while not self._must_end(sighting):
                self._wake.clear()
                await self._wake.wait()
            # For good: what made it end may be taken back before the job has stopped.
            self._is_leaving, self._tree = True, None
            if self._locating is not None:
                self._locating.cancel()
            # A job is never torn off: it writes down how far it came, and the loop of `_live` then ends.
            if self._erasing is not None:
                self._erasing.cancel()
            elif not self._is_recording:
                life.cancel()
        self._attended = self._locating = None
        self._shown = Shown()
        self._pauses.clear()
        self._wish = None
        self._wished.clear()
        self._station.tell_change()

    def _must_end(self, sighting: Sighting) -> bool:
        return self._sighting is not sighting or self._is_stopping or self._in_maintenance

    async def _live(self, sighting: Sighting) -> None:
        wish = _Wish()
        while True:
            await self._try(sighting, wish)
            if self._is_leaving or self._must_end(sighting):
                return
            wish = await self._next_wish()

    async def _next_wish(self) -> _Wish:
        await self._wished.wait()
        self._wished.clear()
        wish, self._wish = self._wish, None
        assert wish is not None
        return wish

    async def _try(self, sighting: Sighting, wish: _Wish) -> None:
        """The steps once, whatever they end in. The edge of the bay: nothing that goes wrong here leaves it."""
        self._is_cancelled = self._owed is sighting
        await self._end_locating()
        try:
            await self._steps(sighting, wish)
        except (EraserError, OSError) as error:
            await self._keep_cancel()
            held = isinstance(error, Refused) and error.reason == UseReason.HELD_BY_UNFINISHED_IO.value
            self._show(BayState.HELD if held else self._turned_down(), say_error(error))
        except Exception as error:
            self._station.log.exception("fault of this program", bay=self.name)
            self._show(self._turned_down(), say(Code.FAULT, detail=repr(error)))
        finally:
            self._erasing = None

    async def _keep_cancel(self) -> None:
        """A job that ends by a failure of its journal may have been cancelled by a person, and that not be on record."""
        if (erasing := self._erasing) is not None and erasing.is_cancelled_by_person and erasing.job_id:
            self._station.unrecorded_cancels.add(erasing.job_id)
            with suppress(EraserError, OSError):  # else when the drive is looked at again
                await self._record_owed(erasing.job_id)

    async def _record_owed(self, job_id: str) -> None:
        parts, place = self._station.parts, self._station.intake.place_of(self.name)
        await Erasing(parts, "", place=place).record_cancel(job_id)
        self._station.unrecorded_cancels.discard(job_id)

    def _turned_down(self) -> BayState:
        """A job that had begun stays open, so that nothing of it is lost."""
        return BayState.INTERRUPTED if self._erasing is not None and self._erasing.job_id else BayState.REFUSED

    async def _steps(self, sighting: Sighting, wish: _Wish) -> None:
        self._show(BayState.IDENTIFYING)
        drive = await self._identify(sighting)
        self._recognise(drive, wish)
        await self._be_alone(drive)
        interrupted = open_job(drive, await self._station.parts.journal.open_states(drive))
        if interrupted is not None and interrupted.outcome is None and not is_recognisable(drive):
            raise Refused(
                "unrecognisable",
                "a job was interrupted on a drive like it in this place, and it has no name of its own to tell it by",
                subject=drive.path,
                remedy=f"Erase it by hand: eraser erase {drive.path} --restart",
            )
        if interrupted is not None and (interrupted.outcome is not None or wish.order is not _Order.START):
            await self._go_on(sighting, drive, interrupted, wish)
        elif wish.order is _Order.RESUME:
            raise Refused(
                "nothing-to-resume",
                "it has no job that could go on",
                subject=f"bay {self.name}",
                remedy=f"Begin one: eraser start {self.name}",
            )
        else:
            await self._begin(sighting, drive, interrupted, wish)

    def _recognise(self, drive: Drive, wish: _Wish) -> None:
        """Shows the drive. Raises Refused when it is not the one that was seen by whoever gave the order."""
        before, self._shown.drive = self._shown.drive, drive
        if before is None or same_drive(before, drive):
            self._shown.sighting = self._station.new_sighting()
        if wish.seen is not None and (difference := same_drive(wish.seen, drive)):
            raise Refused(
                "another-drive",
                f"it is not the drive that the order was given for: {difference}",
                subject=f"bay {self.name}",
                remedy="Look at the bay again, then repeat the order.",
            )

    async def _go_on(self, sighting: Sighting, drive: Drive, interrupted: JobState, wish: _Wish) -> None:
        """With the job that the drive has: by itself, unless a person cancelled it."""
        terms = await self._take_in(drive)
        self._shown.job_id = interrupted.job_id
        self._shown.standard = interrupted.plan.standard if interrupted.plan is not None else ""
        is_owed = interrupted.job_id in self._station.unrecorded_cancels
        if (interrupted.is_cancelled or is_owed) and interrupted.outcome is None and wish.order is _Order.NONE:
            if is_owed:
                await self._on_record(lambda: self._record_owed(interrupted.job_id))
            self._show_cancelled(interrupted.job_id)
            return
        if terms.hold is not None and interrupted.outcome is None and wish.order is _Order.NONE:
            self._show(BayState.INTERRUPTED, say(Code.NOT_ON_BY_ITSELF, why=terms.hold))
            return
        self._station.unrecorded_cancels.discard(interrupted.job_id)
        # Also where it has written: a drive that bears the same name may be another customer's.
        awaits_consent = terms.customer_waits and interrupted.outcome is None
        await self._erase(
            sighting,
            terms,
            interrupted,
            lambda erasing: erasing.take_up(interrupted, drive),
            awaits_consent=awaits_consent,
        )

    async def _begin(self, sighting: Sighting, drive: Drive, given_up: JobState | None, wish: _Wish) -> None:
        """A new job: where a person said so, or where the lot starts by itself and the drive has no past here."""
        # A disk that the machine itself uses has not arrived: nothing of it goes on record.
        await self._station.parts.call(self._station.access.refuse_if_used, drive)
        terms = await self._take_in(drive, None if wish.order is _Order.NONE else wish.operator)
        prepared = await self._prepare(drive, terms, wish)
        self._shown.standard, self._shown.passes = prepared.plan.standard, len(prepared.plan.passes)
        if wish.order is _Order.NONE and (question := await self._question(drive, terms)):
            self._show(BayState.ASKING, waiting=(question,))
            return

        async def expect_same() -> None:
            try:
                now = await self._take_in_at_once(drive, None if wish.order is _Order.NONE else wish.operator)
            except LedgerFull:
                # It waits without a turn: of those who had theirs meanwhile nobody would keep apart who spins up.
                raise _Stale from None
            if now.question and now.question != terms.question:
                # Also to whoever started it before that was on record.
                self._show(BayState.ASKING, waiting=(now.question,))
                raise _Stale
            was, is_now = ((item.request, item.starts_by_itself, item.customer_waits) for item in (terms, now))
            if is_now != was:
                raise _Stale

        try:
            await self._erase(
                sighting,
                terms,
                given_up or prepared,
                lambda erasing: erasing.begin(prepared, given_up),
                expect_same,
                awaits_consent=terms.customer_waits,
            )
        except _Stale:
            if self._shown.state is not BayState.ASKING:
                await self._begin(sighting, drive, given_up, wish)

    async def _take_in(self, drive: Drive, ordered_by: str | None = None) -> Terms:
        return await self._on_record(lambda: self._take_in_at_once(drive, ordered_by))

    async def _take_in_at_once(self, drive: Drive, ordered_by: str | None = None) -> Terms:
        """Raises LedgerFull."""
        shown, intake = self._shown, self._station.intake
        terms = await intake.take_in(drive, self.name, shown.asset_tag, ordered_by=ordered_by)
        shown.lot, shown.asset_tag, shown.specification = terms.lot_id, terms.asset_tag, terms.specification
        return terms

    async def _prepare(self, drive: Drive, terms: Terms, wish: _Wish) -> Prepared:
        """The plan. A drive that is refused for what it is, not for what uses it, is quarantined."""
        parts = self._station.parts
        request = terms.request
        if wish.standard:
            request = replace(request, standard=wish.standard, level=None, custom=None)
        try:
            return await parts.call(prepare_drive, drive, request, parts.random_bytes, lambda drive: None)
        except Refused as refusal:
            reason, tag = f"it was refused: {refusal.reason}", terms.asset_tag
            await self._on_record(lambda: self._station.intake.set_aside(drive, self.name, reason, tag))
            raise

    async def _on_record(self, write: Callable[[], Awaitable[T]]) -> T:
        """Waits while the ledger has no room: what is not on record has not happened, and nothing is done to the drive."""
        while True:
            try:
                return await write()
            except LedgerFull as error:
                if self._is_leaving:  # in the middle of what is never torn off
                    raise
                self._show(BayState.WAITING, waiting=(say(Code.WAITS_FOR_LEDGER, detail=error.what),))
                await asyncio.sleep(FULL_LEDGER_SECONDS)

    async def _identify(self, sighting: Sighting) -> Drive:
        try:
            async with asyncio.timeout(IDENTIFY_SECONDS):
                return await self._station.parts.call(self._station.access.identify, sighting)
        except TimeoutError:
            raise DriveError(
                f"it does not answer within {IDENTIFY_SECONDS:.0f} s",
                subject=sighting.node,
                remedy="Power-cycle the bay, or plug the drive in elsewhere.",
            ) from None

    async def _be_alone(self, drive: Drive) -> None:
        """One job a drive: waits for a bay that the drive has left to be done with it. Raises Refused where two bays have a
        drive that says the same of itself: nobody knows whose certificate it would be.
        """
        while (other := self._station.rival(self, drive)) is not None:
            if other.is_occupied:
                await self._record_twice(drive, other)
                raise Refused(
                    "identity-twice",
                    f"the drive in bay {other.name} says the same of itself",
                    subject=f"bay {self.name}",
                    remedy="Take one of the two out, then retry.",
                )
            code = Code.CANCELLED_WAITS_FOR_BAY if self._is_cancelled else Code.WAITS_FOR_BAY
            self._show(BayState.WAITING, waiting=(say(code, bay=other.name),))
            await self._station.changed()

    async def _record_twice(self, drive: Drive, other: "BayRun") -> None:
        what = say(Code.CUSTODY_TWICE, bay=self.name, other=other.name).english
        await self._on_record(lambda: self._station.intake.seen_twice(drive, self.name, what))

    async def _question(self, drive: Drive, terms: Terms) -> Saying | None:
        """Why a person has to start it; None when it starts by itself.

        A drive that has a finished job here is asked about, whatever the lot says: one that passed may hold somebody's data
        again or be on its way to a buyer, one that failed would take hours to fail again.
        """
        earlier = await self._station.history.of(drive)
        if earlier is not None:
            return _ended_before(earlier)
        if terms.question is not None or terms.starts_by_itself:
            return terms.question
        return say(Code.LOT_NOT_BY_ITSELF, lot=terms.lot_id) if terms.lot_id else say(Code.NOT_BY_ITSELF)

    async def _erase(
        self,
        sighting: Sighting,
        terms: Terms,
        what: Prepared | JobState,
        work: Callable[[Erasing], Awaitable[Result]],
        expect_same: Callable[[], Awaitable[None]] | None = None,
        *,
        awaits_consent: bool,
    ) -> None:
        """Waits for the customer's consent where one has to give it, then for its turn, then works. Where a person cancels
        `what` before that, it does not begin; nor where `expect_same` raises, which is asked when the turn has come: that may
        take a day.
        """
        station = self._station
        self._found_domains = await station.parts.call(station.access.domains, sighting)
        place, failure = station.intake.place_of(self.name), terms.request.failure
        assert self._shown.drive is not None
        erasing = Erasing(station.parts, self._shown.drive.path, place=place, failure=failure)
        try:
            self._raise_if_cancelled()
            if awaits_consent:
                await self._until_consent(self._shown.drive, terms.asset_tag)
            self._show(BayState.WAITING)
            turn = station.admissions.turn(
                self.needs(),
                erasing.set_rate_limit,
                deadline=terms.deadline,
                customer_waits=terms.customer_waits,
                ready=expect_same,
            )
            async with turn:
                self._raise_if_cancelled()  # in the very step in which the job begins
                self._shown.waiting = ()
                self._pauses.pop(PauseReason.PERSON, None)  # meant an earlier job
                if self._pauses:
                    erasing.pause()
                self._meter = Meter()
                # From here on the job is asked to stop, never cancelled.
                self._erasing = erasing
                self._log("job begins")
                result = await work(erasing)
        except Withdrawn:
            await self._record_cancel(erasing, what)
        else:
            self._take(result)

    async def _until_consent(self, drive: Drive, tag: str) -> None:
        """Begins nothing on a drive whose customer is there before they have agreed, which is on record then."""
        is_told = False
        while not await self._station.intake.has_consented(drive, tag):
            if not is_told:
                self._show(BayState.WAITING, waiting=(say(Code.WAITS_FOR_CONSENT),))
                is_told = True
            await asyncio.sleep(CONSENT_SECONDS)
            self._raise_if_cancelled()

    def _raise_if_cancelled(self) -> None:
        if self._is_cancelled:
            raise Withdrawn

    async def _record_cancel(self, erasing: Erasing, what: Prepared | JobState) -> None:
        """So that it begins by itself neither when it is plugged in again nor when the station begins anew."""
        if isinstance(what, JobState) and what.outcome is not None:
            self._show(BayState.ASKING, waiting=(say(Code.CERTIFICATE_DUE),))
            self._shown.is_cancelled = True
            return

        async def write() -> str:
            self._is_recording = True  # not to be torn off
            try:
                return await erasing.record_cancel(what.job_id if isinstance(what, JobState) else what)
            finally:
                self._is_recording = False

        try:
            self._shown.job_id = await self._on_record(write)
        except BaseException:
            if job_id := what.job_id if isinstance(what, JobState) else erasing.job_id:
                self._station.unrecorded_cancels.add(job_id)
            raise
        self._owed = None
        self._show_cancelled(self._shown.job_id)

    def _show_cancelled(self, job_id: str) -> None:
        self._show(BayState.ASKING, waiting=(say(Code.JOB_CANCELLED, job=job_id),))
        self._shown.is_cancelled = True

    def certified(self, result: Result) -> None:
        """Its last job, which ended while nothing was certified, has got its certificate."""
        if self._erasing is None and self._shown.job_id == result.job_id and self._shown.state is BayState.INTERRUPTED:
            self._take(result)

    def _take(self, result: Result) -> None:
        job = self._erasing.job if self._erasing is not None else None
        shown = self._shown
        if job is not None:
            shown.written_bytes += job.bytes_written
            shown.verified_bytes += job.bytes_verified
        shown.job_id = result.job_id
        shown.certificate = result.certificate.name if result.certificate is not None else ""
        states = {
            Ended.PASSED: BayState.PASSED,
            Ended.FAILED: BayState.FAILED,
            Ended.REFUSED: BayState.REFUSED,
            Ended.INTERRUPTED: BayState.INTERRUPTED,
        }
        if result.outcome in (Ended.PASSED, Ended.FAILED):
            self._station.count(result.outcome.value, shown.standard)
        held = (say(Code.HELD_BY_IO),) if result.is_held else ()
        self._erasing = None
        self._show(BayState.HELD if result.is_held else states[result.outcome], *result.reasons, *held)

    def _show(self, state: BayState, *reasons: Saying, waiting: Sayings = ()) -> None:
        self._shown.state = state
        self._shown.reasons = reasons
        self._shown.waiting = waiting
        self._shown.is_cancelled = False
        self._log(state.value)

    def _log(self, what: str) -> None:
        shown = self._shown
        fields: dict[str, Any] = {"bay": self.name}
        if job := (self._erasing.job_id if self._erasing is not None else shown.job_id):
            fields["job"] = job
        if shown.drive is not None and shown.drive.identity.serial:
            fields["serial"] = shown.drive.identity.serial
        said = {"reason": english(shown.reasons), "waits_for": english(shown.waiting)}
        told = said | {"standard": shown.standard, "certificate": shown.certificate}
        fields |= {key: value for key, value in told.items() if value}
        self._station.log.info(what, **fields)


def _ended_before(earlier: Past) -> Saying:
    """What is asked about a drive that has a finished job here."""
    if earlier.outcome == Outcome.PASSED:
        return say(Code.PASSED_BEFORE, job=earlier.job_id)
    is_proof = any(saying.code in VERIFICATION_FAILURES for saying in earlier.why)
    return say(Code.VERIFICATION_FAILED_BEFORE if is_proof else Code.FAILED_BEFORE, job=earlier.job_id)
