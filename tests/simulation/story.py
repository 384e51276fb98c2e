"""What happens to one station, drawn from a seed; in the end a caretaker finishes what can be finished."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from eraser.domain.bay import BandwidthDomain, Bay, BayMap, BayName, PlaceKind, PlacePattern, PowerDomain
from eraser.domain.evidence import EndReason, FlushProof
from eraser.domain.failure import FailureCriteria
from eraser.domain.pattern import Constant
from eraser.domain.program import PassSpec, RandomStream, Standing, Verification
from eraser.domain.program import Program as Passes
from eraser.errors import Refused, UsageError
from eraser.rack.erasing import Request
from eraser.rack.view import BaySnapshot, BayState
from tests.simulation.checks import SECOND
from tests.simulation.drives import FaultyDrive
from tests.simulation.journal import Disk
from tests.simulation.program import Program
from tests.simulation.world import World

REACTION = 0.06
CARE_SECONDS = 1.0
CARE_LIMIT_SECONDS = 900.0
MOST_TRIES = 5
ANY = ("start", "pause", "resume", "cancel", "retry", "maintain", "drain")
_AT_WORK = ("pause", "cancel", "cancel", "maintain")
SENSIBLE = {
    BayState.IDENTIFYING: ("cancel",),
    BayState.WAITING: ("cancel",),
    BayState.ASKING: ("start", "start", "resume"),
    BayState.WRITING: _AT_WORK,
    BayState.VERIFYING: _AT_WORK,
    BayState.PAUSED: ("resume", "resume", "cancel"),
    BayState.INTERRUPTED: ("resume", "retry", "start"),
    BayState.PASSED: ("start",),
    BayState.FAILED: ("retry",),
    BayState.REFUSED: ("retry",),
}

TWO_PASSES = Passes(
    "two",
    "a stream that is read back, and a constant from the end",
    (PassSpec(RandomStream(), verify=True), PassSpec(Constant(b"\x5a"), reverse=True)),
    source="nowhere",
    standing=Standing.OWN,
)
REQUESTS = (
    Request("random"),
    Request("random", verification=Verification.SAMPLED),
    Request("random", failure=FailureCriteria(max_bad_extents=0)),
    Request("zero"),
    Request("gb-46864-2025"),
    Request("two", custom=TWO_PASSES),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a seed fixes before anything happens."""

    bay_map: BayMap
    request: Request
    starts_by_itself: bool
    seconds: float
    """How long things happen, before they are only finished."""
    event_seconds: float
    """About so much time lies between two things that happen."""
    crashes: int
    is_conveyor: bool
    """Whether drives come one after the other without an end, and nothing else happens: who waits must still get its turn."""


def draw_setting(chance: random.Random) -> Setting:
    """One of many stations."""
    is_conveyor = chance.random() < 0.04
    bays = chance.randint(3, 4)
    return Setting(
        bay_map=_one_lane() if is_conveyor else _draw_map(chance, bays),
        request=Request("random") if is_conveyor else chance.choice(REQUESTS),
        starts_by_itself=chance.random() < 0.8 or is_conveyor,
        seconds=40.0 if is_conveyor else chance.uniform(8.0, 24.0),
        event_seconds=chance.uniform(0.5, 1.5),
        crashes=0 if is_conveyor else chance.choice((0, 1, 1, 2, 3)),
        is_conveyor=is_conveyor,
    )


def _one_lane() -> BayMap:
    """One at a time."""
    return BayMap(
        tuple(_a_bay(f"B{number}", ("lane",)) for number in range(1, 5)),
        (BandwidthDomain("lane", max_active_drives=1),),
    )


def _draw_map(chance: random.Random, bays: int) -> BayMap:
    hub = BandwidthDomain(
        "hub", max_active_drives=chance.choice((None, 1, 2)), max_bytes_per_second=chance.choice((None, 25_000_000))
    )
    supply = PowerDomain("supply", stagger_seconds=2.0, max_spinning_up=1)
    has_hub, has_supply = chance.random() < 0.4, chance.random() < 0.25
    return BayMap(
        tuple(
            _a_bay(f"B{number}", ("hub",) if has_hub and number > 1 else (), "supply" if has_supply else "")
            for number in range(1, bays + 1)
        ),
        (hub,) if has_hub else (),
        (supply,) if has_supply else (),
    )


