"""What people write when they ask for an audit, read into the domain's values. Every function raises UsageError."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from eraser.domain.acceptance import InspectionLevel, Severity
from eraser.domain.audit import ByAql, ByDefectRate, Criterion
from eraser.errors import UsageError

_PPM_OF_PERCENT = 10_000


@dataclass(frozen=True, slots=True)
class PlanOrder:
    """`checkpoint_size`: the log as it was of so many entries; None: as of its newest checkpoint."""

    days: tuple[str, str]
    criterion: Criterion
    confidence_ppm: int
    nonce: bytes
    checkpoint_size: int | None = None


def criterion_of(aql: str, level: str, severity: str, defect_rate: str, accepts: int) -> Criterion:
    """By an AQL of ISO 2859-1, or by a share; the other one is empty."""
    if bool(aql) == bool(defect_rate):
        raise UsageError("a plan has either an AQL or a defect rate", remedy="Give one of --aql and --defect-rate.")
    if aql:
        return ByAql(aql, InspectionLevel(level), Severity(severity))
    return ByDefectRate(ppm(defect_rate), accepts)


def ppm(percent: str) -> int:
    """Parts per million of a percentage, such as 0.65."""
    try:
        found = Decimal(percent) * _PPM_OF_PERCENT
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or not 0 < found <= 100 * _PPM_OF_PERCENT or found != int(found):
        raise UsageError(f"{percent[:40]!r} is no percentage above 0 and up to 100, with four places at most")
    return int(found)


def nonce_of(text: str) -> bytes:
    """From hex."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError("a nonce is written in hex", remedy="`openssl rand -hex 16` draws one.") from None


def days_of(first: str, last: str) -> tuple[str, str]:
    """From the beginning of the first day (UTC) to the end of the last."""
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise UsageError("a day is written as 2026-11-30") from None
    if begin >= end:
        raise UsageError("the last day lies before the first one")
    return f"{begin.isoformat()}T00:00:00Z", f"{end.isoformat()}T00:00:00Z"
