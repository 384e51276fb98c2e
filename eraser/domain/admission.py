"""Who may begin now: many drives, and what they share carries only some of them at a time. Pure: the time is passed in.

The order is: who was overtaken too often, then a customer who waits, then the nearest deadline, then who came first. A
drive may be overtaken by later ones for what they share, but at most `MAX_OVERTAKEN` times: after that nobody behind it
gets anything that it needs, so that it begins as soon as those who run have ended.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from eraser.domain.bay import BandwidthDomain, BayName, PowerDomain
from eraser.domain.sayings import Code, Saying, say

MAX_OVERTAKEN = 8
LEAST_BYTES_PER_SECOND = 10_000_000
"""A drive is not begun where its share would be less: all would crawl, and the last to finish is no sooner done."""


class Want(StrEnum):
    """What a drive waits for, as a bounded set of words for metrics."""

    DRIVES = "active-drives"
    BANDWIDTH = "bandwidth"
    POWER = "spin-up"
    TURN = "turn"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Needs:
    """A bay with what its drive shares with others: every bandwidth domain that its bytes go through, and its supply."""

    bay: BayName
    domains: tuple[BandwidthDomain, ...] = ()
    power: PowerDomain | None = None

    def shares_with(self, other: "Needs") -> bool:
        """Whether one of the two can keep the other waiting."""
        names = {domain.name for domain in self.domains}
        if any(domain.name in names for domain in other.domains):
            return True
        return self.power is not None and other.power is not None and self.power.name == other.power.name


@dataclass(frozen=True, slots=True)
class Applicant:
    """A drive that waits. `arrived` and `deadline` are seconds of one clock; `overtaken` counts later ones that went first."""

    needs: Needs
    arrived: float
    deadline: float = math.inf
    customer_waits: bool = False
    overtaken: int = 0

    @property
    def bay(self) -> BayName:
        """Whose it is."""
        return self.needs.bay

    @property
    def is_passed_over(self) -> bool:
        """Whether it may be overtaken no more."""
        return self.overtaken >= MAX_OVERTAKEN

    def is_before(self, other: "Applicant") -> bool:
        """Whether it came first; of two that came at once, by name."""
        return (self.arrived, self.bay) < (other.arrived, other.bay)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a drive does not begin, in a word and in full."""

    want: Want
    saying: Saying


@dataclass(frozen=True, slots=True)
class Decision:
    """`admitted` begin now, in this order. The others wait; `overtaken` is what to remember of them for the next time.

    `look_again` is the time at which something changes by itself; None where only the end of a job can change anything.
    """

    admitted: tuple[BayName, ...] = ()
    waiting: Mapping[BayName, Waiting] = field(default_factory=dict)
    overtaken: Mapping[BayName, int] = field(default_factory=dict)
    look_again: float | None = None


def admit(
    applicants: Collection[Applicant],
    running: Collection[Needs],
    spin_ups: Mapping[str, Sequence[float]],
    now: float,
) -> Decision:
    """Who begins now. `spin_ups` has the times of the latest starts by power domain."""
    floor = _Floor(list(running), {name: list(times) for name, times in spin_ups.items()}, now)
    waiting = {applicant.bay: applicant for applicant in applicants}
    admitted: list[BayName] = []
    while (chosen := _first_admissible(waiting.values(), floor)) is not None:
        del waiting[chosen.bay]
        admitted.append(chosen.bay)
        floor.begin(chosen.needs)
        for bay, other in waiting.items():
            if other.is_before(chosen) and other.needs.shares_with(chosen.needs):
                waiting[bay] = replace(other, overtaken=other.overtaken + 1)
    reasons = {applicant.bay: reason for applicant, reason in _judged(waiting.values(), floor) if reason is not None}
    return Decision(
        admitted=tuple(admitted),
        waiting=reasons,
        overtaken={bay: applicant.overtaken for bay, applicant in waiting.items()},
        look_again=floor.next_spin_up(waiting.values()),
    )


