"""What can be configured, with its defaults. Shapes only: `reading.py` makes these from a file and the environment."""

import ipaddress
import re
from collections.abc import Iterable
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt
from pydantic import model_validator as validates_the_whole
from pydantic_settings import BaseSettings, SettingsConfigDict

from eraser.domain import bay as domain
from eraser.domain.catalogue import standard_named
from eraser.domain.failure import FailureCriteria
from eraser.domain.plan import Level
from eraser.domain.program import Verification
from eraser.domain.watchdog import Heat, Limits
from eraser.errors import UsageError

LEDGER_SCHEMES = ("sqlite", "postgresql")
MAX_PORT = 65_535
MAX_SHIFT_NAME_CHARACTERS = 32
ABSOLUTE_ZERO_CELSIUS = -273


class Unfit(ValueError):
    """A value that cannot be, with what to do about it; `at` leads from the model to the key that is meant."""

    def __init__(self, what: str, remedy: str, at: domain.Where = ()) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.at = at


class _Table(BaseModel):
    """A table of the file. Keys that are not known are errors: a limit that is misspelt would be none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def _listen_address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    remedy = 'Write HOST:PORT, such as "127.0.0.1:8080" or "[::1]:8080".'
    if not colon or not port.isascii() or not port.isdigit():
        raise Unfit(f"{text!r} has no port", remedy)
    if int(port) > MAX_PORT:
        raise Unfit(f"there is no port {port}", f"Choose one up to {MAX_PORT}.")
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1].partition("%")[0])
        except ValueError:
            raise Unfit(f"{host} is no IPv6 address", remedy) from None
    elif re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise Unfit(f"{host} is no IPv4 address", remedy) from None
    elif not _HOST.fullmatch(host):
        raise Unfit(f"{host!r} is no host", remedy)
    return text


def _public_url(text: str) -> str:
    remedy = "Write one such as https://erasure.example.com, without a path's end or a question."
    try:
        parts = urlsplit(text)
    except ValueError:
        raise Unfit("it is no address", remedy) from None
    is_address = (
        parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment or parts.username)
    )
    if text and (not is_address or not text.isascii() or not text.isprintable() or " " in text or len(text) > 200):
        raise Unfit("it is no address that people outside can use", remedy)
    return text.rstrip("/")


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise Unfit("the path is not absolute", "Begin it with a slash: a service has no folder of its own.")
    return path


def _ledger_url(text: str) -> str:
    # The URL itself may hold a password: it is never repeated.
    if not text:
        return text
    scheme = urlsplit(text).scheme.partition("+")[0]
    if scheme not in LEDGER_SCHEMES:
        raise Unfit(
            "it is the URL of no database that can hold the ledger",
            "Write sqlite:////absolute/path/ledger.db or postgresql://USER@HOST/NAME.",
        )
    if scheme == "sqlite" and not text.startswith("sqlite:////"):
        raise Unfit("the database's path is not absolute", "Write four slashes: sqlite:////var/lib/eraser/ledger.db.")
    return text


def _standard(name: str) -> str:
    try:
        standard_named(name)
    except UsageError as error:
        raise Unfit(error.what, error.remedy) from error
    return name


def _bay_name(text: str) -> str:
    try:
        return domain.bay_name(text)
    except ValueError as error:
        raise Unfit(str(error), "Rename it: `A1`, `left-3`.") from error


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Places = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Celsius = Annotated[float, Field(gt=ABSOLUTE_ZERO_CELSIUS, le=125, allow_inf_nan=False)]


class StationSettings(_Table):
    """Who this station is: stands in certificates."""

    id: Annotated[str, Field(min_length=1, max_length=64)] = "station-1"
    location: Annotated[str, Field(max_length=200)] = ""


class HttpSettings(_Table):
    """Where the station answers."""

    listen: Annotated[str, AfterValidator(_listen_address)] = "127.0.0.1:8080"
    socket: AbsolutePath = Path("/run/eraser/eraser.sock")
    public_url: Annotated[str, AfterValidator(_public_url)] = ""
    """How customers and auditors reach this station: what the QR codes on certificates and labels lead to."""


def _trusted_proxy(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise Unfit(f"{text!r} is no address and no network", 'Write "10.0.0.5" or "10.0.0.0/24".') from None
    return text


class ConsoleSettings(_Table):
    """Who stands between the station and the people who use its pages."""

    trusted_proxies: tuple[Annotated[str, AfterValidator(_trusted_proxy)], ...] = ()
    """Addresses or networks whose word is taken for whom they ask (X-Forwarded-For, X-Forwarded-Proto)."""


def _shift_name(name: str) -> str:
    if not 1 <= len(name) <= MAX_SHIFT_NAME_CHARACTERS or not name.isprintable():
        raise Unfit("it is no name of a shift", f"Give it one of 1 to {MAX_SHIFT_NAME_CHARACTERS} letters.")
    return name


class LedgerSettings(_Table):
    """Where the ledger is; empty: SQLite in the data folder."""

    url: Annotated[str, AfterValidator(_ledger_url)] = ""


LEAST_LEDGER_YEARS = 3
"""What the rules for second-hand goods and for their 台账 ask."""


class RetentionSettings(_Table):
    """How long what is finished stays in the ledger. Nothing is removed but by `eraser ledger expire`."""

    ledger_years: int = LEAST_LEDGER_YEARS
    trail_years: int | None = None
    """What people did. Of this and the following: as the ledger where nothing is said."""
    attendance_years: int | None = None
    """Customers who were present."""
    specification_years: int | None = None
    vault_years: int | None = None
    """What is left of customers' records after their keys were destroyed."""

    @validates_the_whole(mode="after")
    def _is_long_enough(self) -> Self:
        for name in type(self).model_fields:
            years = getattr(self, name)
            if years is not None and not LEAST_LEDGER_YEARS <= years <= 100:
                what = f"a ledger is kept for at least {LEAST_LEDGER_YEARS} years, and for at most 100"
                raise Unfit(what, "Write a number of years from 3 to 100.", (name,))
        return self


