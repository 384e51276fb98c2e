"""Destruction and control records as files: signed, bundled, checked, and told from everything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from eraser.certificates.checking import Held, check, check_all
from eraser.certificates.envelope import CERTIFICATE, CONTROL, DESTRUCTION, WITHDRAWAL, DocumentKind, seal
from eraser.certificates.keys import PublicKey
from eraser.certificates.schema import DOCUMENTS, document_schema
from eraser.certificates.verifying import entry_of
from eraser.domain import control, destruction
from eraser.domain.certificate import Station, Tool
from eraser.domain.control import Control, ControlDrive, ControlOutcome, ControlTest
from eraser.domain.custody import DriveName
from eraser.domain.destruction import Destruction
from eraser.domain.events import Reason
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind
from eraser.log.note import Note
from tests.certificates.builders import a_signer
from tests.certificates.plant import BEGAN, Plant, changed

DESTROYED = Destruction(
    destruction.FORMAT,
    1,
    "d" * 32,
    "destroyed",
    DriveName("ZX001B82", "5000c500aabbccdd", "T-0815"),
    "job-1",
    True,
    "shredded to 2 mm",
    BEGAN,
    Station("rack-3"),
    "operator-7",
    "witness-2",
)
DIRTY = Control(
    control.FORMAT,
    1,
    "c" * 32,
    ControlTest.DIRTY,
    ControlDrive("/dev/sdz", "CONTROL-2", "", 1 << 20),
    "nist-clear",
    ControlOutcome.FAILED,
    (Reason("mismatch", "1 sectors do not hold what was written"),),
    1 << 20,
    0,
    0,
    (4096,),
    (4096,),
    1,
    BEGAN,
    BEGAN,
    Station("rack-3"),
    Tool("Eraser", "1", "ab"),
)
RECORDS: dict[DocumentKind, Any] = {DESTRUCTION: DESTROYED, CONTROL: DIRTY}
EVERY: dict[EntryKind, Callable[[Plant], bytes]] = {
    EntryKind.CERTIFICATE: lambda plant: plant.document,
    EntryKind.WITHDRAWAL: lambda plant: plant.withdrawal(plant.other),
    EntryKind.DESTRUCTION: lambda plant: seal(to_json(DESTROYED), plant.signer, DESTRUCTION),
    EntryKind.CONTROL: lambda plant: seal(to_json(DIRTY), plant.signer, CONTROL),
    EntryKind.AUDIT: Plant.audit,
    EntryKind.RESTART: Plant.restart,
    EntryKind.REMOVAL: Plant.removal,
}
PUBLISHED = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def keys_of(plant: Plant) -> dict[str, PublicKey]:
    return {plant.signer.key_id: plant.signer.public}


def held(plant: Plant, drive: str = "", checkpoint: Note | None = None) -> Held:
    return Held(keys_of(plant), (plant.log_key.key("eraser/hall-2"),), drive=drive, checkpoint=checkpoint)


def result(plant: Plant, document: bytes, drive: str = "") -> str:
    return check(plant.file("record", document), held(plant, drive)).result


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.member)
def test_a_signed_record_is_genuine_alone_and_in_a_bundle(plant: Plant, kind: DocumentKind) -> None:
    document = seal(to_json(RECORDS[kind]), plant.signer, kind)
    assert result(plant, document) == "genuine"
    bundle = plant.bundle([*plant.log, entry_of(document)], of=document)
    found = check(plant.file("bundle", bundle), held(plant))
    assert found.error is None and found.record == RECORDS[kind] and found.log is not None
    assert "in the log eraser/hall-2" in found.sentence() and "genuine" in found.sentence()


@pytest.mark.parametrize("kind", EntryKind)
def test_whatever_the_log_has_an_entry_of_is_bundled_and_believed(plant: Plant, kind: EntryKind) -> None:
    document = EVERY[kind](plant)
    assert entry_of(document).kind is kind
    known = replace(held(plant), audit_keys={plant.auditor.key_id: plant.auditor.public})
    for file, is_logged in ((document, False), (plant.logged(document), True)):
        found = check(plant.file("record", file), known)
        assert (found.result, found.kind, found.log is not None) == ("genuine", kind.value, is_logged)
        assert found.key_ids
        assert "genuine" in found.sentence()
        assert json.loads(json.dumps(found.summary()))["result"] == "genuine"
    lacking = plant.bundle([*plant.log, entry_of(document)], of=document, checkpoint=plant.note())
    assert check(plant.file("record", lacking), known).result == "not-in-log"


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.member)
def test_a_record_that_the_log_lacks_or_that_was_changed_is_not_believed(plant: Plant, kind: DocumentKind) -> None:
    document = seal(to_json(RECORDS[kind]), plant.signer, kind)
    bundle = plant.bundle([*plant.log, entry_of(document)], of=document, checkpoint=plant.note())
    assert result(plant, bundle) == "not-in-log"
    altered = changed(document, lambda form: form[kind.member].update(station={"id": "rack-4", "location": ""}))
    assert result(plant, altered) == "altered"
    stranger = seal(to_json(RECORDS[kind]), a_signer(), kind)
    assert result(plant, stranger) == "unknown-key"


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.member)
@pytest.mark.parametrize("other", [CERTIFICATE, WITHDRAWAL, DESTRUCTION, CONTROL], ids=lambda kind: kind.member)
def test_no_signature_passes_for_one_under_another_kind_of_document(
    plant: Plant, kind: DocumentKind, other: DocumentKind
) -> None:
    if kind is not other:
        disguised = changed(
            seal(to_json(RECORDS[kind]), plant.signer, other),
            lambda form: form.update({kind.member: form.pop(other.member)}),
        )
        form = json.loads(disguised)
        ordered = {kind.member: form[kind.member], "signatures": form["signatures"]}
        assert result(plant, json.dumps(ordered).encode()) == "altered"


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.member)
def test_a_record_says_which_drive_it_is_of(plant: Plant, kind: DocumentKind) -> None:
    document = seal(to_json(RECORDS[kind]), plant.signer, kind)
    assert result(plant, document, RECORDS[kind].drive.serial) == "genuine"
    assert result(plant, document, "8X001B82") == "another-drive"


def test_for_machines_a_destruction_has_its_own_outcome(plant: Plant) -> None:
    document = seal(to_json(DESTROYED), plant.signer, DESTRUCTION)
    (found,) = check_all([plant.file("record", document)], held(plant))
    summary = found.summary()
    assert (summary["outcome"], summary["serial"]) == ("destroyed", "ZX001B82")
    assert summary["destruction"] == {"id": "d" * 32, "at": BEGAN, "how": "shredded to 2 mm"}
    assert "DESTROYED" in found.sentence()


def test_for_machines_a_control_says_whether_it_was_as_it_must_be(plant: Plant) -> None:
    for record, expected in ((DIRTY, True), (replace(DIRTY, outcome=ControlOutcome.PASSED), False)):
        document = seal(to_json(record), plant.signer, CONTROL)
        found = check(plant.file("record", document), held(plant))
        assert found.summary()["control"]["as_expected"] is expected
        assert ("MUST NOT" in found.sentence()) is not expected


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (DESTRUCTION, {"destruction_id": "x"}),
        (DESTRUCTION, {"destroyed_at": "2026-11-24"}),
        (DESTRUCTION, {"how": "  "}),
        (DESTRUCTION, {"outcome": "passed"}),
        (DESTRUCTION, {"operator": "a\u202eb"}),
        (CONTROL, {"control_id": "x"}),
        (CONTROL, {"known_left": -1}),
        (CONTROL, {"dirtied": [-1]}),
        (CONTROL, {"version": 2}),
        (CONTROL, {"outcome": "perhaps"}),
    ],
)
def test_a_record_of_another_form_is_malformed(plant: Plant, kind: DocumentKind, changes: dict[str, Any]) -> None:
    document = seal(to_json(RECORDS[kind]) | changes, plant.signer, kind)
    assert result(plant, document) == "malformed"


@pytest.mark.parametrize("member", DOCUMENTS)
def test_every_schema_is_published_and_is_one(member: str) -> None:
    """After a change: `eraser certificate schema --of MEMBER > docs/MEMBER.schema.json`."""
    assert json.loads((PUBLISHED / f"{member}.schema.json").read_text()) == document_schema(member)
    Draft202012Validator.check_schema(document_schema(member))


@pytest.mark.parametrize("own", DOCUMENTS)
def test_a_document_fits_its_schema_and_no_other(plant: Plant, own: str) -> None:
    form = json.loads(EVERY[EntryKind(own)](plant))
    for member in DOCUMENTS:
        assert Draft202012Validator(document_schema(member)).is_valid(form) is (member == own)
