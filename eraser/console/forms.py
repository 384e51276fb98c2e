"""What the API shows, in JSON: the one shape that the server writes and the client reads."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from eraser.domain.custody import CustodyRecord, DriveName, Standing
from eraser.domain.drive import Drive
from eraser.domain.json_form import from_json, kept_fields, to_json
from eraser.domain.lot import Arrivals, Lot
from eraser.domain.sayings import CODES, Saying, Sayings, say
from eraser.domain.withdrawal import Withdrawal
from eraser.errors import UsageError
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs of a standard ended in one way since the station started."""

    outcome: str
    standard: str
    count: int


@dataclass(frozen=True, slots=True)
class StationForm:
    """The whole station at one moment; `at` is UTC, RFC 3339. The rest as in `StationSnapshot`."""

    at: str
    is_ready: bool
    is_draining: bool
    problems: tuple[str, ...]
    """`troubles` in English."""
    troubles: Sayings
    loop_lag_seconds: float
    journal_seconds: float
    queue: dict[str, int]
    jobs: tuple[JobCount, ...]
    bays: tuple[BaySnapshot, ...]


def station_form(snapshot: StationSnapshot) -> StationForm:
    """A snapshot as the API shows it."""
    return StationForm(
        at=snapshot.at,
        is_ready=not snapshot.problems,
        is_draining=snapshot.is_draining,
        problems=snapshot.problems,
        troubles=snapshot.troubles,
        loop_lag_seconds=snapshot.loop_lag_seconds,
        journal_seconds=snapshot.journal_seconds,
        queue=dict(snapshot.queue),
        jobs=tuple(JobCount(*key, count) for key, count in sorted(snapshot.jobs.items())),
        bays=snapshot.bays,
    )


@dataclass(frozen=True, slots=True)
class LotForm:
    """A lot, and at which bays this station takes it in; at every one where it is open and none is named."""

    lot: Lot
    is_open: bool
    bays: tuple[str, ...]
    arrivals: Arrivals | None
    """What has come of it; None in a list of lots."""


@dataclass(frozen=True, slots=True)
class DriveForm:
    """A drive's chain of custody, and why the exit gate would not let it through: empty where it would."""

    drive: DriveName
    standing: Standing
    open_jobs: int
    is_ambiguous: bool
    not_for_sale: str
    not_for_sale_code: str
    records: tuple[CustodyRecord, ...]


@dataclass(frozen=True, slots=True)
class WithdrawalForm:
    """A withdrawal that is on record, the file that holds it, and what it meant for the drive, as in
    `eraser.ledger.withdrawals.Consequence`.
    """

    withdrawal: Withdrawal
    file: str
    drive: DriveName | None
    is_quarantined: bool
    is_destroyed: bool
    left_to: str


def desk_form(form: LotForm | DriveForm | WithdrawalForm) -> Any:
    """As the API shows it."""
    return to_json(form)


def read_lot(form: Mapping[str, Any]) -> LotForm:
    """What a station's answer stands for. Raises UsageError for what no station of this version answers."""
    return from_json(LotForm, form)


def read_drive(form: Mapping[str, Any]) -> DriveForm:
    """What a station's answer stands for. Raises UsageError for what no station of this version answers."""
    return from_json(DriveForm, form)


def read_withdrawal(form: Mapping[str, Any]) -> WithdrawalForm:
    """What a station's answer stands for. Raises UsageError for what no station of this version answers."""
    return from_json(WithdrawalForm, form)


def read_station(form: Mapping[str, Any]) -> StationSnapshot:
    """The snapshot that a station's answer stands for. Raises UsageError for what no station of this version answers."""
    try:
        return StationSnapshot(
            at=form["at"],
            bays=tuple(read_bay(bay) for bay in form["bays"]),
            jobs={(job["outcome"], job["standard"]): job["count"] for job in form["jobs"]},
            queue=form["queue"],
            loop_lag_seconds=form["loop_lag_seconds"],
            journal_seconds=form["journal_seconds"],
            is_draining=form["is_draining"],
            troubles=_read_sayings(form["troubles"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"the station's answer cannot be read ({error!r})",
            remedy="Use the `eraser` command of the version that the station runs.",
        ) from error


def read_bay(form: Mapping[str, Any]) -> BaySnapshot:
    """The bay that a station's answer stands for. Raises KeyError, TypeError or ValueError for what no station answers."""
    values = {item.name: form[item.name] for item in fields(BaySnapshot)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    values["state"] = BayState(values["state"])
    for name in ("waiting", "reasons", "alarm_sayings", "specification"):
        values[name] = _read_sayings(values[name])
    if (drive := values["drive"]) is not None:
        values["drive"] = from_json(Drive, _without_momentary(drive))
    return BaySnapshot(**values)


def _read_sayings(forms: Iterable[Mapping[str, Any]]) -> Sayings:
    return tuple(_read_saying(form) for form in forms)


def _read_saying(form: Mapping[str, Any]) -> Saying:
    values = {name: _read_saying(value) if isinstance(value, dict) else value for name, value in form["values"].items()}
    return say(CODES[form["code"]], **values)


def _without_momentary(form: Mapping[str, Any]) -> dict[str, Any]:
    return {item.name: form[item.name] for item in kept_fields(Drive)}