class FailureSettings(_Table):
    """When a job is not worth going on with: it then has failed, whatever else. None: no limit."""

    max_bad_extents: PositiveInt | None = None
    max_retries: PositiveInt | None = None
    min_bytes_per_second: PositiveInt | None = None
    max_reallocated_sectors: Annotated[int, Field(ge=0)] | None = None

    def criteria(self) -> FailureCriteria:
        """As the domain's value."""
        return FailureCriteria(**dict(self))


class LotSettings(_Table):
    """What is done to a drive that belongs to no lot with a policy of its own."""

    standard: Annotated[str, AfterValidator(_standard)] = "nist-clear"
    level: Level = Level.CLEAR
    verification: Verification = Verification.FULL
    start: Literal["ask", "by-itself"] = "ask"
    failure: FailureSettings = FailureSettings()


class WatchdogSettings(_Table):
    """When a drive is called stuck or slow."""

    io_seconds: Seconds = 30.0
    window_seconds: Seconds = 60.0
    slow_against_itself: Fraction = 0.5
    slow_against_twins: Fraction = 0.5
    errors_per_minute: PositiveInt = 10

    def limits(self) -> Limits:
        """As the domain's value."""
        return Limits(**dict(self))


class TemperatureSettings(_Table):
    """Above `pause` a drive rests until it is below `resume`."""

    pause_celsius: Celsius = 60.0
    resume_celsius: Celsius = 50.0
    pause_flash_celsius: Celsius = 75.0
    resume_flash_celsius: Celsius = 65.0

    def heat(self) -> Heat:
        """Of drives with platters, and of those that do not say."""
        return Heat(self.pause_celsius, self.resume_celsius)

    def heat_of_flash(self) -> Heat:
        """Of flash drives, which stand more."""
        return Heat(self.pause_flash_celsius, self.resume_flash_celsius)

    @validates_the_whole(mode="after")
    def _leaves_room(self) -> Self:
        for pause, resume in (
            ("pause_celsius", "resume_celsius"),
            ("pause_flash_celsius", "resume_flash_celsius"),
        ):
            if getattr(self, resume) >= getattr(self, pause):
                raise Unfit(f"it is not below {pause}", f"Set it some degrees below {pause}.", (resume,))
        return self


class ControlSettings(_Table):
    """The positive control: two drives of the station's own, each "image" or a drive's serial number or world-wide name."""

    canary: Annotated[str, Field(max_length=64)] = ""
    dirty: Annotated[str, Field(max_length=64)] = ""
    interval_hours: Annotated[float, Field(gt=0, le=24 * 31, allow_inf_nan=False)] = 24.0
    standard: Annotated[str, AfterValidator(_standard)] = "nist-clear"
    image_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 28, multiple_of=4096)] = 32 << 20

    @property
    def is_on(self) -> bool:
        """Whether there is one."""
        return bool(self.canary)

    @validates_the_whole(mode="after")
    def _has_both(self) -> Self:
        missing = next((name for name in ("canary", "dirty") if not getattr(self, name)), "")
        if missing and (self.canary or self.dirty):
            raise Unfit("one control without the other shows nothing", 'Name a drive, or write "image".', (missing,))
        if self.canary == self.dirty and self.canary not in ("", "image"):
            raise Unfit("it is the canary's drive", "Name another one.", ("dirty",))
        return self


class RoutineSettings(_Table):
    """The routine control: how often one in twenty of the drives that passed since is drawn."""

    draw_every_hours: Annotated[float, Field(ge=0, le=144, allow_inf_nan=False)] = 24.0
    """0: people draw. A passed drive that is in no draw after seven days is overdue."""


class MetricsSettings(_Table):
    """What /metrics shows."""

    enabled: bool = True
    min_interval_seconds: Seconds = 1.0


class LogFormat(StrEnum):
    """How a log line looks. `auto`: for people on a terminal, else JSON."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class SerialLogging(StrEnum):
    """How drives' serial numbers stand in the log."""

    PLAIN = "plain"
    HASHED = "hashed"
    OFF = "off"


