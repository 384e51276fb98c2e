"""Where zram disks cannot be had, the simulated rack says so before it makes one; and it knows its own from others'."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from eraser.domain.drive import Media
from eraser.drives.sysfs import Host
from eraser.errors import Refused
from eraser.rack.simulated.images import MIB, Nature, Note
from eraser.rack.simulated.zram import ZramDisks

NOTE = Note("SIM1", "SIM", Media.FLASH, 16 * MIB, 1_000_000, Nature.SOUND)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A machine with zram, a disk zram3 and 1 GiB of free memory."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    host = Host(sys=tmp_path / "sys", proc=tmp_path / "proc", dev=tmp_path / "dev")
    for path, text in (
        (host.sys / "class/zram-control/hot_add", ""),
        (host.sys / "class/zram-control/hot_remove", ""),
        (host.sys / "block/zram3/diskseq", "77\n"),
        (host.proc / "meminfo", "MemTotal: 4194304 kB\nMemAvailable: 1048576 kB\n"),
        (host.proc / "sys/kernel/random/boot_id", "this-boot\n"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return host


def write_down(folder: Path, diskseq: int, boot_id: str, *, is_filled: bool) -> Path:
    """The note of a disk zram3, as a run leaves it."""
    path = folder / "SIM1.json"
    form = {"note": asdict(NOTE), "number": 3, "diskseq": diskseq, "boot_id": boot_id, "is_filled": is_filled}
    path.write_text(json.dumps(form))
    return path


def test_without_root_it_is_refused(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match="root"):
        ZramDisks(tmp_path, host).refuse_if_lacking(1, MIB)


def test_without_zram_in_the_kernel_it_is_refused(host: Host, tmp_path: Path) -> None:
    (host.sys / "class/zram-control/hot_add").unlink()
    with pytest.raises(Refused, match="no zram"):
        ZramDisks(tmp_path, host).refuse_if_lacking(1, MIB)


def test_more_disks_than_memory_has_room_for_are_refused_and_fewer_get_their_share(host: Host, tmp_path: Path) -> None:
    disks = ZramDisks(tmp_path, host)
    with pytest.raises(Refused, match="half of the memory"):
        disks.refuse_if_lacking(33, 16 * MIB)
    assert disks.refuse_if_lacking(16, 16 * MIB) == 32 * MIB


@pytest.mark.parametrize(("diskseq", "boot_id"), [(76, "this-boot"), (77, "another-boot")])
def test_a_disk_that_got_the_number_of_one_of_ours_is_left_alone(
    host: Host, tmp_path: Path, diskseq: int, boot_id: str
) -> None:
    note = write_down(tmp_path, diskseq, boot_id, is_filled=False)
    disks = ZramDisks(tmp_path, host)
    assert disks.left_over() == []
    disks.close()
    assert (host.sys / "class/zram-control/hot_remove").read_text() == ""
    assert not note.exists()


def test_a_disk_of_ours_that_was_filled_is_a_drive_again(host: Host, tmp_path: Path) -> None:
    write_down(tmp_path, 77, "this-boot", is_filled=True)
    disks = ZramDisks(tmp_path, host)
    assert disks.left_over() == [NOTE]
    assert disks.path(NOTE) == host.dev / "zram3"
