"""`eraser erase` and `resume` on honest drives: what was there is gone, and what is said about it is so."""

import hashlib
import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab import (
    DropsWrites,
    Slow,
    count_marker,
    fuse_drive,
    image_drive,
    loop_drive,
    mounted,
    read_all,
)
from tests.rack import model
from tests.rack.command import (
    FAILED,
    PASSED,
    REFUSED,
    USAGE,
    CommandLine,
    assert_proved,
    reasons_of,
)

KIB, MIB = 1 << 10, 1 << 20
FIELDS = ["device", "outcome", "reason", "certificate", "bytes_written", "bytes_verified", "seconds"]

pytestmark = pytest.mark.lab("root", "loop", "fuse")


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "station")


# What is gone


@pytest.mark.parametrize("standard", ["random", "zero", "hmg-is5-enhanced"])
@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_of_the_data_on_drives_of_any_size_nothing_is_left(desk: CommandLine, sector_bytes: int, standard: str) -> None:
    sectors = [1, 2, 3, 7, 129, 2053]
    with ExitStack() as stack:
        drives = [stack.enter_context(loop_drive(count * sector_bytes, sector_bytes=sector_bytes)) for count in sectors]
        assert all(count_marker(drive.device) == drive.size_bytes // 64 for drive in drives)
        ending = desk.erase(*drives, standard=standard)
        assert ending.status == PASSED, ending
        for drive in drives:
            found = read_all(drive.device)
            assert count_marker(drive.device) == count_marker(drive.medium) == 0
            certificate = assert_proved(desk, ending.results[str(drive.device)], found)
            assert certificate["drive"]["geometry"]["logical_sector_bytes"] == sector_bytes


@pytest.mark.parametrize("standard", ["random", "zero"])
def test_an_image_is_erased_to_its_last_byte_whatever_its_size(desk: CommandLine, standard: str) -> None:
    with ExitStack() as stack:
        images = [stack.enter_context(image_drive(size)) for size in (64, 511, 513, 4097, 100_003, MIB + 1)]
        ending = desk.erase(*images, standard=standard)
        assert ending.status == PASSED, ending
        for image in images:
            assert count_marker(image) == 0
            assert_proved(desk, ending.results[str(image)], image.read_bytes())


def test_eight_drives_in_one_call_have_nothing_in_common(desk: CommandLine) -> None:
    with ExitStack() as stack:
        drives = [stack.enter_context(loop_drive(MIB)) for _ in range(8)]
        ending = desk.erase(*drives)
        assert ending.status == PASSED, ending
        contents = [read_all(drive.device) for drive in drives]
        certificates = [
            assert_proved(desk, ending.results[str(drive.device)], found)
            for drive, found in zip(drives, contents, strict=True)
        ]
    blocks = {content[at : at + 16] for content in contents for at in range(0, MIB, 16)}
    assert len(blocks) == 8 * MIB // 16
    assert len({certificate["passes"][0]["pattern"]["seed"] for certificate in certificates}) == 8
    assert len({certificate["certificate_id"] for certificate in certificates}) == 8


def test_the_program_of_a_file_is_written_as_it_says(desk: CommandLine, tmp_path: Path) -> None:
    program = tmp_path / "shop.toml"
    program.write_text(
        'name = "shop-3"\n[[pass]]\npattern = "92 49 24"\n[[pass]]\npattern = "complement of 1"\nreverse = true\n'
        'verify = true\n[[pass]]\npattern = "random"\nreverse = true\n'
    )
    with fuse_drive(300 * 512, records=True) as drive:
        ending = desk.run("erase", drive.device, "--program-file", program, "--yes", "--json")
        assert ending.status == PASSED, ending
        first, second, third = drive.passes()
        assert first.content() == model.repeated(b"\x92\x49\x24", 300 * 512)
        assert second.content() == model.repeated(b"\x6d\xb6\xdb", 300 * 512)
        assert first.bytes_read_after < 300 * 512 <= second.bytes_read_after
        assert third.content() == read_all(drive.device)
        # Requests are recorded as they complete: their order is that of the direction only from afar.
        assert third.writes[0].offset > third.writes[-1].offset or len(third.writes) == 1
        certificate = assert_proved(desk, ending.result, read_all(drive.device))
    assert certificate["sanitization"]["program"] == "shop-3"


# What is said


def test_json_ends_with_one_object_a_device_with_the_agreed_fields(desk: CommandLine) -> None:
    with loop_drive(MIB) as drive, loop_drive(MIB) as other, mounted(other.device):
        ending = desk.erase(drive, other)
        passed, refused = ending.results[str(drive.device)], ending.results[str(other.device)]
    assert ending.status == REFUSED, "of several drives the highest counts"
    last = [json.loads(line) for line in ending.output.splitlines()][-2:]
    assert [list(line) for line in last] == [FIELDS] * 2
    assert passed["outcome"] == "passed" and passed["reason"] == ""
    assert passed["bytes_written"] == passed["bytes_verified"] == MIB
    assert 0 < passed["seconds"] < 60
    assert refused["outcome"] == "refused" and "mounted" in refused["reason"]
    assert refused["certificate"] is None and refused["bytes_written"] == refused["seconds"] == 0


def test_a_path_that_is_none_ends_the_call_before_any_drive_is_touched(desk: CommandLine) -> None:
    with loop_drive(64 * KIB) as drive:
        assert desk.erase(drive, Path("/dev/shm/no-such-drive")).status == USAGE
        assert count_marker(drive.device) == KIB


@pytest.mark.parametrize(
    "words",
    [
        ("--standard", "no-such-standard"),
        (),
        ("--standard", "zero", "--program-file", "/dev/null"),
        ("--standard", "zero", "--level", "thorough"),
        ("--standard", "zero", "--verify", "perhaps"),
        ("--standard", "zero", "--hash", "md5"),
    ],
)
def test_bad_options_end_with_the_status_of_wrong_usage_and_write_nothing(
    desk: CommandLine, words: tuple[str, ...]
) -> None:
    with image_drive(64 * KIB) as image:
        ending = desk.run("erase", image, "--yes", *words)
        assert ending.status == USAGE, ending
        assert ending.errors.strip() and "Traceback" not in ending.errors
        assert count_marker(image) == KIB


def test_a_drive_named_twice_is_wrong_usage(desk: CommandLine) -> None:
    with loop_drive(64 * KIB) as drive, image_drive(64 * KIB) as image:
        link = desk.home.with_name("link")
        link.symlink_to(image)
        assert desk.erase(drive, drive).status == USAGE
        assert desk.erase(image, link).status == USAGE
        assert count_marker(drive.device) == count_marker(image) == KIB


def test_a_loop_device_and_its_image_are_not_erased_together(desk: CommandLine) -> None:
    with loop_drive(64 * KIB) as drive:
        ending = desk.erase(drive, drive.medium)
        assert ending.status in (USAGE, REFUSED), ending


def test_purge_is_refused_with_what_it_would_need(desk: CommandLine) -> None:
    with loop_drive(64 * KIB) as drive:
        ending = desk.erase(drive, words=("--level", "purge"))
        assert ending.status == REFUSED
        assert "purge" in ending.result["reason"] and "sanitize" in ending.result["reason"].lower()
        assert count_marker(drive.device) == KIB


def test_a_folder_for_certificates_holds_one_file_a_job_and_nothing_else_that_ends_so(
    desk: CommandLine, tmp_path: Path
) -> None:
    folder = tmp_path / "certificates"
    with loop_drive(64 * KIB) as drive, loop_drive(64 * KIB) as other:
        first = desk.erase(drive, other, words=("--certificates", folder))
        second = desk.erase(drive, standard="zero", words=("--certificates", folder))
    named = {Path(result["certificate"]) for ending in (first, second) for result in ending.results.values()}
    assert len(named) == 3
    assert set(folder.rglob("*.json")) == named
    for path in named:
        assert set(json.loads(path.read_text())) == {"certificate", "signatures"}
    assert desk.certificates() == []


def test_a_plan_writes_nothing_anywhere(desk: CommandLine) -> None:
    with loop_drive(MIB) as drive, loop_drive(MIB) as used, mounted(used.device):
        before = [hashlib.sha256(read_all(item.device)).digest() for item in (drive, used)]
        written = [item.sysfs("stat").split()[6] for item in (drive, used)]
        ending = desk.run("erase", drive.device, used.device, "--standard", "gb-46864-2025", "--plan", "--json")
        assert ending.status == REFUSED
        text = desk.run("erase", drive.device, "--standard", "gb-46864-2025", "--plan")
        assert text.status == PASSED
        assert [hashlib.sha256(read_all(item.device)).digest() for item in (drive, used)] == before
        assert [item.sysfs("stat").split()[6] for item in (drive, used)] == written
    planned, refused = (json.loads(line) for line in ending.output.splitlines())
    assert planned["plan"]["passes"] == 3 and planned["plan"]["verification"] == "full"
    assert "mounted" in refused["refused"]
    assert "3 times" in text.output and "No compliance is claimed" in text.output
    assert not desk.home.exists()


@pytest.mark.parametrize("words", [("--json",), ()], ids=["json", "text"])
def test_a_reader_that_goes_away_stops_no_erasure(desk: CommandLine, words: tuple[str, ...]) -> None:
    with fuse_drive(2 * MIB, Slow(MIB)) as drive:
        process = desk.start("erase", drive.device, "--standard", "random", "--yes", *words)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(timeout=60) == PASSED, errors
        assert errors == ""
        (certificate,) = desk.certificates()
        assert desk.verifies(certificate)


# What is asked


def answered(desk: CommandLine, device: Path, answer: str) -> subprocess.CompletedProcess[str]:
    """`erase` at a terminal at which `answer` is typed."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, answer.encode() + b"\n")
        return subprocess.run(
            desk.words("erase", device, "--standard", "random"),
            env=desk.environment,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)


def serial_of(desk: CommandLine, device: Path) -> str:
    plan = desk.run("erase", device, "--standard", "random", "--plan", "--json")
    serial: str = json.loads(plan.output)["drive"]["identity"]["serial"]
    return serial


def test_the_serial_number_typed_begins_the_erasure_and_anything_else_does_not(desk: CommandLine) -> None:
    with loop_drive(64 * KIB) as drive:
        serial = serial_of(desk, drive.device)
        assert serial
        for wrong in ("", "yes", "y", serial[:-1], serial.upper(), str(drive.device)):
            ending = answered(desk, drive.device, wrong)
            assert ending.returncode == USAGE, (wrong, ending)
            assert count_marker(drive.device) == KIB
        ending = answered(desk, drive.device, serial)
        assert ending.returncode == PASSED, ending
        assert serial in ending.stdout
        assert count_marker(drive.device) == 0


def test_without_a_terminal_nobody_confirms_so_nothing_is_written(desk: CommandLine) -> None:
    with loop_drive(64 * KIB) as drive:
        assert desk.run("erase", drive.device, "--standard", "random").status == USAGE
        assert count_marker(drive.device) == KIB


# How it is read back


def test_sampled_verification_reads_a_tenth_and_says_what_that_proves(desk: CommandLine) -> None:
    with loop_drive(8 * MIB) as drive:
        ending = desk.erase(drive, words=("--verify", "sampled"))
        certificate = assert_proved(desk, ending.result, read_all(drive.device))
    reading = certificate["final_verification"]
    assert reading["verification"] == "sampled"
    assert reading["sampling"]["parts"] == 1000 and reading["sampling"]["samples_per_part"] == 2
    assert 0.1 * 8 * MIB <= ending.result["bytes_verified"] == reading["sampling"]["bytes_sampled"] < 0.2 * 8 * MIB
    assert 0 < reading["sampling"]["bound_ppb"] < 10**9 // 100
    assert reading["hash_tree"] is None


def test_sampled_verification_finds_a_drive_that_takes_nothing(desk: CommandLine) -> None:
    with fuse_drive(2 * MIB, DropsWrites()) as drive:
        ending = desk.erase(drive, words=("--verify", "sampled"))
        assert ending.status == FAILED
        assert reasons_of(ending.certificate) == ["mismatch"]


def test_a_program_that_asks_for_full_verification_gets_no_less(desk: CommandLine) -> None:
    with loop_drive(64 * KIB) as drive:
        ending = desk.erase(drive, standard="dod", words=("--verify", "none"))
        assert ending.status == REFUSED
        assert "verification" in ending.result["reason"]
        assert count_marker(drive.device) == KIB


def test_without_verification_nothing_is_read_and_the_certificate_says_so(desk: CommandLine) -> None:
    with fuse_drive(64 * KIB) as drive:
        ending = desk.erase(drive, words=("--verify", "none"))
        assert ending.status == PASSED, ending
        certificate = assert_proved(desk, ending.result, read_all(drive.device))
    assert ending.result["bytes_verified"] == 0
    assert certificate["sanitization"]["verification_asked"] == "none"
    assert certificate["final_verification"] is None


def test_hashing_can_be_left_out_and_is_there_if_not(desk: CommandLine) -> None:
    with loop_drive(MIB) as drive:
        with_hash = desk.erase(drive).certificate
        without = desk.erase(drive, words=("--hash", "off")).certificate
    assert with_hash["final_verification"]["hash_tree"]["leaves"] == 1
    assert without["final_verification"]["hash_tree"] is None
