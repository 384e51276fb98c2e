"""A station of the test's own: bays as they are told, and a note of every order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from eraser.domain.certificate import Station, Tool
from eraser.domain.control import FORMAT, VERSION, Control, ControlDrive, ControlOutcome, ControlTest
from eraser.domain.sayings import Code, say
from eraser.errors import Refused, UsageError
from eraser.rack.view import BaySnapshot, BayState, ControlForm, ControlLine, StationSnapshot
from tests.domain.builders import a_drive

AT = "2027-01-01T00:00:00.000Z"
SLOW = say(Code.SLOWER_THAN_TWINS, rate=60e6, count=5, expected=210e6)
LATENCIES = tuple(range(1, 33))


def a_busy_bay(name: str = "A1", **changes: Any) -> BaySnapshot:
    """A bay in the middle of its second pass, with something of everything."""
    bay = BaySnapshot(
        name=name,
        state=BayState.WRITING,
        shelf="A",
        row=1,
        column=1,
        sighting=f"seen-in-{name}",
        drive=a_drive(disk_sequence=7),
        job_id="0c8f4f0e6f5d",
        standard="nist-clear",
        stage="writing",
        pass_number=2,
        passes=3,
        done_bytes=250,
        total_bytes=1000,
        written_bytes=1250,
        verified_bytes=600,
        hashed_bytes=500,
        bytes_per_second=210e6,
        eta_seconds=3600.5,
        retries=3,
        bad_bytes=4096,
        mismatched_sectors=2,
        stalls=1,
        temperature_celsius=41.5,
        alarms=("slow",),
        alarm_sayings=(SLOW,),
        oldest_io_seconds=0.25,
        latency_us_buckets=LATENCIES,
    )
    return replace(bay, **changes)


def an_empty_bay(name: str = "A2") -> BaySnapshot:
    """A bay with nothing in it."""
    return BaySnapshot(name=name, state=BayState.EMPTY, shelf="A", row=1, column=2)


def a_snapshot(*bays: BaySnapshot, **changes: Any) -> StationSnapshot:
    """A ready station with these bays, or with one that is busy and one that is empty."""
    snapshot = StationSnapshot(
        at=AT,
        bays=bays or (a_busy_bay(), an_empty_bay()),
        jobs={("passed", "nist-clear"): 5, ("failed", "gutmann"): 1},
        queue={"bandwidth": 2},
        loop_lag_seconds=0.001,
        journal_seconds=0.004,
    )
    return replace(snapshot, **changes)


@dataclass
class FakeStation:
    """A StationPort that does nothing but remember; refuses for the bays in `refusing`."""

    shown: StationSnapshot = field(default_factory=a_snapshot)
    orders: list[tuple[Any, ...]] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)
    snapshots: int = 0

    def snapshot(self) -> StationSnapshot:
        self.snapshots += 1
        return self.shown

    async def start(self, bay: str, standard: str, seen: str, *, operator: str = "") -> None:
        self._note("start", bay, seen, standard)
        self.operators.append(operator)

    async def pause(self, bay: str, seen: str | None = None) -> None:
        self._note("pause", bay, seen)

    async def resume(self, bay: str, seen: str | None = None) -> None:
        self._note("resume", bay, seen)

    async def cancel(self, bay: str, seen: str | None = None) -> None:
        self._note("cancel", bay, seen)

    async def retry(self, bay: str, seen: str, *, operator: str = "") -> None:
        self._note("retry", bay, seen)
        self.operators.append(operator)

    async def locate(self, bay: str, seen: str | None = None) -> None:
        self._note("locate", bay, seen)

    async def maintain(self, bay: str, *, on: bool) -> None:
        self._note("maintain", bay, None, on)

    async def drain(self, *, on: bool) -> None:
        self.orders.append(("drain", on))

    def _note(self, order: str, bay: str, seen: str | None, *rest: Any) -> None:
        shown = next((shown for shown in self.shown.bays if shown.name == bay), None)
        if shown is None:
            raise UsageError("there is no such bay", subject=bay)
        if seen is not None and seen != shown.sighting:
            raise Refused("another-drive", "another drive is in it", subject=f"bay {bay}", remedy="Look again.")
        if bay in self.refusing:
            raise Refused("not-running", "no job runs there", subject=f"bay {bay}", remedy="Start one.")
        self.orders.append((order, bay, *rest))


def a_control(test: ControlTest, outcome: ControlOutcome, at: str) -> Control:
    """As a station has it on record."""
    return Control(
        format=FORMAT,
        version=VERSION,
        control_id="c" * 32,
        test=test,
        drive=ControlDrive("/dev/control", "ZX00CTRL", "", 1 << 20),
        standard="nist-clear",
        outcome=outcome,
        reasons=(),
        verified_bytes=1 << 20,
        known_places=8,
        known_left=0,
        dirtied=(),
        found=(),
        found_total=0,
        started_at=at,
        ended_at=at,
        station=Station("station-1"),
        tool=Tool("Eraser", "0", "b"),
    )


@dataclass
class FakeControls:
    """A ControlPort whose canary is as it must be and whose dirty drive was not run yet."""

    asked: int = 0

    def form(self) -> ControlForm | None:
        good = a_control(ControlTest.CANARY, ControlOutcome.PASSED, AT)
        lines = (
            ControlLine(ControlTest.CANARY, "ZX00CTRL", good, True, "2027-01-02T00:00:00Z"),
            ControlLine(ControlTest.DIRTY, "image", None, False, ""),
        )
        return ControlForm("the dirty control has not been run yet", "dirty", 86400, lines)

    def ask(self) -> None:
        self.asked += 1
