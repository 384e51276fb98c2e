from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eraser.certificates.issuing import issue
from eraser.certificates.keys import FileSigner, open_signer
from eraser.cli.certificate import certificate_group
from eraser.errors import ExitStatus
from eraser.settings import keys_dir
from tests.certificates.builders import a_certificate, a_failed_job, a_job_with_everything, a_signer


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}


@pytest.fixture
def signer(environ: dict[str, str]) -> FileSigner:
    return open_signer(keys_dir(environ))


def run(environ: dict[str, str], *arguments: object) -> Result:
    return CliRunner().invoke(certificate_group, [str(item) for item in arguments], env=environ)


def test_on_the_station_its_own_certificates_verify(
    environ: dict[str, str], signer: FileSigner, tmp_path: Path
) -> None:
    path = issue(a_certificate(a_job_with_everything()), signer, tmp_path)
    result = run(environ, "verify", path)
    assert result.exit_code == ExitStatus.PASSED
    assert "genuine" in result.stdout
    assert "PASSED" in result.stdout


def test_a_failed_certificate_is_genuine_and_says_failed(
    environ: dict[str, str], signer: FileSigner, tmp_path: Path
) -> None:
    result = run(environ, "verify", "--json", issue(a_certificate(a_failed_job()), signer, tmp_path))
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["result"], answer["outcome"]) == (0, "genuine", "failed")


def test_keys_given_replace_the_stations_own(environ: dict[str, str], signer: FileSigner, tmp_path: Path) -> None:
    other = a_signer()
    public = tmp_path / "other.pem"
    public.write_bytes(other.public.pem())
    ours = issue(a_certificate(), signer, tmp_path / "ours")
    theirs = issue(a_certificate(), other, tmp_path / "theirs")
    assert run(environ, "verify", theirs).exit_code == ExitStatus.UNKNOWN_KEY
    assert run(environ, "verify", "--keys", public, theirs).exit_code == ExitStatus.PASSED
    assert run(environ, "verify", "--keys", public, ours).exit_code == ExitStatus.UNKNOWN_KEY


def test_one_object_a_file_and_the_highest_status_of_all(
    environ: dict[str, str], signer: FileSigner, tmp_path: Path
) -> None:
    good = issue(a_certificate(), signer, tmp_path / "good")
    altered = tmp_path / "altered.json"
    altered.write_bytes(good.read_bytes().replace(b'"operator-7"', b'"operator-8"'))
    unknown = issue(a_certificate(), a_signer(), tmp_path / "unknown")
    empty = tmp_path / "empty.json"
    empty.touch()
    result = run(environ, "verify", "--json", good, altered, empty, tmp_path / "missing.json", tmp_path)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [item["result"] for item in answers] == ["genuine", "altered", "malformed", "usage", "usage"]
    assert [item["outcome"] for item in answers] == ["passed", None, None, None, None]
    assert result.exit_code == ExitStatus.FAILED
    assert run(environ, "verify", good, altered, unknown).exit_code == ExitStatus.UNKNOWN_KEY
    assert run(environ, "verify", good, tmp_path / "missing.json").exit_code == ExitStatus.USAGE
    assert run(environ, "verify").exit_code == ExitStatus.USAGE


def test_show_says_first_whether_it_may_be_believed(
    environ: dict[str, str], signer: FileSigner, tmp_path: Path
) -> None:
    path = issue(a_certificate(a_failed_job()), signer, tmp_path)
    shown = run(environ, "show", path)
    assert shown.exit_code == ExitStatus.PASSED
    assert "genuine" in shown.stdout.splitlines()[0]
    for text in ("FAILED", "not-written", "ZX00 1B8/2", "not written: old content", "rack-3", "资产-0042"):
        assert text in shown.stdout
    path.write_bytes(path.read_bytes().replace(b'"operator-7"', b'"operator-8"'))
    shown = run(environ, "show", path)
    assert shown.exit_code == ExitStatus.FAILED
    assert "NOT VERIFIED (altered)" in shown.stdout.splitlines()[0]
    answer = json.loads(run(environ, "show", "--json", path).stdout)
    assert answer["result"] == "altered"
    assert answer["certificate"]["operator"] == "operator-8"


def test_a_forged_text_cannot_speak_to_the_terminal(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "forged.json"
    path.write_text('{"certificate":{"\\u001b[2Jgenuine":1},"signatures":[]}')
    for command in ("show", "verify"):
        result = run(environ, command, path)
        assert "\x1b" not in result.stdout
        assert result.exit_code == ExitStatus.FAILED


def test_the_public_key_is_printed_for_those_who_verify(
    environ: dict[str, str], signer: FileSigner, tmp_path: Path
) -> None:
    result = run(environ, "key")
    public = tmp_path / "plant.pem"
    public.write_text(result.stdout)
    assert "PRIVATE" not in result.output
    path = issue(a_certificate(), signer, tmp_path)
    assert run({"XDG_DATA_HOME": str(tmp_path / "elsewhere")}, "verify", "--keys", public, path).exit_code == 0


def test_loading_the_command_loads_no_cryptography() -> None:
    program = (
        "import sys, eraser.cli.certificate;"
        "sys.exit(bool({'cryptography', 'rfc8785', 'rich', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_show_names_each_rulebook_that_holds_and_what_the_others_are_missing(
    environ: dict[str, str], signer: FileSigner, tmp_path: Path
) -> None:
    shown = run(environ, "show", issue(a_certificate(), signer, tmp_path)).stdout
    lines = [line.strip() for line in shown.splitlines()]
    assert any(line.startswith("holds") and "NIST SP 800-88 Clear: Pattern of" in line for line in lines)
    magnetic = next(number for number, line in enumerate(lines) if line.endswith("GB 46864-2025"))
    assert lines[magnetic].startswith("no claim")
    assert lines[magnetic + 1].split(maxsplit=1) == ["missing", "3 passes over the whole drive: there are 1"]
