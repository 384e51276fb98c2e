"""Audits at a station and far from it: what is drawn, what is found, and who can't choose."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eraser.audits.planning import confirmed, draw_plan, dump
from eraser.audits.population import Documents, population, read_documents
from eraser.certificates.canonical import canonical
from eraser.certificates.keys import FileSigner
from eraser.cli.audit_sources import Sources
from eraser.domain.acceptance import InspectionLevel, Severity
from eraser.domain.audit import ByAql, Plan
from eraser.ledger.check import check
from eraser.ledger.engine import sqlite_url
from tests.audits.plants import NONCE, Auditor, Plant, answer, id_of, said, sampled
from tests.certificates.builders import a_signer

TWENTY = range(1, 21)


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """With twenty certificates of November in its log; for AQL 0.65 level II asks for all of them."""
    made = Plant(tmp_path_factory.mktemp("plant"))
    made.issue(*TWENTY)
    made.publish()
    return made


@pytest.fixture
def plant(twenty: Plant, tmp_path: Path) -> Plant:
    """A copy, to spoil."""
    return Plant(tmp_path, twenty)


SOME = ("--aql", "6.5", "--inspection-level", "II")
"""Of twenty: C's arrow leads to D: n = 8, Ac 1."""


def test_an_honest_plant_is_accepted_and_the_record_is_in_its_log(plant: Plant) -> None:
    done = plant.run(plant.plan(*SOME))
    found = answer(done)
    assert done.exit_code == 0, done.output
    assert (found["result"], found["n"], found["ac"], found["re"], found["found"]) == ("accepted", 8, 1, 2, 0)
    assert found["population"] == 20
    plant.publish("2026-12-02T00:00:00.000Z")
    entries = plant_entries(plant)
    assert entries[-1]["kind"] == "audit" and entries[-1]["subject"] == found["audit_id"]
    again = answer(plant("show", found["audit_id"], "--json", "--nonce", NONCE))
    assert again["result"] == "accepted"
    assert [item.what for item in check(sqlite_url(plant.data / "ledger.db")).findings if "audit" in item.what] == []


def plant_entries(plant: Plant) -> list[dict[str, Any]]:
    from eraser.cli.log import log_group

    return [json.loads(line) for line in plant("entries", group=log_group).stdout.splitlines()]


@pytest.mark.parametrize("source", ["entries", "bundles"])
def test_an_auditor_far_from_the_plant_draws_the_same_sample_and_finds_the_same(plant: Plant, source: str) -> None:
    here = plant.plan(*SOME)
    auditor = Auditor(plant)
    sources = auditor.with_entries() if source == "entries" else auditor.with_bundles()
    there = auditor.plan(sources, *SOME)
    assert there.read_bytes() == here.read_bytes()
    done = auditor.run(there, sources)
    assert (done.exit_code, answer(done)["result"]) == (0, "accepted"), done.output or done.exception


def test_an_auditor_who_looks_like_a_person_is_warned_and_one_who_is_none_is_refused(plant: Plant) -> None:
    plan = plant.plan(*SOME)
    assert "warning" not in plant.run(plan).stderr
    warned = plant("run", plan, "--auditor", "Jane Doe")
    assert warned.exit_code == 0 and "looks like a person's name" in warned.stderr
    assert said(plant("run", plan, "--auditor", "x" * 65)).startswith("usage")


def test_the_plan_is_in_canonical_form(plant: Plant) -> None:
    content = plant.plan(*SOME).read_bytes()
    assert content == canonical(json.loads(content)) + b"\n"


def test_another_nonce_or_another_log_draws_another_sample(plant: Plant) -> None:
    plans = [plant.plan(*SOME), plant.plan(*SOME, nonce="ff" * 16, path="other")]
    plant.issue(21, issued_at="2026-12-05T00:00:00Z")
    plant.publish()
    plans.append(plant.plan(*SOME, path="grown"))
    assert len({json.loads(plan.read_bytes())["seed"] for plan in plans}) == 3
    # Of 3 draws of 8 out of 20, all three are the same less than once in 10^10.
    assert len({tuple(sampled(plan)) for plan in plans}) > 1


def test_a_defect_rate_and_a_confidence_give_the_hypergeometric_sample(plant: Plant) -> None:
    done = answer(plant.run(plant.plan("--defect-rate", "10", "--confidence", "90")))
    # 2 of 20: C(18, 13) / C(20, 13) = 42/380 > 10 %, C(18, 14) / C(20, 14) = 30/380 < 10 %
    assert (done["n"], done["at_most_nonconforming"], done["confidence_percent"]) == (14, 1, "90")