class LoggingSettings(_Table):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: LogFormat = LogFormat.AUTO
    serials: SerialLogging = SerialLogging.PLAIN


class PositionSettings(_Table):
    """Where the picture shows a bay."""

    shelf: Annotated[str, Field(min_length=1, max_length=32)]
    row: Annotated[int, Field(ge=1, le=200)]
    column: Annotated[int, Field(ge=1, le=200)]


class BaySettings(_Table):
    """One bay: its name and, by one kind, where it is."""

    name: Annotated[str, AfterValidator(_bay_name)]
    path: Places = ()
    phy: Places = ()
    pci_slot: Places = ()
    usb_port: Places = ()
    position: PositionSettings | None = None
    bandwidth_domains: tuple[str, ...] = ()
    power_domain: str = ""

    @validates_the_whole(mode="after")
    def _has_one_kind_of_place(self) -> Self:
        kinds = [kind for kind in domain.PlaceKind if getattr(self, kind.value)]
        names = ", ".join(kind.value for kind in domain.PlaceKind)
        if not kinds:
            raise Unfit(f"bay {self.name} is nowhere", f"Say where by one of {names}; `eraser bays learn` finds out.")
        if len(kinds) > 1:
            both = f"{kinds[0].value} and {kinds[1].value}"
            raise Unfit(f"bay {self.name} has both {both}", "Keep one of them.", (kinds[1].value,))
        for index, pattern in enumerate(getattr(self, kinds[0].value)):
            try:
                domain.PlacePattern(kinds[0], pattern)
            except ValueError as error:
                remedy = "`eraser bays learn` measures it; wildcards are * and ?."
                raise Unfit(str(error), remedy, (kinds[0].value, index)) from error
        return self

    def bay(self) -> domain.Bay:
        """As the domain's value."""
        places = tuple(
            domain.PlacePattern(kind, pattern) for kind in domain.PlaceKind for pattern in getattr(self, kind.value)
        )
        position = domain.Position(**dict(self.position)) if self.position else None
        return domain.Bay(
            domain.bay_name(self.name), places, position, tuple(self.bandwidth_domains), self.power_domain
        )


class BandwidthDomainSettings(_Table):
    """What several bays' bytes go through."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    kind: domain.DomainKind = domain.DomainKind.MANUAL
    max_active_drives: PositiveInt | None = None
    max_bytes_per_second: PositiveInt | None = None
    within: str = ""


class PowerDomainSettings(_Table):
    """Bays on one supply, whose drives spin up one after the other."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    stagger_seconds: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 0.0
    max_spinning_up: PositiveInt = 1


class Configuration(BaseSettings):
    """All of it. Every value has a default but the bays': a station without bays takes no drive by itself."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="ERASER_", env_nested_delimiter="__", validate_default=False
    )

    data: AbsolutePath = Path("/var/lib/eraser")
    station: StationSettings = StationSettings()
    http: HttpSettings = HttpSettings()
    console: ConsoleSettings = ConsoleSettings()
    shifts: dict[Annotated[str, AfterValidator(_shift_name)], time] = {}
    """When each begins, by the station's own time; none: at 0, 8 and 16 o'clock, without names."""
    ledger: LedgerSettings = LedgerSettings()
    retention: RetentionSettings = RetentionSettings()
    lots: LotSettings = LotSettings()
    watchdog: WatchdogSettings = WatchdogSettings()
    temperature: TemperatureSettings = TemperatureSettings()
    control: ControlSettings = ControlSettings()
    routine: RoutineSettings = RoutineSettings()
    metrics: MetricsSettings = MetricsSettings()
    logging: LoggingSettings = LoggingSettings()
    bays: tuple[BaySettings, ...] = ()
    bandwidth_domains: tuple[BandwidthDomainSettings, ...] = ()
    power_domains: tuple[PowerDomainSettings, ...] = ()

    @property
    def ledger_url(self) -> str:
        """The ledger's URL, also where it is the default's."""
        return self.ledger.url or f"sqlite:///{self.data / 'ledger.db'}"

    @property
    def log_origin(self) -> str:
        """The name of the transparency log, which its key bears as well: without spaces and '+', which notes use."""
        return f"eraser/{re.sub(r'[^A-Za-z0-9._-]', '_', self.station.id)}"

    def bay_map(self) -> domain.BayMap:
        """The bays with what they share. `reading.py` has asked it for its problems."""
        return bay_map_of(self.bays, self.bandwidth_domains, self.power_domains)


def bay_map_of(
    bays: Iterable[BaySettings],
    bandwidth_domains: Iterable[BandwidthDomainSettings],
    power_domains: Iterable[PowerDomainSettings],
) -> domain.BayMap:
    """The domain's value of these; whether they fit each other it has to be asked."""
    return domain.BayMap(
        bays=tuple(item.bay() for item in bays),
        bandwidth_domains=tuple(domain.BandwidthDomain(**dict(item)) for item in bandwidth_domains),
        power_domains=tuple(domain.PowerDomain(**dict(item)) for item in power_domains),
    )
