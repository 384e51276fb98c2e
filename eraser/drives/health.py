"""How many sectors a drive has replaced because they went bad, by its own count. Asked before a job, never during one.

A count that is not had is unknown, and never taken for 0: NVMe drives have none, many bridges pass nothing on, and SMART may
be switched off.
"""

import contextlib

from eraser.domain.drive import Drive, Transport
from eraser.drives import ata, scsi
from eraser.drives.commands import Courier, KernelCourier, NoAnswer
from eraser.drives.discovery import OpenCourier
from eraser.errors import DriveError

_SCSI_ASKED = frozenset({Transport.SAS, Transport.UNKNOWN})
"""A bridge in between answers for itself: its defect list would be one of nothing."""


def reallocated_sectors(drive: Drive, courier: OpenCourier = KernelCourier) -> int | None:
    """As the drive counts them, None where it does not say. May block for some seconds."""
    may_be_ata = drive.transport in (Transport.SATA, Transport.USB, Transport.UNKNOWN)
    if not may_be_ata and drive.transport not in _SCSI_ASKED:
        return None
    with courier(drive.path) as way:
        found = _by_ata(way) if may_be_ata else None
        return _by_scsi(way) if found is None and drive.transport in _SCSI_ASKED else found


def _by_ata(courier: Courier) -> int | None:
    with contextlib.suppress(NoAnswer, DriveError):
        answer = courier.scsi(ata.smart_read_data_cdb(), ata.IDENTIFY_BYTES)
        if answer.good:
            return ata.reallocated_sectors(answer.data)
    return None


def _by_scsi(courier: Courier) -> int | None:
    with contextlib.suppress(NoAnswer, DriveError):
        answer = courier.scsi(scsi.read_grown_defects_cdb(), scsi.DEFECT_HEADER_BYTES)
        # The list itself is longer than the header that was asked for, which a drive may call a recovered error.
        if answer.data:
            return scsi.parse_grown_defects(answer.data)
    return None
