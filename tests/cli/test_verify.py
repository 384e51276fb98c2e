from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from eraser.errors import ExitStatus
from tests.cli.command import Command, assert_one_clear_sentence
from tests.lab import BadSectors, On, Sectors, Slow, fuse_drive, image_drive, loop_drive, mounted

pytestmark = pytest.mark.lab("root", "loop")

SIZE = 4 << 20
SECTOR = 512


def alter(path: Path, offset: int, length: int = 1) -> None:
    """Changes bytes behind everybody's back."""
    with path.open("r+b", buffering=0) as file:
        before = os.pread(file.fileno(), length, offset)
        os.pwrite(file.fileno(), bytes(byte ^ 0xFF for byte in before), offset)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("standard", ["random", "zero", "vsitr"])
@pytest.mark.parametrize("kind", ["full", "sampled"])
def test_a_drive_that_was_not_touched_holds(eraser: Command, standard: str, kind: str) -> None:
    with loop_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", standard)
        done = eraser("verify", drive.device, "--certificate", certificate, "--verify", kind, "--json")
    answer = done.lines[0]
    assert (done.status, answer["result"], answer["mismatched_sectors"]) == (0, "holds", 0)
    assert answer["hash_tree"] == ("equal" if kind == "full" else "not compared")
    assert answer["bytes_read"] == answer["bytes_to_read"] == (SIZE if kind == "full" else answer["bytes_to_read"])


def test_an_image_of_an_odd_size_holds(eraser: Command) -> None:
    with image_drive(SIZE + 777) as image:
        certificate = eraser.erase(image, "--standard", "random")
        done = eraser("verify", image, "--certificate", certificate, "--json")
    assert (done.status, done.lines[0]["bytes_read"], done.lines[0]["hash_tree"]) == (0, SIZE + 777, "equal")


def test_an_image_of_an_odd_size_is_read_where_nothing_can_be_written(eraser: Command, tmp_path: Path) -> None:
    seen = tmp_path / "read-only.img"
    seen.touch()
    with image_drive(SIZE + 777) as image:
        certificate = eraser.erase(image, "--standard", "random")
        subprocess.run(["mount", "--bind", "-o", "ro", image, seen], check=True)
        try:
            done = eraser("verify", seen, "--certificate", certificate, "--json")
        finally:
            subprocess.run(["umount", "--lazy", seen], check=True)  # a reader may be on its way out
    assert (done.status, done.lines[0]["result"]) == (0, "holds")


@pytest.mark.parametrize("place", [0, 5 * SECTOR + 17, SIZE - 1])
def test_one_altered_byte_is_found_with_its_sector(eraser: Command, place: int) -> None:
    with loop_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", "random")
        alter(drive.device, place)
        done = eraser("verify", drive.device, "--certificate", certificate, "--json")
        people = eraser("verify", drive.device, "--certificate", certificate)
    answer = done.lines[0]
    assert (done.status, answer["result"], answer["mismatched_sectors"]) == (4, "differs", 1)
    assert answer["first_mismatches"] == [place - place % SECTOR]
    assert answer["hash_tree"] == "differs"
    assert people.status == 4
    assert "DOES NOT HOLD" in people.stdout
    assert f"{place - place % SECTOR:,}" in people.stdout


def test_sampling_draws_other_places_each_time_and_finds_a_drive_written_anew(eraser: Command) -> None:
    with loop_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", "random")
        sampled = ("verify", drive.device, "--certificate", certificate, "--verify", "sampled", "--json")
        seeds = {eraser(*sampled).lines[0]["sampling"]["seed"] for _ in range(2)}
        alter(drive.device, 0, SIZE)
        done = eraser(*sampled)
    assert len(seeds) == 2
    assert (done.status, done.lines[0]["result"]) == (4, "differs")
    assert 0 < done.lines[0]["bytes_read"] < SIZE