# ---- what is wrong with certificates


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"operator-7", b"operator-8"))


def resign(signer: FileSigner) -> Callable[[Plant, int], None]:
    return lambda plant, number: plant.issue(number, signer=signer)


@pytest.mark.parametrize(
    ("spoil", "code", "is_critical"),
    [
        (lambda plant, number: alter(plant.path(number)), "altered", True),
        (lambda plant, number: plant.path(number).unlink(), "missing", False),
        (resign(a_signer()), "unknown-key", True),
        (lambda plant, number: plant.issue(number, witness="witness-9"), "not-the-logged", True),
    ],
    ids=["altered", "missing", "unknown-key", "not-the-logged"],
)
def test_a_certificate_that_does_not_hold_is_found_by_name(
    plant: Plant, spoil: Callable[[Plant, int], None], code: str, is_critical: bool
) -> None:
    plan = plant.plan(*SOME)
    number = sampled(plan)[0]
    spoil(plant, number)
    done = plant.run(plan)
    found = answer(done)
    # Ac is 1: one that is missing is accepted, a forged one never.
    assert (found["found"], found["critical"], found["result"]) == (
        1,
        int(is_critical),
        "rejected" if is_critical else "accepted",
    )
    assert done.exit_code == (4 if is_critical else 0)
    assert found["findings"] == [
        {"certificate_id": id_of(number), "codes": [code], "message": found["findings"][0]["message"]}
    ]


def test_two_that_are_missing_are_one_too_many(plant: Plant) -> None:
    plan = plant.plan(*SOME)
    for number in sampled(plan)[:2]:
        plant.path(number).unlink()
    done = plant.run(plan)
    assert (done.exit_code, answer(done)["found"], answer(done)["critical"]) == (4, 2, 0)


def test_what_was_withdrawn_before_is_not_drawn_from_and_what_is_withdrawn_since_is_found(plant: Plant) -> None:
    plant.withdraw(3)
    plant.publish()
    plan = plant.plan()
    assert 3 not in sampled(plan)
    assert len(sampled(plan)) == 19
    plant.withdraw(5)
    plant.publish()
    found = answer(plant.run(plan))
    assert [(item["certificate_id"], item["codes"]) for item in found["findings"]] == [(id_of(5), ["withdrawn"])]


def test_a_certificate_that_is_withheld_is_drawn_from_all_the_same(plant: Plant) -> None:
    for number in (4, 9):
        plant.path(number).unlink()
    plan = plant.plan()
    assert set(sampled(plan)) == set(TWENTY)
    assert json.loads(plan.read_bytes())["undated_members"] == 2
    found = answer(plant.run(plan))
    assert {item["certificate_id"] for item in found["findings"]} == {id_of(4), id_of(9)}
    assert {code for item in found["findings"] for code in item["codes"]} == {"missing"}


def test_certificates_of_other_days_are_not_drawn_from_unless_nothing_shows_that_they_are(
    tmp_path: Path,
) -> None:
    plant = Plant(tmp_path)
    plant.issue(1, issued_at="2026-10-31T23:59:59.999Z")
    plant.issue(2, issued_at="2026-11-01T00:00:00Z")
    plant.issue(3, issued_at="2026-12-03T00:00:00Z")
    plant.issue(4, issued_at="2026-11-30T23:59:59.999Z")
    plant.issue(5, issued_at="2026-12-01T00:00:00Z")
    plant.publish()
    assert sampled(plant.plan()) == [2, 4]
    plant.path(5).unlink()
    # Nothing shows any more that it is of another day.
    assert sampled(plant.plan(path="again")) == [2, 4, 5]
    alter(plant.path(3))
    assert sampled(plant.plan(path="third")) == [2, 3, 4, 5]


# ---- a plant that would choose


def rewritten(plan: Path, change: Callable[[Any], object]) -> Path:
    form = json.loads(plan.read_bytes())
    change(form)
    plan.write_bytes(canonical(form) + b"\n")
    return plan


def other_sample(form: Any) -> None:
    """One that was not drawn in place of one that was."""
    free = next(number for number in TWENTY if id_of(number) not in {item["certificate_id"] for item in form["sample"]})
    form["sample"][0] = {"index": free - 1, "certificate_id": id_of(free), "digest": form["sample"][0]["digest"]}