def _a_bay(name: str, domains: tuple[str, ...], power: str = "") -> Bay:
    place = PlacePattern(PlaceKind.PATH, f"slot-{name}")
    return Bay(BayName(name), (place,), bandwidth_domains=domains, power_domain=power)


class Story:
    """One world's. `begin` once; it goes on by the world's agenda; `program` is the one that runs now."""

    def __init__(self, world: World, setting: Setting, disk: Disk) -> None:
        self.world = world
        self.setting = setting
        self.disk = disk
        self.program: Program | None = None
        self.is_quiet = False
        """Whether nothing bad happens any more."""
        self.is_over = False
        self._chance = world.chance
        self._shelf: list[FaultyDrive] = []
        self._tries: dict[int, float] = {}
        self._crashes_left = setting.crashes
        self._acts = self._weighted()
        world.when_something_happens = self._react

    def begin(self) -> None:
        """The first drives, and what is to come."""
        bays = [bay.name for bay in self.setting.bay_map.bays]
        for _ in range(2 if self.setting.is_conveyor else len(bays) + self._chance.randint(0, 1)):
            self._new_drive()
        if not self.setting.is_conveyor:
            self.world.at(self._pause(), self._happen)
        else:
            self.world.at(0.5, self._convey)
        self.world.at(self.setting.seconds, self._calm)

    # ---- things that happen

    def _pause(self) -> float:
        return self._chance.expovariate(1.0) * self.setting.event_seconds

    def _happen(self) -> None:
        if self.is_quiet:
            return
        self._act()
        self.world.at(self._pause(), self._happen)

    def _react(self, bay: str) -> None:
        """Things happen most of all when something has just happened."""
        if self.is_quiet or self.setting.is_conveyor or self._chance.random() > REACTION:
            return
        if self._crashes_left > 0 and self._chance.random() < 0.2 and self.world.loop is not None:
            self._crashes_left -= 1
            self.world.loop.crash_at = self.world.loop.turns + self._chance.randint(1, 12)
        elif self._chance.random() < 0.4:
            self.world.at(self._chance.uniform(0.0, 0.1), lambda: self._order(bay))
        else:
            self.world.at(self._chance.uniform(0.0, 0.1), self._act)

    def _act(self) -> None:
        if not self.is_quiet:
            self._chance.choice(self._acts)()

    def _weighted(self) -> list[Callable[[], None]]:
        weights: dict[Callable[[], None], int] = {
            self._plug: 14,
            self._pull: 4,
            self._order: 10,
            self._hang: 2,
            self._break_sector: 1,
            self._kill_transfer: 1,
            self._fail_flush: 1,
            self._write_from_outside: 2,
            self._use: 2,
            self._trouble_disk: 2,
            self._jump: 1,
            self._stop: 1,
            self._swap: 2,
            self._plug_second: 1,
            self._heat: 1,
            self._reconfigure: 1,
        }
        return [act for act, weight in weights.items() for _ in range(weight)]

    def _new_drive(self) -> FaultyDrive:
        chance, number = self._chance, len(self.world.disks) + 1
        is_tiny = self.setting.is_conveyor
        disk = FaultyDrive(sectors=2 if is_tiny else chance.randint(6, 12), number=number, serial=f"S{number}")
        self.world.disks.append(disk)
        self._shelf.append(disk)
        if not is_tiny:
            self._give_character(disk)
            disk.customer_waits = chance.random() < 0.2
            if disk.customer_waits:
                self.world.at(chance.uniform(0.0, 20.0), lambda: self._agree(disk))
            disk.deadline = chance.choice((math.inf, chance.uniform(0.0, 1e6)))
        return disk

    def _agree(self, disk: FaultyDrive) -> None:
        """Its customer says yes, which is on record from now on."""
        if not disk.has_consented:
            disk.has_consented = True
            self.world.tell(f"the customer of drive {disk.number} agrees")

    def _give_character(self, disk: FaultyDrive) -> None:
        chance, sectors = self._chance, disk.sectors
        sector = chance.randrange(sectors)
        match chance.random():
            case kind if kind < 0.05:
                disk.forgetful = {sector}
            case kind if kind < 0.08:
                disk.stale = {sector}
            case kind if kind < 0.12:
                disk.answers_zeros = True
            case kind if kind < 0.16:
                disk.wraps_at = sectors // 2
            case kind if kind < 0.20:
                disk.unreadable = {sector}
            case kind if kind < 0.24:
                disk.unwritable = {sector}
            case kind if kind < 0.27:
                disk.serial = ""
            case kind if kind < 0.33 and disk.number > 1:
                disk.serial = self.world.disks[0].serial
                disk.sectors = self.world.disks[0].sectors
                disk.__post_init__()
            case kind if kind < 0.38:
                disk.proof = FlushProof.ASSUMED

    def _plug(self) -> None:
        free = [bay.name for bay in self.setting.bay_map.bays if bay.name not in self.world.slots]
        if free and self._shelf and not self.is_quiet:
            disk = self._shelf.pop(self._chance.randrange(len(self._shelf)))
            self.world.plug(disk, self._chance.choice(free))

    def _plug_second(self) -> None:
        """Where there is one already: a hub shows two, or the kernel has not let go of the first."""
        taken = [bay for bay in self.world.slots if not bay.endswith(SECOND) and bay + SECOND not in self.world.slots]
        if taken and self._shelf and not self.is_quiet:
            self.world.plug(self._shelf.pop(), self._chance.choice(taken) + SECOND)

    def _heat(self) -> None:
        if self.world.slots:
            disk = self.world.slots[self._chance.choice(list(self.world.slots))].disk
            disk.is_hot = True
            self.world.tell(f"drive {disk.number} is hot")
            self.world.at(self._chance.uniform(5.0, 15.0), lambda: setattr(disk, "is_hot", False))

    def _reconfigure(self) -> None:
        """The same bays share something else."""
        if self.program is not None and self.program.stops_at is None:
            bay_map = self.world.bay_map = _draw_map(self._chance, len(self.setting.bay_map.bays))
            self.world.tell(f"another configuration: {bay_map.bandwidth_domains} {bay_map.power_domains}")
            self.program.rack.reconfigure(bay_map, self.program.rack.intake, self.program.watch)

    def _pull(self) -> None:
        if self.world.slots:
            self._shelf.append(self.world.pull(self._chance.choice(list(self.world.slots))))

    def _swap(self) -> None:
        """A drive is out for a moment, or goes from bay to bay, or another one takes its place."""
        self._pull()
        self.world.at(self._chance.choice((0.02, 0.15, 0.3)), self._plug)

    def _order(self, bay: str = "") -> None:
        if self.program is None or self.program.stops_at is not None or self.is_quiet:
            return
        bay = bay or self._chance.choice(self.setting.bay_map.bays).name
        kinds = SENSIBLE.get(self._state(bay), ()) if self._chance.random() < 0.8 else ANY
        if kinds:
            self._give(self._chance.choice(kinds), bay, is_hasty=self._chance.random() < 0.3)

    def _give(self, kind: str, bay: str, *, is_hasty: bool = False) -> None:
        """An order, now. What the station refuses was no order. Whoever is hasty has seen the last picture, not the bay."""
        if self.program is None:
            return
        rack = self.program.rack
        seen = self._snapshot(bay)
        if is_hasty:
            seen = next(item for item in rack.snapshot().bays if item.name == bay)
        match kind:
            case "start":
                work = rack.start(bay, "", seen.sighting)
            case "pause":
                work = rack.pause(bay, seen.sighting)
            case "resume":
                work = rack.resume(bay, seen.sighting)
            case "cancel":
                work = rack.cancel(bay, seen.sighting)
            case "retry":
                work = rack.retry(bay, seen.sighting)
            case "maintain":
                work = rack.maintain(bay, on=True)
                self.world.at(self._chance.uniform(0.1, 4.0), lambda: self._give("back", bay))
            case "back":
                work = rack.maintain(bay, on=False)
            case "drain":
                work = rack.drain(on=True)
                self.world.at(2.0, lambda: self._give("drain off", bay))
            case _:
                work = rack.drain(on=False)
        shown = seen.drive.disk_sequence if seen.drive is not None else self.program.attended(bay)
        try:
            work.send(None)
        except StopIteration:
            self.world.checks.ordered(kind, bay, shown, seen.job_id)
        except (Refused, UsageError):
            return

    def _hang(self) -> None:
        if not self.world.slots:
            return
        plugging = self.world.slots[self._chance.choice(list(self.world.slots))]
        plugging.disk.hangs = True
        self.world.tell(f"drive {plugging.disk.number} hangs")
        if self._chance.random() < 0.7:
            self.world.at(self._chance.choice((1.0, 5.0, 12.0, 40.0)), lambda: self._wake(plugging.disk))

    def _wake(self, disk: FaultyDrive) -> None:
        disk.hangs = False
        disk.woke_at = self.world.now

    def _break_sector(self) -> None:
        if self.world.slots:
            disk = self.world.slots[self._chance.choice(list(self.world.slots))].disk
            disk.bad.add(self._chance.randrange(disk.sectors))

    def _fail_flush(self) -> None:
        if self.world.slots:
            disk = self.world.slots[self._chance.choice(list(self.world.slots))].disk
            disk.flush_fails = True
            self.world.at(1.0, lambda: setattr(disk, "flush_fails", False))

    def _kill_transfer(self) -> None:
        for held in self.world.helds:
            if held.work is not None and not held.work.is_finished:
                self.world.tell(f"the transfer of {held.job_id} is killed")
                held.work.kill(EndReason.PROCESS_DIED)
                return

    def _write_from_outside(self) -> None:
        """Somebody uses a drive that lies about, or, without asking anybody, one in a bay."""
        inside = [plugging for plugging in self.world.slots.values() if not plugging.is_closed_to_others]
        pulled = self._shelf
        if pulled and (not inside or self._chance.random() < 0.5):
            disk, is_counted, is_held = self._chance.choice(pulled), False, False
        elif inside:
            plugging = self._chance.choice(inside)
            disk, is_counted, is_held = plugging.disk, True, plugging.claim is not None
        else:
            return
        sectors = self._chance.sample(range(disk.sectors), self._chance.randint(1, 2))
        self.world.tell(f"somebody writes to sectors {sectors} of drive {disk.number}")
        disk.somebody_writes(sectors, is_counted=is_counted, is_held=is_held)

    def _use(self) -> None:
        free = [plugging.disk for plugging in self.world.slots.values() if plugging.claim is None and not plugging.late]
        if not free:
            return
        disk = self._chance.choice(free)
        disk.used_by = "/srv"
        self.world.tell(f"drive {disk.number} is mounted")
        disk.somebody_writes([self._chance.randrange(disk.sectors)], is_counted=True)
        self.world.at(self._chance.uniform(0.5, 5.0), lambda: setattr(disk, "used_by", ""))

    def _trouble_disk(self) -> None:
        seconds = self._chance.uniform(0.3, 3.0)
        self.world.disturbed_until = self.world.now + seconds + 4.0
        match self._chance.randrange(3):
            case 0:
                self.disk.is_full = True
                self.world.tell("the journal's disk is full")
            case 1:
                self.disk.slow_seconds = self._chance.uniform(0.1, 1.0)
                self.world.tell("the journal's disk is slow")
            case _:
                self.disk.fails = 1
                self.world.tell("the journal's disk fails once")
        self.world.at(seconds, self._mend_disk)

    def _mend_disk(self) -> None:
        self.disk.is_full, self.disk.slow_seconds, self.disk.fails = False, 0.0, 0

    def _jump(self) -> None:
        self.world.clock_offset += self._chance.choice((-3600.0, 3600.0))

    def _stop(self) -> None:
        if self.program is not None and self.program.stops_at is None:
            self.world.tell("the station is told to stop")
            self.program.stop()

    # ---- the conveyor

    def _convey(self) -> None:
        """Whoever has passed goes, and the next one comes; one bay gets one drive only, for which nobody waits."""
        if self.is_quiet or self.program is None:
            return
        for bay in (bay.name for bay in self.setting.bay_map.bays):
            if self._state(bay) is BayState.PASSED:
                self._shelf.append(self.world.pull(bay))
            elif bay not in self.world.slots and (bay != "B2" or 3.0 < self.world.now < 4.0):
                disk = self._new_drive()
                disk.customer_waits = disk.has_consented = bay != "B2"
                self._shelf.remove(disk)
                self.world.plug(disk, bay)
        self.world.at(0.3, self._convey)

    # ---- the end

    def _calm(self) -> None:
        """From now on nothing bad happens; what can be finished is finished."""
        self.world.tell("--- from now on the world is quiet")
        self.is_quiet = True
        self._mend_disk()
        for disk in self.world.disks:
            disk.is_hot = False
            if disk.customer_waits:
                self._agree(disk)
        for bay in [bay for bay in self.world.slots if bay.endswith(SECOND)]:
            self.world.pull(bay)
        self._until = self.world.now + CARE_LIMIT_SECONDS
        self._care()

    def _care(self) -> None:
        if self.program is not None and self.program.stops_at is None and not self.is_over:
            for bay in self.setting.bay_map.bays:
                self._care_for(bay.name)
            if not self._unfinished():
                self.is_over = True
                self.world.tell("--- all that can be finished is finished")
                self.program.stop()
                return
            if self.world.now > self._until:
                names = [disk.number for disk in self._unfinished()]
                self.world.checks.fail(f"drives {names} were not finished within {CARE_LIMIT_SECONDS} s")
        self.world.at(CARE_SECONDS, self._care)

    def _snapshot(self, bay: str) -> BaySnapshot:
        assert self.program is not None
        return self.program.bay(bay)

    def _state(self, bay: str) -> BayState:
        return self._snapshot(bay).state

    def _unfinished(self) -> list[FaultyDrive]:
        return [disk for disk in self.world.disks if self._tries.get(disk.number, 0) < math.inf]

    def _care_for(self, bay: str) -> None:
        plugging = self.world.slots.get(bay)
        state = self._state(bay)
        if state is BayState.MAINTENANCE:
            self._give("back", bay)
        if plugging is None:
            waiting = [disk for disk in self._unfinished() if not self.world.slot_of(disk)]
            alone = [disk for disk in waiting if not self._has_namesake(disk)]
            if state is BayState.EMPTY and alone:
                self.world.plug(alone[0], bay)
            return
        disk = plugging.disk
        if (
            disk.hangs
            or state is BayState.HELD
            or self._has_namesake(disk)
            or self._tries.get(disk.number, 0) == math.inf
        ):
            self.world.pull(bay)
            return
        match state:
            case BayState.PASSED:
                self._finish(disk, bay)
            case BayState.PAUSED:
                self._give("resume", bay)
            case BayState.ASKING:
                self._give("start", bay)
            case BayState.REFUSED | BayState.FAILED | BayState.INTERRUPTED:
                self._try_again(disk, bay, state)

    def _has_namesake(self, disk: FaultyDrive) -> bool:
        others = (plugging.disk for plugging in self.world.slots.values())
        return any(other is not disk and other.serial == disk.serial and other.serial for other in others)

    def _finish(self, disk: FaultyDrive, bay: str) -> None:
        self._tries[disk.number] = math.inf
        self.world.pull(bay)

    def _try_again(self, disk: FaultyDrive, bay: str, state: BayState) -> None:
        tries = self._tries[disk.number] = self._tries.get(disk.number, 0) + 1
        can_pass = disk.is_sound and disk.serial
        if tries < MOST_TRIES or (can_pass and tries < 3 * MOST_TRIES):
            if state is not BayState.FAILED or can_pass:
                self._give("retry", bay)
                return
        elif can_pass:
            self.world.checks.fail(f"sound drive {disk.number} does not pass: {state}: {self._snapshot(bay).reason}")
        self._finish(disk, bay)