def test_nothing_is_written_and_what_was_read_is_not_shown(eraser: Command) -> None:
    with loop_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", "random")
        with drive.device.open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), b"SECRET-OF-A-CUSTOMER " * 100, 64 * SECTOR)
        before, written = digest(drive.device), drive.sysfs("stat").split()[4:8]
        texts = [eraser("verify", drive.device, "--certificate", certificate, *more) for more in ([], ["--json"])]
        assert (digest(drive.device), drive.sysfs("stat").split()[4:8]) == (before, written)
    assert all(done.status == 4 and "SECRET" not in done.stdout + done.stderr for done in texts)


def test_another_drive_is_refused_before_it_is_read(eraser: Command) -> None:
    with loop_drive(SIZE) as drive, loop_drive(SIZE) as other, loop_drive(2 * SIZE) as larger:
        certificate = eraser.erase(drive.device, "--standard", "random")
        for wrong, word in ((other, "serial number"), (larger, "bytes")):
            done = eraser("verify", wrong.device, "--certificate", certificate, "--json")
            assert (done.status, done.lines[0]["result"]) == (3, "another-drive")
            assert word in done.lines[0]["message"]
            assert_one_clear_sentence(eraser("verify", wrong.device, "--certificate", certificate), 3)


def test_a_certificate_of_a_key_that_is_not_trusted_is_an_outcome_of_its_own(eraser: Command, tmp_path: Path) -> None:
    elsewhere = Command(tmp_path / "elsewhere")
    with loop_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", "zero")
        stranger = elsewhere("verify", drive.device, "--certificate", certificate, "--json")
        keys = tmp_path / "keys.pem"
        keys.write_text(eraser("certificate", "key").stdout)
        trusting = elsewhere("verify", drive.device, "--certificate", certificate, "--keys", keys, "--json")
    assert (stranger.status, stranger.lines[0]["result"]) == (5, "unknown-key")
    assert (trusting.status, trusting.lines[0]["result"]) == (0, "holds")


def test_an_altered_certificate_is_not_believed(eraser: Command) -> None:
    with loop_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", "zero")
        certificate.write_text(certificate.read_text().replace('"zero"', '"random"'))
        done = eraser("verify", drive.device, "--certificate", certificate, "--json")
        assert_one_clear_sentence(eraser("verify", drive.device, "--certificate", certificate), 4)
    assert (done.status, done.lines[0]["result"]) == (4, "altered")


@pytest.mark.lab("fuse")
def test_bad_sectors_that_the_certificate_lists_are_told_apart_and_a_failed_drive_never_holds(eraser: Command) -> None:
    with fuse_drive(SIZE, BadSectors(Sectors((8, 9)), On.WRITE)) as drive:
        certificate = eraser.erase(drive.device, "--standard", "random")
        done = eraser("verify", drive.device, "--certificate", certificate, "--json")
        people = eraser("verify", drive.device, "--certificate", certificate)
    answer = done.lines[0]
    assert (done.status, answer["result"], answer["certificate_outcome"]) == (4, "certificate-failed", "failed")
    assert (answer["mismatched_sectors"], answer["unreadable_bytes"]) == (0, 0)
    assert answer["known_bad"]["mismatched_sectors"] == 2
    assert answer["known_bad"]["first_mismatches"] == [8 * SECTOR, 9 * SECTOR]
    assert people.status == 4
    assert "listed as bad" in people.stdout


@pytest.mark.lab("fuse")
def test_sectors_that_have_gone_bad_since_are_unreadable(eraser: Command) -> None:
    with fuse_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", "random")
        drive.become(BadSectors(Sectors((100,)), On.READ))
        done = eraser("verify", drive.device, "--certificate", certificate, "--json")
    answer = done.lines[0]
    assert (done.status, answer["result"], answer["unreadable_bytes"]) == (4, "unreadable", SECTOR)


