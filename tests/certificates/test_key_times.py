"""In which time keys sign: the lines before them, and rotation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from eraser.certificates import keys
from eraser.certificates.errors import KeyFileError, KeyNotValidThenError
from eraser.certificates.issuing import issue
from eraser.certificates.keys import load_all, load_keys, open_signer, rotate, station_keys
from eraser.certificates.validity import ALWAYS, Validity, validity_of
from eraser.certificates.verifying import verify
from eraser.cli.certificate import certificate_group
from tests.certificates.builders import a_certificate, a_document, a_signer

T1, T2, T3 = "2026-06-01T00:00:00Z", "2026-06-01T00:01:00Z", "2027-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("moment", "is_covered"),
    [
        ("2026-05-31T23:59:59.999999999Z", False),
        ("2026-06-01T00:00:00Z", True),
        ("2026-06-01T00:00:00+00:00", True),
        ("2026-06-01T00:00:59.9Z", True),
        ("2026-06-01T00:01:00Z", False),
        ("2026-06-01T00:01:00.0Z", False),
    ],
)
def test_a_time_begins_with_its_first_moment_and_ends_before_its_last(moment: str, is_covered: bool) -> None:
    assert Validity(T1, T2).covers(moment) is is_covered
    assert ALWAYS.covers(moment)


def test_the_lines_before_a_key_travel_with_it(tmp_path: Path) -> None:
    key = a_signer().public.valid(Validity(T1, T2))
    path = tmp_path / "plant.pem"
    path.write_bytes(b"The plant's key\n\n" + key.pem())
    assert load_keys(path)[key.key_id].validity == Validity(T1, T2)
    assert validity_of(key.pem().decode()) == Validity(T1, T2)


@pytest.mark.parametrize(
    "line",
    ["Valid-Until: tomorrow", "Valid-To: 2026-06-01T00:00:00Z", "valid-until: 2026-06-01T00:00:00Z", "Valid-Until:",
     "Valid until: 2026-06-01T00:00:00Z", "Valid-From: 2026-06-01T00:00:00Z\nValid-From: 2025-06-01T00:00:00Z",
     "Valid-Until: 2026-06-01T00:00:00+08:00"],
)  # fmt: skip
def test_a_slip_of_the_pen_lifts_no_limit(tmp_path: Path, line: str) -> None:
    path = tmp_path / "plant.pem"
    path.write_bytes(line.encode() + b"\n" + a_signer().public.pem())
    with pytest.raises(KeyFileError, match="in which time it signs"):
        load_keys(path)


def test_each_key_of_a_file_has_its_own_time(tmp_path: Path) -> None:
    one, other = a_signer().public.valid(Validity(T1, T2)), a_signer().public
    path = tmp_path / "plant.pem"
    path.write_bytes(one.pem() + other.pem())
    assert {key.key_id: key.validity for key in load_keys(path).values()} == {
        one.key_id: Validity(T1, T2),
        other.key_id: ALWAYS,
    }


def test_of_a_key_that_is_given_twice_the_narrower_time_counts(tmp_path: Path) -> None:
    key = a_signer().public
    paths = []
    for number, validity in enumerate([ALWAYS, Validity(T1, T3), Validity("", T2), ALWAYS]):
        paths.append(tmp_path / f"{number}.pem")
        paths[-1].write_bytes(key.valid(validity).pem())
    assert load_all(paths)[key.key_id].validity == Validity(T1, T2)
    assert load_all(reversed(paths))[key.key_id].validity == Validity(T1, T2)


def test_after_a_rotation_each_key_is_trusted_for_its_own_time(tmp_path: Path) -> None:
    before = open_signer(tmp_path / "keys")
    rotate(tmp_path / "keys", T1, T2)
    after = open_signer(tmp_path / "keys")
    trusted = station_keys(tmp_path / "keys")
    assert {item.key_id: item.validity for item in trusted.values()} == {
        before.key_id: Validity("", T2),
        after.key_id: Validity(T1),
    }
    verify(a_document(before, a_certificate(issued_at="2026-05-31T00:00:00Z")), trusted)
    verify(a_document(after, a_certificate(issued_at=T3)), trusted)
    for signer, moment in ((before, T3), (after, "2026-05-31T23:59:59Z")):
        with pytest.raises(KeyNotValidThenError):
            verify(a_document(signer, a_certificate(issued_at=moment)), trusted)
    assert (tmp_path / "keys" / "certificate.key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_does_not_sign_now_issues_nothing(tmp_path: Path) -> None:
    rotate(tmp_path / "keys", T1, T2)
    early = replace(a_certificate(), issued_at="2026-05-31T00:00:00Z")
    with pytest.raises(KeyFileError, match="signs from"):
        issue(early, open_signer(tmp_path / "keys"), tmp_path / "certificates")
    assert list((tmp_path / "certificates").iterdir()) == []


@pytest.mark.parametrize("crash_after", [0, 1, 2])
def test_a_rotation_that_was_cut_off_never_leaves_a_key_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_after: int
) -> None:
    folder = tmp_path / "keys"
    before = open_signer(folder)
    steps = iter(range(10))

    def until_then(write):
        def step(path, *rest):
            # What open_signer does for the old key is no step of the rotation.
            if (path.name != f"{before.key_id}.pub" or write is write_over) and next(steps) == crash_after:
                raise OSError("cut off")
            return write(path, *rest)

        return step

    write_over = keys.write_over
    with monkeypatch.context() as crash:
        crash.setattr(keys, "write_new", until_then(keys.write_new))
        crash.setattr(keys, "write_over", until_then(write_over))
        with pytest.raises(KeyFileError):
            rotate(folder, T1, T2)
    assert open_signer(folder).key_id == before.key_id
    rotate(folder, T3, "2027-01-01T00:01:00Z")
    now = open_signer(folder)
    assert now.key_id != before.key_id
    assert now.public.validity == Validity(T3)
    assert station_keys(folder)[before.key_id].validity.until in (T2, "2027-01-01T00:01:00Z")


def test_the_command_rotates_and_shows_all_keys_to_auditors(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(certificate_group, [*words, "--data", str(tmp_path)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    old = run("key")
    said = run("key", "rotate")
    assert run("key") != old
    path = tmp_path / "plant.pem"
    path.write_text(run("key", "--all"))
    times = {key.key_id: key.validity for key in load_keys(path).values()}
    assert len(times) == 2
    assert all(f"{key_id} signs {validity}" in said for key_id, validity in times.items())
    assert "PRIVATE" not in path.read_text()
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
