"""The invariants of `ARCHITECTURE.md`, looked at whenever something becomes durable, goes to a drive, or time passes.

The checks see both sides: what the station says, and what is really on the drives. The first thing that does not hold ends
the run.
"""

import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from eraser.domain.admission import MAX_OVERTAKEN
from eraser.domain.custody import CustodyRecord, drive_name, standing
from eraser.domain.drive import is_recognisable, same_drive
from eraser.domain.events import (
    ActivitySeen,
    CertificateIssued,
    Checkpoint,
    JobEvent,
    JobFinished,
    JobPlanned,
    JobRefused,
    Outcome,
    PassEnded,
    SightBegan,
)
from eraser.domain.evidence import FlushProof, Operation
from eraser.domain.job import JobState
from eraser.domain.pattern import Pattern
from eraser.domain.plan import Plan
from eraser.engine.transfer import Order
from eraser.ledger.sql_journal import custody_events
from eraser.rack.view import BayState
from tests.rack.simulated import SECTOR, pattern_bytes
from tests.simulation.drives import FaultyDrive, Work, name_of

SECOND = "+"
"""Behind a slot's name: where a second drive shows in it."""

if TYPE_CHECKING:
    from tests.simulation.journal import Disk
    from tests.simulation.program import Papers, Program
    from tests.simulation.world import Held, Plugging, World

STOP_SECONDS = 10.0
CANCEL_SECONDS = 25.0
"""A transfer's 6, what comes back to a drive that hangs, the records of it on a slow disk."""
LOOK_SECONDS = 1.0
"""Two looks of a job at its transfer are `eraser.rack.job_run.TICK_SECONDS` apart, whatever its journal's disk does."""
ADVANCE_SECONDS = 1.0
"""A transfer makes a step in each `STEP_SECONDS` in which it may."""
ACT_SECONDS = 2.0
"""Between two things that a bay does with a drive that answers lie a few calls and records: hundredths of a second each."""
PUT_AWAY_SECONDS = 15.0
"""So long a drive waits for a job in its bay to give up the one before, which may hang."""
ASK_SECONDS = 0.05
"""Once a bay's turn has come, its lot is asked whether all is as it was: by so much nearer to each other may two jobs begin."""
MOVING = (BayState.EMPTY, BayState.IDENTIFYING, BayState.WRITING, BayState.VERIFYING)
"""States in which nobody is waited for."""
STATES = ("job begins", *BayState)
MOST_OVERTAKEN = MAX_OVERTAKEN + 4