def test_a_drive_in_use_may_be_read(eraser: Command) -> None:
    with loop_drive(8 << 20) as drive:
        certificate = eraser.erase(drive.device, "--standard", "random")
        with mounted(drive.device):
            done = eraser("verify", drive.device, "--certificate", certificate, "--json")
    assert (done.status, done.lines[0]["result"]) == (4, "differs")


def test_a_read_only_drive_may_be_read(eraser: Command) -> None:
    with loop_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", "random")
        subprocess.run(["blockdev", "--setro", drive.device], check=True)
        done = eraser("verify", drive.device, "--certificate", certificate, "--json")
        subprocess.run(["blockdev", "--setrw", drive.device], check=True)
    assert (done.status, done.lines[0]["result"]) == (0, "holds")


def test_bad_arguments_give_one_clear_sentence(eraser: Command, tmp_path: Path) -> None:
    with image_drive(SIZE) as image:
        certificate = eraser.erase(image, "--standard", "zero")
        calls: tuple[tuple[object, ...], ...] = (
            (),
            (image,),
            (image, "--certificate"),
            (image, "--certificate", tmp_path / "none.json"),
            (image, "--certificate", tmp_path),
            (image, "--certificate", certificate, "--verify", "none"),
            (image, "--certificate", certificate, "--keys", tmp_path / "none.pem"),
            (image, "--certificate", certificate, "--keys", certificate),
            (image, image, "--certificate", certificate),
            (tmp_path / "none", "--certificate", certificate),
            (tmp_path, "--certificate", certificate),
            ("/dev/null", "--certificate", certificate),
        )
        for call in calls:
            assert_one_clear_sentence(eraser("verify", *call))
        # What is there and no certificate is a certificate that is not to be believed.
        assert_one_clear_sentence(eraser("verify", image, "--certificate", "/dev/null"), 4)


def test_errors_are_json_too_when_asked_for(eraser: Command, tmp_path: Path) -> None:
    done = eraser("verify", "/dev/null", "--certificate", tmp_path / "none.json", "--json")
    assert (done.status, done.lines[0]["result"]) == (2, "usage")


def verifying(eraser: Command, device: Path, certificate: Path) -> subprocess.Popen[str]:
    """The command while it runs."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("eraser"), "verify", device, "--certificate", certificate, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_DATA_HOME": str(eraser.folder / "data")},
        # Whoever runs the tests in a shell's background has Ctrl-C ignored, and so would the command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.lab("fuse")
def test_a_write_behind_the_reader_makes_the_reading_unreliable(eraser: Command) -> None:
    with fuse_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", "random")
        drive.become(Slow(SIZE))
        begun = drive.counts.bytes_read
        process = verifying(eraser, drive.device, certificate)
        drive.wait_for(lambda counts: counts.bytes_read > begun + SIZE // 2, "a half to be read")
        with drive.device.open(
            "r+b", buffering=0
        ) as writer:  # open to the end, so that the byte may stay in the page cache
            os.pwrite(writer.fileno(), b"x", 0)
            output, _ = process.communicate(timeout=60)
    answer = json.loads(output)
    assert (process.returncode, answer["result"], answer["mismatched_sectors"]) == (4, "written-meanwhile", 0)


@pytest.mark.lab("fuse")
def test_ctrl_c_ends_it_as_interrupted(eraser: Command) -> None:
    from tests.lab import Hangs, wait_until

    with fuse_drive(SIZE) as drive:
        certificate = eraser.erase(drive.device, "--standard", "random")
        drive.become(Hangs(On.READ))
        process = verifying(eraser, drive.device, certificate)
        wait_until(lambda: any("eraser-transfer" in _name(pid) for pid in _children(process.pid)), "the transfer")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert (process.returncode, '"interrupted"' in output) == (ExitStatus.INTERRUPTED, True)


def _children(pid: int) -> list[str]:
    """Those of all its threads; one that ends meanwhile has none."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += task.read_text().split()
    return found


def _name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""