@pytest.mark.parametrize(
    "change",
    [
        lambda form: form.update(nonce="ff" * 16),
        lambda form: form["log"].update(root="ff" * 32),
        lambda form: form["log"].update(size=19),
        lambda form: form.update(seed="ff" * 32),
        lambda form: form.update(sample=form["sample"][1:]),
        lambda form: form.update(accepts=3),
        lambda form: form["members"].__setitem__(0, {"first": 1, "behind": 20}),
        other_sample,
    ],
    ids=["nonce", "root", "size", "seed", "fewer", "acceptance number", "population", "sample"],
)
def test_a_plan_that_was_tampered_with_is_refused(plant: Plant, change: Callable[[Any], object]) -> None:
    done = plant.run(rewritten(plant.plan(*SOME), change))
    assert done.exit_code != 0
    assert said(done).startswith("plan-not-fair"), said(done)
    assert not (plant.data / "audits").exists()


def test_a_plan_that_the_plant_drew_with_a_nonce_of_its_own_is_refused(plant: Plant) -> None:
    plan = plant.plan(*SOME, nonce="ab" * 16)
    assert said(plant.run(plan, "--nonce", NONCE)).startswith("plan-not-fair")
    record = answer(plant.run(plan))["record"]
    assert said(plant("show", record, "--nonce", NONCE)).startswith("plan-not-fair")


def test_a_plan_that_leaves_somebody_out_is_refused_even_where_all_else_follows_from_it(
    plant: Plant, tmp_path: Path
) -> None:
    # The plant believes its own word that number 20 is of another day.
    documents = read_documents([plant.certificates])
    late = replace(documents.by_id[id_of(20)], issued_at="2026-12-24T00:00:00Z")
    lying = Documents((*(item for item in documents.found if item.certificate_id != id_of(20)), late))
    plan = tmp_path / "lying"
    plan.write_bytes(dump(lying_plan(plant, lying)))
    assert json.loads(plan.read_bytes())["members"] == [{"first": 0, "behind": 19}]
    assert "left out" in said(plant.run(plan))


def lying_plan(plant: Plant, documents: Documents) -> Plan:
    sources = Sources(plant.data, None)
    signed = sources.signed_checkpoint(None)
    logged = sources.log_under(confirmed(signed, sources.log_keys()), documents)
    days = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    criterion = ByAql("6.5", InspectionLevel.II, Severity.NORMAL)
    found = population(logged, documents, days)
    return draw_plan(logged.head, found, signed, bytes.fromhex(NONCE), days, criterion, 950_000)


def test_a_log_that_is_another_one_by_now_is_refused(plant: Plant, tmp_path: Path) -> None:
    auditor = Auditor(plant)
    sources = auditor.with_entries()
    plan = auditor.plan(sources, *SOME)
    lines = auditor.entries.read_text().splitlines()
    auditor.entries.write_text("\n".join([lines[1], lines[0], *lines[2:]]) + "\n")
    assert said(auditor.run(plan, sources)).startswith("log-rewritten")


def test_bundles_with_a_gap_want_the_logs_entries(plant: Plant) -> None:
    auditor = Auditor(plant)
    sources = auditor.with_bundles()
    next((auditor.home / "bundles").glob(f"{id_of(7)}*")).unlink()
    words = ("plan", "--from", "2026-11-01", "--to", "2026-11-30", "--aql", "1.0", "--nonce", NONCE)
    done = plant(*words, "--checkpoint", auditor.checkpoint, *sources, home=auditor.home)
    assert "eraser log entries" in said(done)


def test_whoever_erased_a_drive_cannot_audit_it(plant: Plant) -> None:
    plan = plant.plan(*SOME)
    for name in ("operator-7", " Operator-7 ", "witness-2"):
        done = plant("run", plan, "--auditor", name)
        assert said(done).startswith("refused") and "can't be who checks" in said(done)


# ---- the record


@pytest.fixture
def record(plant: Plant) -> Path:
    plan = plant.plan(*SOME)
    for number in sampled(plan)[:2]:
        plant.path(number).unlink()
    return Path(answer(plant.run(plan))["record"])


@pytest.mark.parametrize(
    "change",
    [
        lambda audit: audit["verdict"].update(is_accepted=True),
        lambda audit: audit["items"][0].update(result="conforming", message=""),
        lambda audit: audit.update(auditor="somebody"),
        lambda audit: audit["plan"].update(accepts=2),
        lambda audit: audit.update(done_at="2026-11-01T00:00:00Z"),
    ],
)
def test_a_record_that_was_tampered_with_is_not_believed(
    plant: Plant, record: Path, change: Callable[[Any], object]
) -> None:
    form = json.loads(record.read_bytes())
    change(form["audit"])
    record.write_text(json.dumps(form))
    assert said(plant("show", record)).startswith("altered")