class Checks:
    """What must hold. `fail` is told the first thing that does not."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.disk: Disk
        self.papers: Papers
        self.violation = ""
        self.starts_by_itself = True
        self._permitted: set[int] = set()
        """Pluggings of which a person said that the drive is to be erased."""
        self._halted: set[int] = set()
        """Pluggings of which a person said that the job is to end."""
        self._cancel_due: dict[str, float] = {}
        self._waiting: dict[str, int] = {}
        """By bay that waits its turn, how many that came later went first."""
        self._running: dict[str, str] = {}
        self._starts: list[tuple[float, str]] = []
        self._records: dict[str, list[CustodyRecord]] = {}
        self._moved_at: dict[str, float] = {}
        """By bay, when it was last seen to do something."""
        self._cancelled: dict[str, tuple[str, int]] = {}
        """By bay, the job that a person cancelled there, and on which plugging."""
        self._wanted: set[int] = set()
        """Pluggings of which a person said that the job is to go on."""

    def fail(self, what: str, cause: BaseException | None = None) -> None:
        """Ends the run."""
        if self.violation:
            return
        self.violation = what
        self._world.tell(f"VIOLATION: {what}")
        if cause is not None and cause.__traceback__ is not None:
            self._world.tell("".join(traceback.format_exception(cause)))
        if self._world.loop is not None:
            self._world.loop.crash_at = self._world.loop.turns

    # ---- what is done to drives

    def transfer_begins(self, held: "Held", order: Order) -> None:
        """It was announced, it is this job's drive, and nobody else's."""
        disk, state = held.disk, self.disk.states.get(held.job_id)
        if state is None or state.drive is None or state.plan is None:
            self.fail(f"a transfer of drive {disk.number} begins before its job holds the drive on record")
            return
        if difference := same_drive(state.drive, disk.drive):
            self.fail(f"{held.job_id} works on drive {disk.number}, which is another: {difference}")
        if disk.used_by and not held.plugging.is_out:
            self.fail(f"{held.job_id} works on drive {disk.number}, which is mounted at {disk.used_by}")
        if held.plugging.claim is not held:
            self.fail(f"{held.job_id} works on drive {disk.number} without its claim")
        held.begun_after_cancel += held.plugging.number in self._halted
        if held.begun_after_cancel > 2:  # told at once to end: one, and one more where markers are read back
            self.fail(f"{held.job_id} goes on with drive {disk.number} after it was cancelled")
        if order.operation is Operation.WRITE and disk.customer_waits and not disk.has_consented:
            self.fail(f"{held.job_id} writes to drive {disk.number}, and its customer has not agreed")
        if order.operation is Operation.WRITE and not _is_announced(state, state.plan, order):
            self.fail(f"{held.job_id} writes to drive {disk.number} before that is on record")

    def late_write(self, plugging: "Plugging", held: "Held") -> None:
        """The kernel's claim fences it off from whoever comes next."""
        if plugging.claim is not held:
            self.fail(f"a late write of {held.job_id} lands on drive {plugging.disk.number} under another claim")

    # ---- what is recorded

    def announced(self, job_id: str, event: JobEvent, after: JobState) -> None:
        """It is about to become durable: it is true already."""
        match event:
            case SightBegan(boot_id):
                self._sight_begins(job_id, boot_id)
            case Checkpoint(number, position, proof):
                if proof is not FlushProof.ASSUMED:
                    self._is_durable(job_id, after, number, position)
            case PassEnded(number, report) if after.passes[number - 1].is_complete:
                if report.flush_proof is not FlushProof.ASSUMED:
                    self._is_durable(job_id, after, number, after.capacity_bytes)
            case JobFinished(outcome) if outcome is Outcome.PASSED:
                self._passes(job_id, after)

    def committed(self, job_id: str, event: JobEvent, before: JobState | None, after: JobState, place: str) -> None:
        """It is durable."""
        self._moved_at[place] = self._world.now
        match event:
            case JobPlanned():
                self._job_begins(after, place)
            case ActivitySeen(activity) if activity is not None:
                if (held := self._held_by(job_id)) is not None:
                    held.was_counted = True
            case JobFinished() | JobRefused():
                self._custody(event, after)
            case CertificateIssued():
                if len(self.papers.issued.get(job_id, ())) != 1:
                    self.fail(f"{job_id} has the certificates {self.papers.issued.get(job_id)}")

    def _custody(self, event: JobEvent, before: JobState) -> None:
        """What failed or was refused is quarantined until a job has passed."""
        drive = before.drive
        name = drive_name(drive.identity) if drive is not None else None
        if name is None:
            return
        records = self._records.setdefault(name.serial, [])
        records += [CustodyRecord("", "", "", name, found) for found in custody_events(event, before)]
        has_passed = isinstance(event, JobFinished) and event.outcome is Outcome.PASSED
        if bool(standing(records).quarantine) is has_passed:
            self.fail(
                f"{before.job_id} is {before.phase}, and {name.serial} {'is' if has_passed else 'is not'} quarantined"
            )

    def certificate_asked(self, state: JobState) -> None:
        """Only what is on record may be signed."""
        durable = self.disk.states[state.job_id]
        if durable.outcome is None or durable.outcome != state.outcome:
            self.fail(f"{state.job_id} gets a certificate before its end is on record")

    def at_end(self) -> None:
        """One certificate for each finished job, none for any other."""
        self.disk.refolded()
        for job_id, state in self.disk.states.items():
            names = self.papers.issued.get(job_id, [])
            if state.outcome is not None and not state.is_open and len(names) != 1:
                self.fail(f"{job_id} has ended and has the certificates {names}")
            if state.outcome is None and names:
                self.fail(f"{job_id} has not ended and has the certificates {names}")

    def _sight_begins(self, job_id: str, boot_id: str) -> None:
        held = self._held_as(boot_id)
        if held is None:
            self.fail(f"{job_id} says that it holds a drive and does not")
            return
        held.job_id = job_id
        if self.disk.states[job_id].is_cancelled and held.plugging.number not in self._wanted:
            self.fail(f"{job_id} goes on, although a person has cancelled it and nobody said so")
        rivals = [other for other in self._world.helds if other is not held and not other.is_closed]
        if any(other.job_id == job_id or other.disk is held.disk for other in rivals):
            self.fail(f"{job_id} works on drive {held.disk.number} twice")

    def _held_as(self, boot_id: str) -> "Held | None":
        return next((held for held in self._world.helds if held.boot_id == boot_id), None)

    def _held_by(self, job_id: str) -> "Held | None":
        return next((held for held in reversed(self._world.helds) if held.job_id == job_id), None)

    def _is_durable(self, job_id: str, after: JobState, number: int, position: int) -> None:
        """What may be believed is on the medium."""
        held = self._held_by(job_id)
        assert after.plan is not None
        if held is None or not held.disk.is_honest or held.disk.was_changed:
            return
        disk, planned = held.disk, after.plan.passes[number - 1]
        believed = self.disk.states[job_id].passes[number - 1].believed_bytes
        for sector in _sectors(disk, believed // SECTOR, position // SECTOR, planned.reverse):
            if sector in disk.bad or sector in disk.unwritable:
                continue
            if not _holds(disk.medium, sector, planned.pattern):
                self.fail(f"{job_id} believes sector {sector} of drive {disk.number}, which is not on the medium")
                return

    def _passes(self, job_id: str, after: JobState) -> None:
        """The worst thing that this program can do is to say so wrongly."""
        held = self._held_by(job_id)
        assert after.plan is not None
        if held is None:
            self.fail(f"{job_id} passes without a drive")
            return
        disk, passes = held.disk, after.plan.passes
        where = f"{job_id} passes, but drive {disk.number}"
        if disk.wraps_at:
            self.fail(f"{where} has fewer sectors than it says")
        if disk.unread:
            self.fail(f"{where} was not read back after the last write: sectors {sorted(disk.unread)}")
        names = [name_of(item.pattern) for item in passes]
        content = disk.cache if disk.proof is FlushProof.ASSUMED else disk.medium
        for sector in range(disk.sectors):
            if not _holds(content, sector, passes[-1].pattern):
                self.fail(f"{where} holds something else in sector {sector}")
                return
            if not _is_within(names, disk.history[sector]):
                self.fail(f"{where} did not get all {len(names)} passes in sector {sector}")
                return

    def _job_begins(self, after: JobState, bay: str) -> None:
        """One job a drive; and none that nobody asked for on a drive that is known here."""
        assert after.drive is not None
        if is_recognisable(after.drive):
            for other in self.disk.open.values():
                if (
                    other.job_id != after.job_id
                    and other.plan
                    and other.drive
                    and not same_drive(other.drive, after.drive)
                ):
                    self.fail(f"{after.job_id} begins on {after.drive.label}, which has {other.job_id}")
        is_known = self.disk.last_finished(after.drive) is not None
        if after.drive.disk_sequence not in self._permitted and (is_known or not self.starts_by_itself):
            self.fail(f"{after.job_id} begins on {after.drive.label} in {bay}, and nobody has ordered it")

    # ---- what bays say, and what people order

    def program_begins(self) -> None:
        """It knows of no order."""
        orders: tuple[Any, ...] = (self._permitted, self._halted, self._wanted, self._cancelled, self._cancel_due)
        for known in (*orders, self._waiting, self._running, self._starts, self._moved_at):
            known.clear()

    def bay_says(self, bay: str, what: str, fields: dict[str, Any], plugging: int) -> None:
        """From its log, when it shows the drive of this plugging."""
        if what not in STATES:
            return
        self._moved_at[bay] = self._world.now
        if what == "job begins":
            self._begins(bay, plugging)
            return
        if what == BayState.WAITING and not fields.get("waits_for"):
            self._waiting[bay] = 0
            return
        self._waiting.pop(bay, None)
        self._running.pop(bay, None)
        self._cancel_due.pop(bay, None)
        self._is_cancelled(bay)

    def _is_cancelled(self, bay: str) -> None:
        """What a person has cancelled is recorded as that once it has stopped."""
        job_id, plugging = self._cancelled.pop(bay, ("", 0))
        self._wanted.discard(plugging)
        state = self.disk.states.get(job_id)
        if state is None or self._world.disturbed_until > self._world.now:
            return
        if state.outcome is None and not state.is_cancelled and state.is_open and state.plan is not None:
            self.fail(f"{job_id} was cancelled in {bay}, has stopped, and that is not on record")

    def ordered(self, order: str, bay: str, plugging: int, job_id: str) -> None:
        """The station has accepted it, for the drive that it showed."""
        if order in ("start", "retry", "resume"):
            self._halted.discard(plugging)
            self._wanted.add(plugging)
        if order in ("start", "retry"):
            self._permitted.add(plugging)
        if order == "cancel":
            self._halted.add(plugging)
            if bay in self._running and job_id:
                self._cancelled[bay] = (job_id, plugging)
            else:
                self._wanted.discard(plugging)
            self._cancel_due[bay] = self._world.now + CANCEL_SECONDS

    def _begins(self, bay: str, plugging: int) -> None:
        if plugging in self._halted:
            self.fail(f"the job in {bay} begins although it was cancelled")
        self._waiting.pop(bay, None)
        mine = self._world.bay_map.bay(bay)
        names = {domain.name for domain in self._world.bay_map.domains_of(mine, ())}
        power = self._world.bay_map.power_domain_of(mine)
        for other in self._waiting:
            theirs = self._world.bay_map.bay(other)
            shared = names & {domain.name for domain in self._world.bay_map.domains_of(theirs, ())}
            if shared or (power is not None and power == self._world.bay_map.power_domain_of(theirs)):
                self._waiting[other] += 1
                if self._waiting[other] > MOST_OVERTAKEN:
                    self.fail(f"{other} starves: {self._waiting[other]} that share with it went first")
        self._running[bay] = bay
        self._check_limits(bay)

    def _check_limits(self, bay: str) -> None:
        bays, now = self._world.bay_map, self._world.now
        for domain in bays.domains_of(bays.bay(bay), ()):
            active = [name for name in self._running if domain in bays.domains_of(bays.bay(name), ())]
            if domain.max_active_drives is not None and len(active) > domain.max_active_drives:
                self.fail(f"{active} run in {domain.name} at once")
        power = bays.power_domain_of(bays.bay(bay))
        if power is not None:
            stagger_seconds = power.stagger_seconds - ASK_SECONDS
            self._starts = [(at, name) for at, name in self._starts if at + stagger_seconds > now]
            self._starts.append((now, bay))
            if len(self._starts) > power.max_spinning_up and now > self._world.disturbed_until:
                self.fail(f"{[name for _, name in self._starts]} spin up at once")

    # ---- what time shows

    def look(self, program: "Program") -> None:
        """Every now and then while the program runs."""
        now = self._world.now
        for bay, due in self._cancel_due.items():
            if now > due and bay in self._running:
                self.fail(f"the job in {bay} still runs {CANCEL_SECONDS} s after it was cancelled")
        if program.stops_at is not None:
            if now > program.stops_at + STOP_SECONDS:
                self.fail(f"the station has not stopped {STOP_SECONDS} s after it was told to")
            return
        self._check_shares()
        self._check_transfers()
        if not self.disk.is_full and not self.disk.slow_seconds and now > self._world.disturbed_until:
            self._check_intake(program)

    def _check_transfers(self) -> None:
        """Each is looked after and goes on, whatever the others' drives do."""
        for held in self._world.helds:
            work = held.work
            if work is None:
                continue
            if not work.is_finished and not work.is_over:
                self._check_transfer(held, work)
            self._moved_at[held.plugging.bay] = max(self._moved_at.get(held.plugging.bay, 0.0), work.advanced_at)

    def _check_transfer(self, held: "Held", work: Work) -> None:
        now = self._world.now
        if now - work.looked_at > LOOK_SECONDS:
            self.fail(f"nobody has looked at {held.job_id} for {now - work.looked_at:.1f} s")
        work.note_standstill()
        still_seconds = now - max(work.advanced_at, held.disk.woke_at)
        if still_seconds > ADVANCE_SECONDS:
            self.fail(f"{held.job_id} stands still for {still_seconds:.1f} s, and drive {held.disk.number} answers")

    def _check_shares(self) -> None:
        bays = self._world.bay_map
        works = {
            held.plugging.bay: held.work
            for held in self._world.helds
            if held.work is not None and not held.work.is_finished and not held.is_closed
        }
        for domain in bays.bandwidth_domains:
            limit = domain.max_bytes_per_second
            if limit is None:
                continue
            rates = [work.rate_limit for bay, work in works.items() if domain in bays.domains_of(bays.bay(bay), ())]
            if sum(rates) > limit or (rates and min(rates) == 0):
                self.fail(f"{domain.name} carries {rates} of {limit} bytes a second")

    def _check_intake(self, program: "Program") -> None:
        now = self._world.now
        for bay, plugging in self._world.slots.items():
            if bay.endswith(SECOND):
                continue
            disk = plugging.disk
            since = max(plugging.since, program.began_at, disk.woke_at, self._moved_at.get(bay, 0.0))
            most = ACT_SECONDS if program.attended(bay) == plugging.number else PUT_AWAY_SECONDS
            if now - since > most and not disk.hangs and (state := program.bay(bay).state) in MOVING:
                self.fail(f"nothing has happened to drive {disk.number} in {bay} for {now - since:.1f} s: {state}")


def _is_announced(state: JobState, plan: Plan, order: Order) -> bool:
    assert order.pattern is not None
    if state.markers_seed:
        return state.markers_seed == name_of(order.pattern)
    current = state.next_pass
    if current is None or current.running_from != order.start_position_bytes:
        return False
    return plan.passes[current.number - 1].pattern == order.pattern


def _sectors(disk: FaultyDrive, start: int, end: int, is_reverse: bool) -> Iterator[int]:
    return (disk.sectors - 1 - place if is_reverse else place for place in range(start, end))


def _holds(content: bytearray, sector: int, pattern: Pattern) -> bool:
    return content[sector * SECTOR : (sector + 1) * SECTOR] == pattern_bytes(pattern, sector * SECTOR, SECTOR)


def _is_within(names: list[bytes], history: list[bytes]) -> bool:
    """Whether the names are there in this order, the last of them last."""
    rest = iter(history)
    return bool(history) and history[-1] == names[-1] and all(name in rest for name in names)
