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
from eraser.errors import ExitStatus, UsageError
from eraser.settings import keys_dir
from tests.certificates.builders import a_certificate, a_failed_job, a_signer


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}


@pytest.fixture
def signer(environ: dict[str, str]) -> FileSigner:
    return open_signer(keys_dir(environ))


def run(environ: dict[str, str], *arguments: object) -> Result:
    return CliRunner().invoke(certificate_group, [str(item) for item in arguments], env=environ)


def a_pdf(environ: dict[str, str], signer: FileSigner, folder: Path, *arguments: object) -> Path:
    path = issue(a_certificate(a_failed_job()), signer, folder)
    result = run(environ, "pdf", path, *arguments)
    assert result.exit_code == 0, result.output
    assert Path(result.stdout.strip()) == path.with_suffix(".pdf")
    return path.with_suffix(".pdf")


def test_the_pdf_of_a_certificate_verifies_like_the_certificate(
    environ: dict[str, str], signer: FileSigner, tmp_path: Path
) -> None:
    pdf = a_pdf(environ, signer, tmp_path)
    result = run(environ, "verify", "--json", pdf)
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["result"], answer["outcome"]) == (0, "genuine", "failed")
    assert answer["key_ids"] == [signer.key_id]
    assert answer["pdf"]["redrawn"] is True
    assert "its page, signed by key" in run(environ, "verify", pdf).stdout
    assert run(environ, "show", pdf).exit_code == 0


def test_elsewhere_it_takes_both_public_keys(environ: dict[str, str], signer: FileSigner, tmp_path: Path) -> None:
    pdf = a_pdf(environ, signer, tmp_path, "--lang", "en", "--check-url", "https://plant.example/c")
    plant = tmp_path / "plant.pem"
    plant.write_text(run(environ, "key").stdout)
    away = {"XDG_DATA_HOME": str(tmp_path / "elsewhere"), "HOME": str(tmp_path)}
    assert run(away, "verify", "--keys", plant, pdf).exit_code == ExitStatus.UNKNOWN_KEY
    plant.write_text(plant.read_text() + run(environ, "key", "--pdf").stdout)
    assert run(away, "verify", "--keys", plant, pdf).exit_code == 0


def test_an_altered_pdf_is_told_so(environ: dict[str, str], signer: FileSigner, tmp_path: Path) -> None:
    pdf = a_pdf(environ, signer, tmp_path)
    pdf.write_bytes(pdf.read_bytes() + b"\n")
    result = run(environ, "verify", "--json", pdf)
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["result"], answer["outcome"]) == (ExitStatus.FAILED, "altered", None)


def test_a_good_page_around_a_certificate_by_a_stranger_is_not_believed(
    environ: dict[str, str], signer: FileSigner, tmp_path: Path
) -> None:
    """The page's key vouches for the page alone."""
    pdf = a_pdf(environ, signer, tmp_path)
    keys = tmp_path / "keys.pem"
    keys.write_text(a_signer().public.pem().decode() + run(environ, "key", "--pdf").stdout)
    assert run(environ, "verify", "--keys", keys, pdf).exit_code == ExitStatus.UNKNOWN_KEY


def test_the_station_draws_nothing_that_it_does_not_believe(environ: dict[str, str], tmp_path: Path) -> None:
    path = issue(a_certificate(), a_signer(), tmp_path)
    result = run(environ, "pdf", path)
    assert result.exception is not None
    assert getattr(result.exception, "code", "") == "unknown-key"
    assert not path.with_suffix(".pdf").exists()
    assert not (keys_dir(environ) / "pdf").exists()


def test_a_file_that_is_there_is_not_replaced(environ: dict[str, str], signer: FileSigner, tmp_path: Path) -> None:
    pdf = a_pdf(environ, signer, tmp_path)
    before = pdf.read_bytes()
    result = run(environ, "pdf", pdf.with_suffix(".json"))
    assert isinstance(result.exception, UsageError)
    assert pdf.read_bytes() == before


def test_neither_erasing_nor_checking_json_loads_what_pdfs_need() -> None:
    code = (
        "import sys, eraser.cli.erase, eraser.cli.certificate, eraser.certificates.issuer, eraser.certificates.verifying;"
        "print(sorted({'typst', 'pyhanko', 'segno'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert told.stdout.strip() == "[]"