@pytest.mark.parametrize("member", ["is_accepted", "found", "most_defective"])
def test_a_record_whose_verdict_does_not_follow_is_not_believed_whoever_signed_it(
    plant: Plant, record: Path, member: str
) -> None:
    from eraser.audits.records import AUDIT, open_audit_signer
    from eraser.certificates.envelope import seal

    form = json.loads(record.read_bytes())["audit"]
    form["verdict"][member] = True if member == "is_accepted" else 0
    record.write_bytes(seal(form, open_audit_signer(plant.data / "keys"), AUDIT))
    assert said(plant("show", record)).startswith("audit-record")


def test_the_key_of_audits_signs_no_certificate_and_that_of_certificates_no_audit(plant: Plant, record: Path) -> None:
    from eraser.audits.records import AUDIT, trusted_audit_keys
    from eraser.certificates.envelope import seal
    from eraser.certificates.keys import station_keys

    assert not set(station_keys(plant.data / "keys")) & set(trusted_audit_keys(plant.data / "keys"))
    form = json.loads(record.read_bytes())["audit"]
    record.write_bytes(seal(form, plant.signer, AUDIT))
    assert said(plant("show", record)).startswith("unknown-key")


def test_an_auditors_record_is_entered_once_and_under_the_auditors_key_alone(plant: Plant) -> None:
    auditor = Auditor(plant)
    sources = auditor.with_entries()
    record = answer(auditor.run(auditor.plan(sources, *SOME), sources))["record"]
    assert said(plant("enter", record)).startswith("unknown-key")
    key = auditor.home / "audit.pem"
    shown = plant("key", home=auditor.home)
    key.write_text(shown.stdout)
    assert plant("enter", record, "--keys", key).exit_code == 0
    assert said(plant("enter", record, "--keys", key)).startswith("refused")
    listed = plant("show")
    assert listed.exit_code == 0 and "not known here" in listed.stderr and "ACCEPTED" in listed.stdout
    before = Auditor(plant, "before")
    plant.publish("2026-12-02T00:00:00.000Z")
    assert [item["kind"] for item in plant_entries(plant)].count("audit") == 1
    after = Auditor(plant, "after")
    for known, is_there in ((before, False), (after, True)):
        log = ("--entries", known.entries, "--checkpoint", known.checkpoint, "--log-key", known.log_key)
        done = plant("show", record, "--keys", key, *log, home=known.home)
        assert (done.exit_code == 0) is is_there
        assert is_there or said(done).startswith("not-in-log")


def test_the_reports_say_what_the_record_says(plant: Plant, record: Path) -> None:
    whole = json.loads(plant("report", record, "--format", "json").stdout)
    assert (whole["result"], whole["n"], whole["found"]) == ("rejected", 8, 2)
    assert whole["record"] == json.loads(record.read_bytes())["audit"]
    target = plant.folder / "report.csv"
    assert plant("report", record, "--format", "csv", "--out", target).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(target.read_bytes().decode("utf-8-sig"))))
    assert [row["result"] for row in rows].count("missing") == 2
    assert len(rows) == 8


def test_nothing_is_entered_where_the_ledger_is_not_the_stations(plant: Plant) -> None:
    auditor = Auditor(plant)
    sources = auditor.with_entries()
    assert auditor.run(auditor.plan(sources, *SOME), sources).exit_code == 0
    shutil.copy(plant.data / "log" / "checkpoint", auditor.home / "after")
    assert [item["kind"] for item in plant_entries(plant)] == ["certificate"] * 20


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--aql", "1.0", "--defect-rate", "1"),
        ("--aql", "1.1"),
        ("--defect-rate", "0.00001"),
        ("--defect-rate", "x"),
        ("--defect-rate", "101"),
        ("--aql", "1.0", "--confidence", "100"),
    ],
)
def test_senseless_plans_are_refused(plant: Plant, options: tuple[str, ...]) -> None:
    days = ("--from", "2026-11-01", "--to", "2026-11-30", "--nonce", NONCE)
    assert said(plant("plan", *days, *options)).startswith("usage")


@pytest.mark.parametrize(
    "words",
    [
        ("--from", "2026-11-30", "--to", "2026-11-01", "--nonce", NONCE),
        ("--from", "2026-11-31", "--to", "2026-12-01", "--nonce", NONCE),
        ("--from", "2025-11-01", "--to", "2025-11-30", "--nonce", NONCE),
        ("--from", "2026-11-01", "--to", "2026-11-30", "--nonce", "00"),
        ("--from", "2026-11-01", "--to", "2026-11-30", "--nonce", "xyz"),
    ],
)
def test_senseless_days_and_nonces_are_refused(plant: Plant, words: tuple[str, ...]) -> None:
    assert said(plant("plan", *words, "--aql", "1.0")).startswith("usage")
