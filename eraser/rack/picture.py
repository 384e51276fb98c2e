"""The picture of one bay: what is shown of its drive, and of the job at work on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eraser.domain.bay import Bay
from eraser.domain.drive import Drive
from eraser.domain.sayings import Saying, Sayings
from eraser.rack.job_run import JobRun, Progress, Stage
from eraser.rack.meter import Meter
from eraser.rack.view import BayState


@dataclass(slots=True)
class Shown:
    """What the picture shows beside the job's own counters; all of it is the drive's, and goes with it."""

    state: BayState = BayState.EMPTY
    reasons: Sayings = ()
    waiting: Sayings = ()
    sighting: str = ""
    drive: Drive | None = None
    is_cancelled: bool = False
    """Whether it has a job that a person cancelled, and is asked about for that."""
    job_id: str = ""
    standard: str = ""
    passes: int = 0
    certificate: str = ""
    lot: str = ""
    asset_tag: str = ""
    specification: Sayings = ()
    written_bytes: int = 0
    verified_bytes: int = 0
    alarms: Mapping[str, Saying] = field(default_factory=dict)
    stalls: int = 0
    temperature_celsius: float | None = None

    def of_drive(self, bay: Bay) -> dict[str, Any]:
        """Fields of `BaySnapshot`, all but those that a job changes from moment to moment."""
        position = bay.position
        place = {"shelf": position.shelf, "row": position.row, "column": position.column} if position else {}
        return {
            "name": bay.name,
            **place,
            "sighting": self.sighting,
            "drive": self.drive,
            "job_id": self.job_id,
            "standard": self.standard,
            "passes": self.passes,
            "written_bytes": self.written_bytes,
            "verified_bytes": self.verified_bytes,
            "alarms": tuple(self.alarms),
            "alarm_sayings": tuple(self.alarms.values()),
            "stalls": self.stalls,
            "temperature_celsius": self.temperature_celsius,
            "reasons": self.reasons,
            "certificate": self.certificate,
            "lot": self.lot,
            "asset_tag": self.asset_tag,
            "specification": self.specification,
        }


def of_job(drive: Mapping[str, Any], job: JobRun, now: Progress, meter: Meter) -> dict[str, Any]:
    """What a job that is at work makes of the drive's own fields."""
    is_writing = now.stage in (Stage.WRITING, Stage.MARKERS)
    is_verifying = now.stage is Stage.VERIFYING
    verified = drive["verified_bytes"] + job.bytes_verified + (now.moved_bytes if is_verifying else 0)
    return {
        "stage": now.stage.value,
        "pass_number": now.pass_number,
        "passes": now.passes,
        "done_bytes": now.done_bytes,
        "total_bytes": now.total_bytes,
        "written_bytes": drive["written_bytes"] + job.bytes_written + (now.moved_bytes if is_writing else 0),
        "verified_bytes": verified,
        "hashed_bytes": verified,
        "bytes_per_second": meter.bytes_per_second,
        "eta_seconds": meter.eta_seconds,
        "retries": now.retries,
        "bad_bytes": now.bad_bytes,
        "mismatched_sectors": now.mismatched_sectors,
        "oldest_io_seconds": now.oldest_io_seconds,
        "latency_us_buckets": now.latency_us_buckets,
    }
