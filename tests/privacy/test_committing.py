"""From the station's issuer to the customer's kitchen table: the certificate is theirs, and only they can show it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eraser.certificates.issuer import Issued, StationIssuer
from eraser.cli.certificate import certificate_group
from eraser.cli.receipt import receipt_group
from eraser.domain.custody import DriveName
from eraser.errors import JournalError
from eraser.ledger.vault import Action
from eraser.privacy.destruction import Destruction
from eraser.privacy.errors import VaultKeyError
from eraser.privacy.opening import Committing
from eraser.privacy.receipt import form_of
from tests.certificates.builders import a_job_with_everything
from tests.privacy.builders import WANG, Plant

JOB = a_job_with_everything()
assert JOB.drive is not None
DRIVE = DriveName(JOB.drive.identity.serial, JOB.drive.identity.wwn)


def issuer(plant: Plant, folder: str = "certificates") -> StationIssuer:
    committing = Committing(plant.data, plant.url, "station-1", now_utc=lambda: plant.now, new_id=lambda: "a" * 32)
    return StationIssuer(
        plant.data / folder,
        plant.data / "eraser" / "keys",
        now_utc=lambda: plant.now,
        new_id=lambda: "b" * 32,
        commit=committing,
    )


def form(issued: Issued) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(issued.path.read_bytes())["certificate"]
    return found


def run(plant: Plant, group: Any, *words: object, stdin: str = "") -> Result:
    environ = {"XDG_DATA_HOME": str(plant.data), "HOME": str(plant.data)}
    return CliRunner().invoke(group, [str(word) for word in words], env=environ, input=stdin)


def test_a_station_without_a_vault_issues_as_before(small_plant: Plant) -> None:
    small_plant.receive(DRIVE)
    assert "commitment" not in form(issuer(small_plant)(JOB))
    assert not (small_plant.data / "vault").exists()


def test_a_drive_without_a_customer_gets_no_commitment(small_plant: Plant) -> None:
    small_plant.receive(DRIVE)
    small_plant.add(WANG, lot="lot-2")
    assert "commitment" not in form(issuer(small_plant)(JOB))


def test_a_customers_certificate_holds_the_commitment_and_nothing_else_of_them(plant: Plant) -> None:
    plant.receive(DRIVE)
    record_id = plant.add(WANG)
    issued = issuer(plant)(JOB)
    assert form(issued)["commitment"]["scheme"] == "eraser commitment v1"
    content = issued.path.read_text()
    assert [value for value in WANG.values() if value in content] == []
    assert record_id not in content
    with plant.vault() as vault:
        (entry,) = [item for item in vault.log() if item.action is Action.COMMITTED]
        assert (entry.operator, entry.reason) == ("station-1", f"certificate of job {JOB.job_id}")


def test_issuing_again_after_a_crash_gives_the_same_certificate_also_when_the_customer_was_erased_meanwhile(
    small_plant: Plant,
) -> None:
    small_plant.receive(DRIVE)
    record_id = small_plant.add(WANG)
    first = issuer(small_plant)(JOB)
    assert issuer(small_plant)(JOB) == first
    with small_plant.destruction() as destruction:
        destruction.erase(record_id, "li", "asked for it")
    assert issuer(small_plant)(JOB) == first


def test_a_vault_that_cannot_be_used_keeps_the_certificate_waiting(small_plant: Plant) -> None:
    small_plant.receive(DRIVE)
    record_id = small_plant.add(WANG)
    with small_plant.vault() as vault:
        key = vault.keys.record_key("lot-1", record_id)
        small_plant.lose_key(record_id)
        with pytest.raises(VaultKeyError):
            issuer(small_plant)(JOB)
        assert not (small_plant.data / "certificates").exists()
        vault.keys.put_record("lot-1", record_id, key)
    assert "commitment" in form(issuer(small_plant)(JOB))


def test_a_ledger_that_is_gone_keeps_the_certificate_waiting(small_plant: Plant) -> None:
    small_plant.receive(DRIVE)
    small_plant.add(WANG)
    (small_plant.data / "ledger.db").rename(small_plant.data / "moved")
    with pytest.raises(JournalError):
        issuer(small_plant)(JOB)


class Counter:
    """A customer's certificate and receipt, and how they check them at home."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        plant.receive(DRIVE)
        self.record_id = plant.add(WANG)
        self.certificate = issuer(plant)(JOB).path
        with plant.vault() as vault:
            receipt = vault.receipt(self.record_id, DRIVE.serial, "clerk", "handed over")
        self.code = receipt.code
        self.form = form_of(receipt)

    def verify(self, certificate: Path, form: dict[str, Any], *words: object) -> Result:
        text = json.dumps(form, ensure_ascii=False)
        return run(self.plant, receipt_group, "verify", certificate, "--receipt", "-", *words, stdin=text)


@pytest.fixture
def counter(small_plant: Plant) -> Counter:
    return Counter(small_plant)


