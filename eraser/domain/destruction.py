"""The destruction record: the document of a drive that ended as *destroyed*. Pure.

It says what a person put on record: nobody but the witness has seen it, and no machine can check it.
"""

from dataclasses import dataclass
from typing import Any

from eraser.domain.certificate import ID_FORM, UTC_FORM, Station, expect_printable
from eraser.domain.custody import DriveName
from eraser.domain.json_form import from_json
from eraser.errors import UsageError

FORMAT = "eraser destruction"
VERSION = 1
OUTCOME = "destroyed"


@dataclass(frozen=True, slots=True)
class Destruction:
    """Version 1."""

    format: str
    version: int
    destruction_id: str
    outcome: str
    drive: DriveName
    """By all that it is known by at the plant."""
    job_id: str
    """The last job that ended on it here; empty where none has."""
    was_quarantined: bool
    """Whether it had been put aside before, as what fails is."""
    how: str
    destroyed_at: str
    """When it was put on record."""
    station: Station
    operator: str
    """A pseudonymous role, never a person's name; so is the witness, who may be empty."""
    witness: str


def read(form: Any) -> Destruction:
    """The record that this JSON form stands for. Raises UsageError naming what is missing, unknown or wrong."""
    record = from_json(Destruction, form, where="destruction")
    if record.format != FORMAT or record.version != VERSION or record.outcome != OUTCOME:
        raise UsageError(f"it is {record.format!r} version {record.version}, known is {FORMAT!r} {VERSION}")
    if not ID_FORM.fullmatch(record.destruction_id):
        raise UsageError(f"destruction.destruction_id: {record.destruction_id!r} is no UUID")
    if not UTC_FORM.fullmatch(record.destroyed_at):
        raise UsageError(f"destroyed_at: {record.destroyed_at!r} is no UTC time of RFC 3339")
    if not record.how.strip():
        raise UsageError("a destruction says how")
    expect_printable(form, "destruction")
    return record
