"""What docs/certificate.md says is true: its commands work, its fields are the certificate's."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from eraser.certificates.issuing import issue
from eraser.domain.certificate import Certificate
from eraser.domain.json_form import kept_fields
from tests.certificates.builders import a_certificate, a_failed_job, a_job, a_job_with_everything, a_signer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "certificate.md"
COMMANDS = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))

needs_tools = pytest.mark.lab("jq", "openssl")


def run_commands(certificate: Path, key: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    environment = {"CERTIFICATE": str(certificate), "KEY": str(key), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    command = ["bash", "-euo", "pipefail", "-c", COMMANDS]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@needs_tools
@pytest.mark.parametrize("job", [a_job(), a_job_with_everything(), a_failed_job()])
def test_jq_and_openssl_accept_what_we_sign(tmp_path: Path, job: Any) -> None:
    signer = a_signer()
    key = tmp_path / "plant.pem"
    key.write_bytes(signer.public.pem())
    certificate = a_certificate(job, operator='é😀 "quoted" \\ / <&> 资产')
    completed = run_commands(issue(certificate, signer, tmp_path), key, tmp_path / "work")
    assert completed.returncode == 0, completed.stderr
    assert "Signature Verified Successfully" in completed.stdout
    assert len((tmp_path / "work" / "first-sector.expected").read_bytes()) == 512


@needs_tools
def test_jq_and_openssl_refuse_what_was_altered_or_signed_by_another_key(tmp_path: Path) -> None:
    signer, other = a_signer(), a_signer()
    key = tmp_path / "plant.pem"
    key.write_bytes(signer.public.pem())
    path = issue(a_certificate(), signer, tmp_path / "ours")
    altered = tmp_path / "altered.json"
    altered.write_bytes(path.read_bytes().replace(b'"operator-7"', b'"operator-8"'))
    completed = run_commands(altered, key, tmp_path / "first")
    assert completed.returncode != 0
    assert "Signature Verification Failure" in completed.stdout + completed.stderr
    assert run_commands(issue(a_certificate(), other, tmp_path / "theirs"), key, tmp_path / "second").returncode != 0


def field_names(hint: Any) -> Iterator[str]:
    """Of every dataclass that the type holds, at any depth."""
    if is_dataclass(hint) and isinstance(hint, type):
        if "kind" in vars(hint):
            yield "kind"
        hints = get_type_hints(hint)
        for item in kept_fields(hint):
            yield item.name
            yield from field_names(hints[item.name])
    for inner in get_args(hint):
        yield from field_names(inner)


def test_the_page_names_every_field() -> None:
    text = PAGE.read_text()
    assert [name for name in sorted(set(field_names(Certificate))) if f"`{name}`" not in text] == []