def shares(running: Collection[Needs]) -> dict[BayName, int]:
    """How many bytes a second each may move so that no domain carries more than its limit; 0 for no limit.

    Fair: every drive gets the same until a domain is full; what those in a full domain leave of the others' goes to
    their neighbours (max-min fairness by progressive filling, Bertsekas and Gallager, Data Networks, § 6.5.2).
    """
    result = dict.fromkeys((needs.bay for needs in running), 0)
    limits: dict[str, int] = {}
    members: dict[str, set[BayName]] = {}
    for needs in running:
        for domain in needs.domains:
            if domain.max_bytes_per_second is not None:
                limits[domain.name] = domain.max_bytes_per_second
                members.setdefault(domain.name, set()).add(needs.bay)
    while members:
        share, name = min((limits[name] // len(bays), name) for name, bays in members.items())
        for bay in members.pop(name):
            result[bay] = max(1, share)
            for other, bays in members.items():
                if bay in bays:
                    bays.remove(bay)
                    limits[other] = max(0, limits[other] - share)
        members = {name: bays for name, bays in members.items() if bays}
    return result


@dataclass(slots=True)
class _Floor:
    """What runs, and what that leaves."""

    running: list[Needs]
    spin_ups: dict[str, list[float]]
    now: float

    def begin(self, needs: Needs) -> None:
        self.running.append(needs)
        if needs.power is not None:
            self.spin_ups.setdefault(needs.power.name, []).append(self.now)

    def obstacle(self, needs: Needs) -> Waiting | None:
        """What keeps this drive from beginning, were it alone in waiting."""
        for domain in needs.domains:
            active = self._active_in(domain)
            if domain.max_active_drives is not None and active >= domain.max_active_drives:
                most = domain.max_active_drives
                return Waiting(Want.DRIVES, say(Code.WAITS_FOR_DRIVES, active=active, domain=domain.name, most=most))
            limit = domain.max_bytes_per_second
            if active and limit is not None and limit // (active + 1) < LEAST_BYTES_PER_SECOND:
                return Waiting(
                    Want.BANDWIDTH, say(Code.WAITS_FOR_BANDWIDTH, active=active, limit=limit, domain=domain.name)
                )
        return self._spin_up_obstacle(needs.power)

    def _active_in(self, domain: BandwidthDomain) -> int:
        return sum(any(other.name == domain.name for other in needs.domains) for needs in self.running)

    def _spin_up_obstacle(self, power: PowerDomain | None) -> Waiting | None:
        until = self.spin_up_ends(power)
        if power is None or until is None:
            return None
        seconds = round(until - self.now)  # whole ones, so that the picture does not change more often
        return Waiting(Want.POWER, say(Code.WAITS_FOR_SPIN_UP, seconds=seconds, domain=power.name))

    def spin_up_ends(self, power: PowerDomain | None) -> float | None:
        """When the supply has current for one more; None when it has now."""
        if power is None:
            return None
        ends = [start + power.stagger_seconds for start in self.spin_ups.get(power.name, ())]
        spinning = sorted(end for end in ends if end > self.now)
        return spinning[-power.max_spinning_up] if len(spinning) >= power.max_spinning_up else None

    def next_spin_up(self, waiting: Collection[Applicant]) -> float | None:
        ends = [self.spin_up_ends(applicant.needs.power) for applicant in waiting]
        return min((end for end in ends if end is not None), default=None)


def _first_admissible(waiting: Collection[Applicant], floor: _Floor) -> Applicant | None:
    return next((applicant for applicant, reason in _judged(waiting, floor) if reason is None), None)


def _judged(waiting: Collection[Applicant], floor: _Floor) -> Iterator[tuple[Applicant, Waiting | None]]:
    """The applicants in the order of their priority, each with what keeps it waiting."""
    reserved: list[Applicant] = []
    for applicant in sorted(waiting, key=_priority):
        holder = next((other for other in reserved if other.needs.shares_with(applicant.needs)), None)
        obstacle = floor.obstacle(applicant.needs)
        if obstacle is None and holder is not None:
            obstacle = Waiting(Want.TURN, say(Code.WAITS_BEHIND, bay=holder.bay))
        if obstacle is not None and applicant.is_passed_over:
            reserved.append(applicant)
        yield applicant, obstacle


def _priority(applicant: Applicant) -> tuple[object, ...]:
    rank = (not applicant.customer_waits, applicant.deadline)
    if applicant.is_passed_over:
        rank = (False, -math.inf)
    return (not applicant.is_passed_over, *rank, applicant.arrived, applicant.bay)