def test_the_receipt_shows_that_the_certificate_is_theirs(counter: Counter) -> None:
    done = counter.verify(counter.certificate, counter.form)
    assert (done.exit_code, "bound to this receipt's customer" in done.output) == (0, True)
    done = counter.verify(counter.certificate, counter.form["details"], "--code", counter.code.lower())
    assert done.exit_code == 0
    said = json.loads(counter.verify(counter.certificate, counter.form, "--json").stdout)
    assert said["result"] == "genuine"


def test_whoever_verifies_certificates_can_give_the_receipt_along(counter: Counter, tmp_path: Path) -> None:
    (tmp_path / "receipt.json").write_text(json.dumps(counter.form))
    (tmp_path / "details.json").write_text(json.dumps(counter.form["details"]))
    words = ("verify", counter.certificate, "--receipt")
    done = run(counter.plant, certificate_group, *words, tmp_path / "receipt.json")
    assert (done.exit_code, "bound to this receipt's customer" in done.output) == (0, True)
    done = run(counter.plant, certificate_group, *words, tmp_path / "details.json", "--code", "A" * 26, "--json")
    assert (done.exit_code, json.loads(done.stdout)["result"]) == (4, "not-theirs")
    verifier = [sys.executable, "-c", "from eraser.cli.offline_verifier import main; main()", str(counter.certificate)]
    keys = str(counter.plant.data / "eraser" / "keys")
    for code, status in ((counter.code, 0), ("A" * 26, 4)):
        receipt = ["--receipt", str(tmp_path / "details.json"), "--code", code, "--keys", keys]
        assert subprocess.run([*verifier, *receipt], cwd="/", check=False).returncode == status


def test_the_receipt_still_shows_it_when_the_plant_has_forgotten_everything(counter: Counter) -> None:
    with counter.plant.vault() as vault:
        Destruction(vault).erase(counter.record_id, "li", "asked for it")
    assert counter.verify(counter.certificate, counter.form).exit_code == 0


def test_another_code_or_another_detail_does_not(counter: Counter) -> None:
    details = counter.form["details"]
    for change in ({"code": "A" * 26}, {"details": {"name": "王小明"}}, {"details": {**details, "phone": "139"}}):
        done = counter.verify(counter.certificate, counter.form | change)
        assert (done.exit_code, "not-theirs" in done.output) == (4, True)
        assert all(value not in done.output for value in WANG.values() if value)


def test_a_certificate_of_another_job_or_of_nobody_does_not(counter: Counter) -> None:
    other = issuer(counter.plant, "other")(replace(JOB, request=replace(JOB.request, job_id="9" * 32))).path
    keys = counter.plant.data / "eraser" / "keys"
    nobodys = StationIssuer(
        counter.plant.data / "bare", keys, now_utc=lambda: counter.plant.now, new_id=lambda: "c" * 32
    )
    bare = nobodys(JOB).path
    assert counter.verify(other, counter.form).exit_code == 0  # the same drive and customer, erased twice
    done = counter.verify(bare, counter.form)
    assert (done.exit_code, "no-commitment" in done.output) == (4, True)
    moved = json.loads(bare.read_bytes())
    moved["certificate"]["commitment"] = json.loads(counter.certificate.read_bytes())["certificate"]["commitment"]
    bare.write_text(json.dumps(moved))
    done = counter.verify(bare, counter.form)
    assert (done.exit_code, "(altered)" in done.output) == (4, True)


def test_who_signed_it_is_asked_first(counter: Counter, tmp_path: Path) -> None:
    (tmp_path / "eraser" / "keys").rename(tmp_path / "eraser" / "gone")
    done = counter.verify(counter.certificate, counter.form, "--json")
    assert (done.exit_code, json.loads(done.stdout)["result"]) == (5, "unknown-key")


@pytest.mark.parametrize("form", [{}, {"format": "x"}, {"name": 7}, {"name": "x", "nick": "秘密"}, {"phone": "1"}])
def test_what_is_no_receipt_is_refused_without_being_repeated(counter: Counter, form: dict[str, Any]) -> None:
    done = counter.verify(counter.certificate, form, "--code", counter.code)
    assert done.exit_code != 0
    assert "秘密" not in f"{done.output} {done.exception}"
    assert counter.verify(counter.certificate, {"name": "x"}).exit_code != 0


@pytest.mark.lab("jq", "openssl", "xxd")
def test_the_commands_on_the_page_make_the_same_commitment(counter: Counter, tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "privacy.md").read_text()
    (commands,) = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "details.json").write_text(json.dumps(counter.form["details"], ensure_ascii=False))
    environment = {
        "CERTIFICATE": str(counter.certificate),
        "CODE": counter.code,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    done = subprocess.run(
        ["bash", "-eu", "-c", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    made, said = done.stdout.split()
    assert made == said == form(Issued("", counter.certificate, b""))["commitment"]["mac"]


def test_the_certificate_itself_verifies_as_every_other(counter: Counter) -> None:
    done = run(counter.plant, certificate_group, "verify", counter.certificate)
    assert done.exit_code == 0, done.output
