"""Sampled drives that are at hand are read again: real devices, erased by the real command."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from eraser.domain.drive import Drive, Geometry, Identity, Media, Transport
from eraser.domain.evidence import Extent
from eraser.domain.pattern import AesCtrStream, Constant
from eraser.errors import UsageError
from eraser.rack.independent_reading import Compared, drawn_places, read_independently
from tests.audits.plants import NONCE, Plant, answer, said
from tests.certificates.plant import certificate_of
from tests.cli.command import Command
from tests.lab import image_drive, loop_drive

pytestmark = pytest.mark.lab("root", "loop", "openssl")

SIZE = 4 << 20
SEED = bytes(range(32))


def a_drive(path: Path, size: int, transport: Transport = Transport.IMAGE) -> Drive:
    return Drive(str(path), transport, Media.FLASH, Identity(), Geometry(size, 512, 512, size), write_cache="")


@pytest.fixture
def station(tmp_path: Path) -> tuple[Plant, Command]:
    """One that erases, and whose certificates go into a log."""
    plant, command = Plant(tmp_path), Command(tmp_path)
    (tmp_path / "data" / "eraser").symlink_to(plant.data)
    return plant, command


def days_of(certificate: Path) -> tuple[str, ...]:
    day = json.loads(certificate.read_bytes())["certificate"]["issued_at"][:10]
    return "--from", day, "--to", day


def a_plan(plant: Plant, certificate: Path) -> Path:
    target = plant.folder / "plan"
    done = plant("plan", *days_of(certificate), "--aql", "0.65", "--nonce", NONCE, "--out", target)
    assert done.exit_code == 0, done.output or done.exception
    return target


@pytest.mark.parametrize("standard", ["random", "zero"])
def test_a_drive_that_holds_is_accepted_and_one_that_was_written_since_is_rejected_by_name(
    station: tuple[Plant, Command], standard: str
) -> None:
    plant, erase = station
    with loop_drive(SIZE) as drive:
        certificate = erase.erase(drive.device, "--standard", standard)
        plant.adopt(certificate)
        plant.publish()
        plan = a_plan(plant, certificate)
        done = plant.run(plan, "--drive", drive.device)
        good = answer(done)
        assert (done.exit_code, good["result"], good["drives_read"]) == (0, "accepted", 1), done.output
        record = json.loads(Path(good["record"]).read_bytes())["audit"]
        reading = record["items"][0]["drive"]
        assert reading["result"] == "drive-holds"
        assert 0 < reading["bytes_read"] < SIZE and reading["independent_bytes"] > 0
        assert reading["independent_reader"].startswith("dd, cmp")

        with drive.device.open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), b"SECRET-OF-A-CUSTOMER" * 52429, 0)
        done = plant.run(plan, "--drive", drive.device, "--read", "full")
    bad = answer(done)
    assert (done.exit_code, bad["result"], bad["critical"]) == (4, "rejected", 1)
    assert bad["findings"][0]["codes"] == ["drive-differs"]
    assert "SECRET" not in done.output + Path(bad["record"]).read_text()


def test_the_places_are_the_plans_own_and_not_drawn_anew(station: tuple[Plant, Command]) -> None:
    plant, erase = station
    with loop_drive(SIZE) as drive:
        certificate = erase.erase(drive.device, "--standard", "random")
        plant.adopt(certificate)
        plant.publish()
        plan = a_plan(plant, certificate)
        records = [answer(plant.run(plan, "--drive", drive.device))["record"] for _ in range(2)]
    one, other = (json.loads(Path(item).read_bytes())["audit"]["items"][0]["drive"] for item in records)
    assert one == other


def test_a_drive_that_is_not_in_the_sample_is_refused_unread(station: tuple[Plant, Command]) -> None:
    plant, erase = station
    with loop_drive(SIZE) as drive, loop_drive(SIZE) as other:
        certificate = erase.erase(drive.device, "--standard", "zero")
        plant.adopt(certificate)
        plant.publish()
        done = plant.run(a_plan(plant, certificate), "--drive", other.device)
    assert "no conforming certificate of the sample is of this drive" in said(done)


def test_a_drive_that_was_erased_again_is_not_held_against_its_old_certificate(station: tuple[Plant, Command]) -> None:
    plant, erase = station
    with loop_drive(SIZE) as drive:
        certificate = erase.erase(drive.device, "--standard", "random")
        plant.adopt(certificate)
        plant.publish()
        plan = a_plan(plant, certificate)
        plant.adopt(erase.erase(drive.device, "--standard", "random"))
        plant.publish()
        done = plant.run(plan, "--drive", drive.device)
    # Of that day too, and not in the plan: it was issued after the checkpoint.
    assert "erased again" in said(done)


def test_a_drawn_drive_that_was_erased_again_is_recorded_as_missed(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.issue(1)
    plant.publish()
    (drawn,) = json.loads(plant("routine", "draw", "--json").stdout)["certificate_ids"]
    again = certificate_of("f" * 32, "S1", issued_at="2026-11-25T00:00:00Z", job_id="e" * 32)
    plant.file(again, plant.certificates / "again.json")
    plant.publish()
    words = ("routine", "check", drawn, "--checker", "checker-1")
    assert "erased again" in said(plant(*words, "--drive", "/dev/null"))
    assert plant(*words, "--missed", "erased-again").exit_code == 0


def test_a_drawn_drive_of_the_routine_control_is_read_and_recorded_once(station: tuple[Plant, Command]) -> None:
    from eraser.certificates.content import content
    from eraser.certificates.envelope import unseal

    plant, erase = station
    with loop_drive(SIZE) as drive:
        path = erase.erase(drive.device, "--standard", "random")
        certificate = replace(content(unseal(path.read_bytes())), operator="operator-7")
        plant.file(certificate, plant.certificates / "one.json")
        plant.publish()
        (drawn,) = json.loads(plant("routine", "draw", "--json").stdout)["certificate_ids"]
        words = ("routine", "check", drawn, "--drive", drive.device, "--checker")
        assert said(plant(*words, "Operator-7")).startswith("refused")
        done = plant(*words, "checker-1")
        assert done.exit_code == 0, done.output or done.exception
        assert said(plant(*words, "checker-1")).startswith("refused")
    state = json.loads(plant("routine", "--json").stdout)
    assert (state["read"], state["due"], state["overdue"]) == (1, [], 0)


# ---- the other reader


def fill(path: Path, pattern: AesCtrStream | Constant, size: int) -> None:
    import subprocess

    if isinstance(pattern, Constant):
        path.write_bytes((pattern.data * (size // len(pattern.data) + 1))[:size])
        return
    with path.open("wb") as file:
        zeros = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
        command = ["openssl", "enc", "-aes-256-ctr", "-K", pattern.seed.hex(), "-iv", "0" * 32]
        subprocess.run(command, stdin=zeros.stdout, stdout=file, check=True)
        zeros.wait()


PATTERNS = [AesCtrStream(SEED), Constant(b"\x00"), Constant(b"\x92\x49\x24")]


@pytest.mark.parametrize("pattern", PATTERNS, ids=["random", "zero", "three bytes"])
def test_the_other_reader_sees_what_is_there_and_one_byte_that_is_not(pattern: AesCtrStream | Constant) -> None:
    with image_drive(SIZE) as image:
        fill(image, pattern, SIZE)
        drive, place = a_drive(image, SIZE), Extent(1 << 20, 1 << 20)
        assert read_independently(drive, pattern, (place,)).result is Compared.EQUAL
        with image.open("r+b") as file:
            before = os.pread(file.fileno(), 1, place.end_bytes - 1)
            os.pwrite(file.fileno(), bytes([before[0] ^ 1]), place.end_bytes - 1)
        assert read_independently(drive, pattern, (place,)).result is Compared.DIFFERS
        assert read_independently(drive, pattern, (Extent(0, 1 << 20),)).result is Compared.EQUAL


def test_what_cannot_be_read_is_not_called_different(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(bytes(512))
    drive = a_drive(short, 1024)
    assert read_independently(drive, Constant(b"\x00"), (Extent(0, 1024),)).result is not Compared.EQUAL
    gone = a_drive(tmp_path / "gone", 1024)
    assert read_independently(gone, Constant(b"\x00"), (Extent(0, 1024),)).result is Compared.UNREADABLE


def test_without_its_programs_the_other_reader_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="independent reader needs dd and cmp and openssl"):
        read_independently(a_drive(tmp_path / "x", 512), AesCtrStream(SEED), (Extent(0, 512),))


@pytest.mark.parametrize("size", [512, 4096, 3 << 20, 5 << 40])
def test_places_lie_on_the_drive_and_on_sectors(size: int) -> None:
    places = drawn_places(a_drive(Path("/x"), size), SEED)
    assert places and all(place.end_bytes <= size and place.offset_bytes % 512 == 0 for place in places)
    assert places != drawn_places(a_drive(Path("/x"), size), SEED[::-1]) or size <= 4096
