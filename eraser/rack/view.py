"""What the station shows and takes: a snapshot made once a tick, and the orders that people may give. Values and a protocol.

Metrics, pages and the command line know the station only through this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from eraser.domain.control import Control, ControlTest
from eraser.domain.drive import Drive
from eraser.domain.sayings import Sayings, english


class BayState(StrEnum):
    """What a bay is doing, one at a time."""

    EMPTY = "empty"
    IDENTIFYING = "identifying"
    REFUSED = "refused"
    WAITING = "waiting"
    ASKING = "asking"
    """A person has to start it: its lot does not start by itself, or no lot claims it."""
    WRITING = "writing"
    VERIFYING = "verifying"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    PASSED = "passed"
    FAILED = "failed"
    HELD = "held"
    """An I/O that has not returned holds the drive: power-cycle it."""
    MAINTENANCE = "maintenance"


class PauseReason(StrEnum):
    """Why a job rests. It goes on when none is left."""

    PERSON = "person"
    HEAT = "heat"


@dataclass(frozen=True, slots=True)
class BaySnapshot:
    """One bay at one moment. Sizes in bytes, rates in bytes per second, times in seconds; totals since plugging in."""

    name: str
    state: BayState
    shelf: str = ""
    row: int = 0
    column: int = 0
    sighting: str = ""
    """Names what was seen here: another drive, or the same one plugged in again, has another. Orders carry it back."""
    drive: Drive | None = None
    job_id: str = ""
    standard: str = ""
    stage: str = ""
    pass_number: int = 0
    passes: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    written_bytes: int = 0
    verified_bytes: int = 0
    hashed_bytes: int = 0
    bytes_per_second: float = 0.0
    eta_seconds: float | None = None
    retries: int = 0
    bad_bytes: int = 0
    mismatched_sectors: int = 0
    stalls: int = 0
    temperature_celsius: float | None = None
    oldest_io_seconds: float = 0.0
    alarms: tuple[str, ...] = ()
    """What is the matter with the drive: values of `domain.watchdog.Alarm`."""
    alarm_sayings: Sayings = ()
    """What each alarm is about, one for each."""
    pauses: tuple[str, ...] = ()
    """Why its job rests: values of `PauseReason`."""
    latency_us_buckets: tuple[int, ...] = ()
    waiting: Sayings = ()
    """What it waits for, what a person is asked, why it rests."""
    reasons: Sayings = ()
    """Why it was refused, failed or interrupted."""
    certificate: str = ""
    """File name of the certificate that the last job left."""
    lot: str = ""
    asset_tag: str = ""
    specification: Sayings = ()
    """What other programs ask of this drive, and where that is not what its lot says."""

    @property
    def waits_for(self) -> str:
        """`waiting` in English."""
        return english(self.waiting)

    @property
    def reason(self) -> str:
        """`reasons` in English."""
        return english(self.reasons)

    @property
    def alarm_reasons(self) -> tuple[str, ...]:
        """`alarm_sayings` in English."""
        return tuple(saying.english for saying in self.alarm_sayings)


COMMIT_BOUNDS_SECONDS = (0.001, 0.004, 0.016, 0.064, 0.256, 1.0, 4.0, 16.0)
"""Upper bounds of `CommitTimes`: a flush of flash takes about 1 ms, of a disk 16 ms, of a sick one seconds."""


@dataclass(frozen=True, slots=True)
class CommitTimes:
    """How long the ledger's commits took since the start. `counts`: those up to each bound and above the one before it, and
    last those above all.
    """

    all_seconds: float = 0.0
    counts: tuple[int, ...] = (0,) * (len(COMMIT_BOUNDS_SECONDS) + 1)


@dataclass(frozen=True, slots=True)
class StationSnapshot:
    """The station at one moment; `at` is UTC, RFC 3339. `jobs` counts finished jobs by outcome and standard since the start."""

    at: str
    bays: tuple[BaySnapshot, ...]
    jobs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    queue: Mapping[str, int] = field(default_factory=dict)
    """Waiting bays by what they wait for."""
    loop_lag_seconds: float = 0.0
    journal_seconds: float = 0.0
    """How long the last event took to become durable."""
    commits: CommitTimes = CommitTimes()
    is_ledger_full: bool = False
    """Whether jobs stand still until there is room on a disk: the ledger's, or that of the certificates."""
    is_draining: bool = False
    routine_overdue: int = 0
    """Drawn drives that nobody has read in time, and a draw that should have been made."""
    is_withholding: bool = False
    """Whether nothing is certified, since the positive control is not as it must be."""
    troubles: Sayings = ()
    """Why it is not ready; empty when it is."""

    @property
    def problems(self) -> tuple[str, ...]:
        """`troubles` in English."""
        return tuple(saying.english for saying in self.troubles)


LOCATE_SECONDS = 30.0
"""How long a slot's light is on, or a drive's own blinks, so that somebody finds it."""


class StationPort(Protocol):
    """The running station, on its event loop. Orders return when they are accepted, not when they are carried out.

    They raise UsageError for a bay that there is not, Refused when the bay is not in a state to obey, and Refused
    (`another-drive`) when what is in it is not what was seen: `seen` is the snapshot's `sighting`. Where it may be None, None
    is for whatever is there. `operator` is who stands in the records of what begins, empty for the station's own.
    """

    def snapshot(self) -> StationSnapshot: ...

    async def start(self, bay: str, standard: str, seen: str, *, operator: str = "") -> None: ...

    async def pause(self, bay: str, seen: str | None = None) -> None: ...

    async def resume(self, bay: str, seen: str | None = None) -> None: ...

    async def cancel(self, bay: str, seen: str | None = None) -> None: ...

    async def retry(self, bay: str, seen: str, *, operator: str = "") -> None: ...

    async def locate(self, bay: str, seen: str | None = None) -> None:
        """Shows for `LOCATE_SECONDS` which slot it is; refused where that would disturb a job (`would-disturb`)."""
        ...

    async def maintain(self, bay: str, *, on: bool) -> None: ...

    async def drain(self, *, on: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class ControlLine:
    """One of the positive control's two: the drive that is named for it, its last record, and when it is due."""

    test: ControlTest
    drive: str
    last: Control | None
    is_as_expected: bool
    next_at: str
    """RFC 3339 in UTC; empty: now."""


@dataclass(frozen=True, slots=True)
class ControlForm:
    """`withheld` says why nothing is certified; `running` is the one that runs now. Both may be empty."""

    withheld: str
    running: str
    interval_seconds: int
    controls: tuple[ControlLine, ...]


class ControlPort(Protocol):
    """The station's positive control, on its event loop."""

    def form(self) -> ControlForm | None:
        """As it is now; None while the station has none."""

    def ask(self) -> None:
        """Both are run now, whatever the schedule says."""
