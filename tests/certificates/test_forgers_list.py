"""What a forger may try, by class, and by what name each try is refused; by the command and by the verifier in one file."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from eraser.certificates.canonical import canonical
from eraser.certificates.pdf.signing import public_pem
from eraser.certificates.pdf.words import Language
from eraser.certificates.validity import Validity
from eraser.certificates.verifying import entry_of as entry_of_any
from eraser.cli.certificate import certificate_group
from eraser.domain.certificate import Certificate
from eraser.domain.drive import SerialSource
from eraser.domain.events import Outcome
from eraser.domain.json_form import to_json
from eraser.domain.pattern import Constant
from eraser.errors import EraserError
from tests.certificates.builders import RANDOM, a_certificate, a_document, a_job, a_signer
from tests.certificates.pdf.builders import a_pdf_signer, a_renderer
from tests.certificates.plant import (
    ID_A,
    ID_B,
    ORIGIN,
    Plant,
    certificate_of,
    changed,
    with_identity,
    withdrawal_of,
)
from tests.domain.test_audit import a_plan, a_record
from tests.log.keys import KeyInMemory

ROOT = Path(__file__).resolve().parents[2]

Arguments = list[Any]
Try = Callable[[Plant], Arguments]
FORGERY = {"malformed": 4, "unsupported": 4, "unknown-key": 5, "unknown-log": 5}


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has `cryptography`, with what that itself needs, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    here = Path(str(find_spec("cryptography").origin)).parent.parent
    for item in (*here.glob("cryptography*"), *here.glob("cffi*"), *here.glob("_cffi_backend*")):
        (packages / item.name).symlink_to(item)
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make verifier` builds it."""
    target = tmp_path_factory.mktemp("dist") / "eraser-verify.pyz"
    subprocess.run([sys.executable, ROOT / "ops" / "build-verifier.py", target], check=True, cwd="/")
    return target


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


Verify = Callable[..., tuple[int, list[dict[str, Any]]]]

# Starting it compiles all of it: for the long list it is started once, and its main called for each line of arguments.
DRIVER = """
import contextlib, io, json, sys
archive = sys.argv[1]
sys.path.insert(0, archive)
from eraser.cli.offline_verifier import main
assert sys.modules["eraser"].__file__.startswith(archive) and sys.modules["eraser.certificates"].__file__.startswith(archive)
for line in sys.stdin:
    sys.argv = ["eraser-verify", *json.loads(line)]
    printed, status = io.StringIO(), None
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            status = end.code
    print(json.dumps([int(status), printed.getvalue()]), flush=True)
"""


@pytest.fixture(scope="session")
def offline(bare_python: Path, archive: Path) -> Iterator[Callable[[list[str]], tuple[int, str]]]:
    command = [bare_python, "-I", "-c", DRIVER, archive]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={}) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(words: list[str]) -> tuple[int, str]:
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            status, printed = json.loads(process.stdout.readline())
            return status, printed

        yield ask
        process.stdin.close()


@pytest.fixture
def verify(offline: Callable[[list[str]], tuple[int, str]], tmp_path: Path) -> Verify:
    """Both programs; their answers are one."""

    def run(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
        words = ["--json", *(str(item) for item in arguments)]
        one = CliRunner().invoke(certificate_group, ["verify", *words], env={"HOME": str(tmp_path)})
        # The outermost command turns an error into its status.
        status = int(one.exception.exit_status) if isinstance(one.exception, EraserError) else one.exit_code
        assert offline(words) == (status, one.stdout)
        return status, [json.loads(line) for line in one.stdout.splitlines()]

    return run


def a_file(content: Callable[[Plant], bytes], *more: Any) -> Try:
    return lambda plant: [plant.file("presented", content(plant)), *plant.options(), *more]


def edited(steps: str, value: Any) -> Try:
    """A member of the certificate is overwritten, the signature stays."""

    def change(form: Any) -> None:
        *way, last = steps.split(".")
        for step in way:
            form = form[step]
        form[last] = value

    return a_file(lambda plant: changed(plant.document, lambda form: change(form["certificate"])))


def re_signed(plant: Plant, message: bytes, signer: Any = None) -> bytes:
    signature = base64.b64encode((signer or plant.signer).sign(message)).decode()
    return changed(plant.document, lambda form: form["signatures"][0].update(signature=signature))


def signature_changed(**values: Any) -> Try:
    return a_file(lambda plant: changed(plant.document, lambda form: form["signatures"][0].update(values)))


def claims_changed(change: Callable[[list[Any]], object]) -> Try:
    """Well signed, with other claims per rulebook than its evidence bears."""

    def forge(plant: Plant) -> bytes:
        rulebooks = to_json(certificate_of(ID_A, "A1"))["rulebooks"]
        change(rulebooks["claims"])
        return resealed(plant, rulebooks=rulebooks)

    return a_file(forge)


def claiming(place: int, **members: Any) -> Try:
    return claims_changed(lambda claims: claims[place].update(members))


def of_three_passes() -> Certificate:
    return a_certificate(a_job((Constant(b"\x00"), Constant(b"\xff"), RANDOM)))


def in_bundle(change: Callable[[Any, Plant], object], *more_log: Any) -> Try:
    return a_file(lambda plant: changed(plant.bundle([*plant.log, *more_log]), lambda form: change(form["log"], plant)))


def held(presented: Callable[[Plant], bytes], checkpoint: Callable[[Plant], bytes], *updates: Any) -> Try:
    def arguments(plant: Plant) -> Arguments:
        words = [plant.file("presented", presented(plant)), *plant.options()]
        words += ["--checkpoint", plant.file("held", checkpoint(plant))]
        for number, update in enumerate(updates):
            words += ["--update", plant.file(f"update-{number}", update(plant))]
        return words

    return arguments


def two(one: Callable[[Plant], bytes], other: Callable[[Plant], bytes]) -> Try:
    return lambda plant: [plant.file("one", one(plant)), plant.file("two", other(plant)), *plant.options()]


def spliced(old: bytes, new: bytes) -> Try:
    def content(plant: Plant) -> bytes:
        assert old in plant.document
        return plant.document.replace(old, new, 1)

    return a_file(content)


def older_keys_too(plant: Plant) -> Arguments:
    """The key's end is known from one file; an older file of the same key, without an end, does not lift it."""
    document = plant.signed(issued_at="2027-03-01T00:00:00Z")
    older = plant.file("older.pem", plant.signer.public.valid(Validity()).pem())
    return [plant.file("presented", document), "--keys", plant.keys, "--keys", older]


def rewritten(plant: Plant) -> list[Any]:
    return [*plant.log[:5], *reversed(plant.log[5:])]


def with_spare_bits(plant: Plant) -> bytes:
    """Another spelling of the very same 64 bytes."""
    text = json.loads(plant.document)["signatures"][0]["signature"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-3] + letters[letters.index(text[-3]) + 1] + "=="
    assert base64.b64decode(other) == base64.b64decode(text)
    return plant.document.replace(text.encode(), other.encode())


def genuine(plant: Plant) -> bytes:
    return plant.document


def enclosed(plant: Plant) -> bytes:
    return plant.sign(with_identity(certificate_of(ID_A, "A1"), serial_source=SerialSource.ENCLOSURE, wwn=""))


def noted(record: bytes, old: bytes, new: bytes) -> bytes:
    """A record that the log signed, with other words in it."""
    assert old in record
    return record.replace(old, new, 1)


def with_restart(
    record: Callable[[Plant], bytes], presented: Callable[[Plant], bytes] = lambda plant: plant.bundle()
) -> Try:
    def arguments(plant: Plant) -> Arguments:
        words = [plant.file("presented", presented(plant)), *plant.options()]
        return [*words, "--restart", plant.file("restart.bundle", record(plant))]

    return arguments


def at_another_place(plant: Plant) -> bytes:
    """The record of a restart is in the log, and not where the log says that it went on."""
    record = plant.restart(resumed_size=9)
    return plant.logged(record)


LATER = [withdrawal_of("c" * 32)]

FORGERIES: list[tuple[str, str, Try, str]] = [
    ("key", "signed by another key under the plant's name", a_file(
        lambda plant: re_signed(plant, b"eraser certificate v1\n" + canonical(json.loads(plant.document)["certificate"]),
                                a_signer())), "altered"),
    ("key", "well signed by a key of the forger's own", a_file(lambda _: a_document(a_signer())), "unknown-key"),
    ("key", "signed by the plant's key for another purpose", a_file(
        lambda plant: re_signed(plant, b"eraser withdrawal v1\n" + canonical(json.loads(plant.document)["certificate"]))),
     "altered"),
    ("key", "another algorithm is named", signature_changed(algorithm="none"), "unsupported"),
    ("key", "no signature at all", a_file(lambda plant: changed(plant.document, lambda form: form.update(signatures=[]))),
     "malformed"),
    ("key", "the key comes with the file", a_file(
        lambda plant: changed(plant.document, lambda form: form["signatures"][0].update(public_key="AAAA"))), "malformed"),
    ("key", "the id of a key that nobody has", signature_changed(key_id="0" * 16), "unknown-key"),
    ("key", "a signature of nothing but zeros", signature_changed(signature=base64.b64encode(bytes(64)).decode()), "altered"),
    ("time", "issued after the key's end", a_file(lambda plant: plant.signed(issued_at="2027-01-01T00:00:00Z")),
     "key-not-valid-then"),
    ("time", "issued before the key's beginning", a_file(lambda plant: plant.signed(issued_at="2025-12-31T23:59:59.999Z")),
     "key-not-valid-then"),
    ("time", "an older file of the key is given as well", older_keys_too, "key-not-valid-then"),
    ("time", "dated back by hand", edited("issued_at", "2026-02-01T00:00:00Z"), "altered"),
    ("time", "a time of another zone", a_file(lambda plant: plant.signed(issued_at="2026-11-24T15:00:00+08:00")), "malformed"),
    ("log", "withdrawn", a_file(lambda plant: plant.bundle([*plant.log, withdrawal_of(ID_A)])), "withdrawn"),
    ("log", "the withdrawal is left out", in_bundle(lambda log, _: log.update(withdrawn=[]), withdrawal_of(ID_A)), "malformed"),
    ("log", "the place of another entry", in_bundle(lambda log, _: log.update(index=4)), "not-in-log"),
    ("log", "a shortened proof", in_bundle(lambda log, _: log["inclusion"].pop()), "not-in-log"),
    ("log", "never entered", in_bundle(
        lambda log, plant: log.update(checkpoint=str(plant.note([*plant.log[:3], *plant.log[4:]])))), "not-in-log"),
    ("log", "a checkpoint by nobody we know", in_bundle(
        lambda log, plant: log.update(checkpoint=str(plant.note(signer=KeyInMemory(9))))), "unknown-log"),
    ("log", "a longer log under the old signature", in_bundle(
        lambda log, _: log.update(checkpoint=log["checkpoint"].replace("\n11\n", "\n12\n"))), "altered-checkpoint"),
    ("log", "no checkpoint", in_bundle(lambda log, _: log.update(checkpoint="eraser/hall-2\n11\n")), "malformed-checkpoint"),
    ("log", "the log's key speaks for another log", in_bundle(
        lambda log, plant: log.update(checkpoint=str(plant.note(origin="eraser/hall-3")))), "not-in-log"),
    ("log", "two logs of one length", held(
        lambda plant: plant.bundle(rewritten(plant)), lambda plant: str(plant.note()).encode()), "log-rewritten"),
    ("log", "rewritten after the checkpoint that is held", held(
        lambda plant: plant.bundle([*rewritten(plant), *LATER]), lambda plant: str(plant.note()).encode(),
        lambda plant: plant.update(11, [*rewritten(plant), *LATER])), "log-rewritten"),
    ("log", "a withdrawal is gone in the longer log", held(
        lambda plant: plant.bundle([*plant.log, plant.log[0]]),
        lambda plant: str(plant.note([*plant.log[:-1], withdrawal_of("c" * 32)])).encode()), "log-rewritten"),
    ("log", "the checkpoint held is of another log", held(
        lambda plant: plant.bundle(), lambda plant: str(plant.note(origin="eraser/hall-3")).encode()), "not-in-log"),
    ("drive", "another drive is in the hand", a_file(genuine, "--drive", "B8"), "another-drive"),
    ("drive", "one letter of the label differs", a_file(genuine, "--drive", "Al"), "another-drive"),
    ("drive", "the serial number was overwritten", edited("drive.identity.serial", "B8"), "altered"),
    ("drive", "only the enclosure's number is known", a_file(enclosed, "--drive", "A1"), "another-drive"),
    ("drive", "another certificate under the proof", a_file(
        lambda plant: changed(plant.bundle(), lambda form: form.update(document=json.loads(plant.other)))), "not-in-log"),
    ("encoding", "a member that stands twice", spliced(b'"version": 1,', b'"version": 1, "version": 1,'), "malformed"),
    ("encoding", "bytes behind the end", a_file(lambda plant: plant.document + b"{}"), "malformed"),
    ("encoding", "a byte order mark", a_file(lambda plant: b"\xef\xbb\xbf" + plant.document), "malformed"),
    ("encoding", "a whole number as a fraction", spliced(b'"version": 1,', b'"version": 1.0,'), "malformed"),
    ("encoding", "a number that readers round", spliced(b'"version": 1,', b'"version": 9007199254740993,'), "malformed"),
    ("encoding", "another spelling of the signature", a_file(with_spare_bits), "malformed"),
    ("encoding", "a serial number that shows backwards", a_file(
        lambda plant: plant.sign(with_identity(certificate_of(ID_A, "A1"), serial="\u202e1A"))), "malformed"),
    ("encoding", "a member that nobody knows", edited("remark", "all good"), "altered"),
    ("encoding", "the same, well signed", a_file(lambda plant: resealed(plant, remark="all good")), "malformed"),
    ("content", "failed, overwritten with passed", a_file(
        lambda plant: changed(plant.signed(outcome=Outcome.FAILED), lambda form: form["certificate"].update(outcome="passed"))),
     "altered"),
    ("content", "well signed, passed without a reading", a_file(lambda plant: plant.signed(final_verification=None)),
     "contradictory"),
    ("content", "well signed, of a version to come", a_file(lambda plant: resealed(plant, version=2)), "unsupported"),
    ("claim", "a rulebook claimed, the signature stays", edited("rulebooks.claims", []), "altered"),
    ("claim", "well signed, GB 46864 after one pass on a hard disk", claiming(0, holds=True, missing=[]), "unfounded-claim"),
    ("claim", "well signed, a purge by overwriting", claiming(3, holds=True, missing=[]), "unfounded-claim"),
    ("claim", "well signed, a claim in other words", claiming(1, statement="Complies with NIST SP 800-88."), "unfounded-claim"),
    ("claim", "well signed, what is missing is left out", claiming(0, missing=[]), "unfounded-claim"),
    ("claim", "well signed, a source said to be in force", claiming(0, standing="current"), "unfounded-claim"),
    ("claim", "well signed, one rulebook is not spoken of", claims_changed(lambda claims: claims.pop()), "unfounded-claim"),
    ("claim", "well signed, the claims of three passes", claims_changed(lambda claims: claims.__setitem__(
        slice(None), to_json(of_three_passes())["rulebooks"]["claims"])), "unfounded-claim"),
    ("claim", "well signed, by a reading to come", a_file(
        lambda plant: resealed(plant, rulebooks={"reading": 2, "claims": []})), "unsupported"),
    ("audit", "another verdict", a_file(lambda plant: changed(
        plant.audit(), lambda form: form["audit"]["verdict"].update(found=1))), "altered"),
    ("audit", "well signed, a verdict that does not follow", a_file(lambda plant: plant.audit(
        verdict=replace(a_record(a_plan(list(range(40)))).verdict, is_accepted=False))), "audit-record"),
    ("audit", "signed by the plant itself", a_file(lambda plant: plant.audit(plant.signer)), "unknown-key"),
    ("audit", "signed by nobody we know", a_file(lambda plant: plant.audit(a_signer())), "unknown-key"),
    ("audit", "a certificate by the auditor's key", a_file(
        lambda plant: a_document(plant.auditor, certificate_of(ID_A, "A1"))), "unknown-key"),
    ("audit", "after the end of the auditor's key", a_file(
        lambda plant: plant.audit(done_at="2027-01-01T00:00:00Z")), "key-not-valid-then"),
    ("audit", "a sample of one's own choice", a_file(lambda plant: plant.audit(
        items=a_record(a_plan(list(range(40)))).items[1:])), "audit-record"),
    ("audit", "never entered", a_file(lambda plant: plant.bundle(
        [*plant.log, entry_of_any(plant.audit())], of=plant.audit(), checkpoint=plant.note())), "not-in-log"),
    ("audit", "another audit under the proof", a_file(lambda plant: changed(plant.logged(plant.audit()), lambda form:
        form.update(document=json.loads(plant.audit(audit_id="b" * 32))))), "not-in-log"),
    ("restart", "what was lost is made less", a_file(
        lambda plant: noted(plant.restart(), b"lost 20", b"lost 12")), "altered-checkpoint"),
    ("restart", "by another log's key", a_file(lambda plant: plant.restart(signer=KeyInMemory(9))), "unknown-log"),
    ("restart", "of another log", a_file(lambda plant: plant.restart(origin="eraser/hall-3")), "malformed-checkpoint"),
    ("restart", "a line is left out", a_file(
        lambda plant: noted(plant.restart(), b"operator operator-7\n", b"")), "malformed-checkpoint"),
    ("restart", "its bundle shows another log", with_restart(lambda plant: plant.bundle(
        [*plant.log, entry_of_any(plant.restart())], of=plant.restart(), checkpoint=plant.note())), "not-in-log"),
    ("restart", "entered elsewhere than it says", with_restart(at_another_place), "not-in-log"),
    ("restart", "a certificate in its place", with_restart(lambda plant: plant.bundle()), "malformed-checkpoint"),
    ("restart", "the certificate's place was lost", with_restart(
        lambda plant: plant.logged(plant.restart()),
        lambda plant: plant.bundle([*plant.log, entry_of_any(late(plant))], of=late(plant))), "log-restarted"),
    ("removal", "fewer rows", a_file(lambda plant: noted(plant.removal(), b"jobs 3", b"jobs 2")), "altered-checkpoint"),
    ("removal", "by nobody we know", a_file(lambda plant: plant.removal(signer=KeyInMemory(9))), "unknown-log"),
    ("removal", "of another log", a_file(lambda plant: plant.removal(origin="eraser/hall-3")), "malformed-checkpoint"),
    ("removal", "without what was removed", a_file(
        lambda plant: noted(plant.removal(), b"sha256 ", b"sha265 ")), "malformed-checkpoint"),
    ("removal", "never entered", a_file(lambda plant: plant.bundle(
        [*plant.log, entry_of_any(plant.removal())], of=plant.removal(), checkpoint=plant.note())), "not-in-log"),
    ("replay", "presented for a second drive", a_file(lambda plant: plant.bundle(), "--drive", "C3"), "another-drive"),
    ("replay", "the signature of another certificate", a_file(
        lambda plant: changed(plant.document, lambda form: form.update(signatures=json.loads(plant.other)["signatures"]))),
     "altered"),
    ("replay", "a second certificate of one job", two(
        genuine, lambda plant: plant.sign(certificate_of("d" * 32, "A1", job_id=ID_A[::-1]))), "duplicate"),
    ("replay", "a second certificate under one id", two(genuine, lambda plant: plant.signed(job_id="d" * 32)), "duplicate"),
    ("replay", "a bundle of before the withdrawal", held(
        lambda plant: plant.bundle(), lambda plant: str(plant.note([*plant.log, withdrawal_of(ID_A)])).encode()), "withdrawn"),
]  # fmt: skip


def late(plant: Plant) -> bytes:
    """A certificate that got entry 11, where the log went on with another one."""
    return plant.sign(certificate_of("f" * 32, "A1"))


def resealed(plant: Plant, **members: Any) -> bytes:
    """A with these members, well signed."""
    from eraser.certificates.envelope import seal

    return seal(to_json(certificate_of(ID_A, "A1")) | members, plant.signer)


@pytest.mark.parametrize(("attempt", "code"), [pytest.param(*row[2:], id=f"{row[0]}: {row[1]}") for row in FORGERIES])
def test_each_forgery_is_refused_by_its_own_name(plant: Plant, verify: Verify, attempt: Try, code: str) -> None:
    status, answers = verify(*attempt(plant))
    assert {item["result"] for item in answers} == {code}
    assert status == FORGERY.get(code, 4)
    assert all(item["outcome"] is None and item["serial"] is None for item in answers)


def test_the_list_has_three_of_each_class_and_many_in_all() -> None:
    counts = Counter(row[0] for row in FORGERIES)
    assert len(FORGERIES) >= 40
    assert min(counts.values()) >= 3, counts
    assert {"key", "time", "log", "drive", "encoding", "claim", "audit", "restart", "removal", "replay"} <= set(counts)
    assert len({row[:2] for row in FORGERIES}) == len(FORGERIES)


def test_a_certificate_beside_its_withdrawal_is_withdrawn(plant: Plant, verify: Verify) -> None:
    files = [
        plant.file("a", plant.bundle()),
        plant.file("b", plant.other),
        plant.file("a.withdrawal", plant.withdrawal()),
    ]
    status, answers = verify(*files, *plant.options())
    assert (status, [item["result"] for item in answers]) == (4, ["withdrawn", "genuine", "genuine"])
    assert answers[2]["certificate_id"] == ID_A
    assert answers[2]["withdraws"]["reason"] == "the wrong label"


FALSE_WITHDRAWALS: dict[str, tuple[Callable[[Plant], bytes], str]] = {
    "by a key that nobody trusts": (lambda plant: plant.withdrawal(signer=a_signer()), "unknown-key"),
    "altered": (lambda plant: plant.withdrawal(plant.other).replace(ID_B.encode(), ID_A.encode()), "altered"),
    "signed as a certificate": (lambda plant: plant.document.replace(b'"certificate"', b'"withdrawal"', 1), "altered"),
    "after the key's end": (lambda plant: plant.withdrawal(withdrawn_at="2027-02-01T00:00:00Z"), "key-not-valid-then"),
    "without a reason": (lambda plant: plant.withdrawal(reason=" "), "malformed"),
    "with something more": (lambda plant: changed(plant.withdrawal(), lambda form: form.update(more=1)), "malformed"),
    "of another content under the same id": (lambda plant: plant.withdrawal(certificate_digest=bytes(32)), "genuine"),
}  # fmt: skip


@pytest.mark.parametrize("name", FALSE_WITHDRAWALS)
def test_a_false_withdrawal_takes_nothing_back(plant: Plant, verify: Verify, name: str) -> None:
    forge, code = FALSE_WITHDRAWALS[name]
    _, answers = verify(plant.file("a", plant.document), plant.file("b", forge(plant)), *plant.options())
    assert [item["result"] for item in answers] == ["genuine", code]


def test_what_is_genuine_is_called_so_by_both(plant: Plant, verify: Verify) -> None:
    certificate, bundle = plant.file("a.json", plant.document), plant.file("a.bundle", plant.bundle())
    other = plant.file("b.json", plant.other)
    status, answers = verify(certificate, bundle, other, *plant.options())
    assert (status, [item["result"] for item in answers]) == (0, ["genuine"] * 3)
    assert [item["serial"] for item in answers] == ["A1", "A1", "B8"]
    assert answers[1]["log"] == {"origin": ORIGIN, "size": 11, "witnesses": []}


@pytest.mark.parametrize("name", ["A1", " A1 ", "5000c500000000a1"])
def test_the_drive_in_the_hand_is_known_by_each_of_its_own_names(plant: Plant, verify: Verify, name: str) -> None:
    status, _ = verify(plant.file("a.json", plant.document), *plant.options(), "--drive", name)
    assert status == 0


def growth(plant: Plant, verify: Verify, log: Any, checkpoint: Any, *updates: bytes) -> dict[str, Any]:
    attempt = held(
        lambda plant: plant.bundle(log),
        lambda plant: str(plant.note(checkpoint)).encode(),
        *(lambda _, update=update: update for update in updates),
    )
    status, (answer,) = verify(*attempt(plant))
    assert (status, answer["result"]) == (0, "genuine"), answer
    return answer["held"]


def test_a_checkpoint_held_and_a_bundles_are_of_one_history_when_that_is_shown(plant: Plant, verify: Verify) -> None:
    longer = [*plant.log, *LATER]
    longest = [*longer, plant.log[0]]
    same = growth(plant, verify, plant.log, plant.log)
    assert same == {"size": 11, "history": "consistent", "not_withdrawn_as_of": 11}
    newer = growth(plant, verify, plant.log, longer, plant.update(11, longer))
    assert newer == {"size": 12, "history": "consistent", "not_withdrawn_as_of": 11}
    older = growth(plant, verify, longer, plant.log, plant.update(11, longer))
    assert older == {"size": 11, "history": "consistent", "not_withdrawn_as_of": 12}
    both = growth(plant, verify, plant.log, longer, plant.update(11, longest), plant.update(12, longest))
    assert both["history"] == "consistent"


def test_where_nothing_leads_from_one_to_the_other_nothing_is_said(plant: Plant, verify: Verify) -> None:
    longer = [*plant.log, plant.log[0]]
    assert growth(plant, verify, plant.log, longer) == {"size": 12, "history": "not-shown", "not_withdrawn_as_of": 12}
    elsewhere = growth(plant, verify, plant.log, longer, plant.update(5, longer))
    assert elsewhere["history"] == "not-shown"
    only_one = growth(plant, verify, longer, plant.log[:5], plant.update(5, plant.log[:9]))
    assert only_one["history"] == "not-shown"


def test_a_plain_certificate_beside_a_checkpoint_is_told_to_prove_nothing(plant: Plant, verify: Verify) -> None:
    _, (answer,) = verify(*held(genuine, lambda plant: str(plant.note()).encode())(plant))
    assert (answer["result"], answer["log"], answer["held"]) == ("genuine", None, None)


@pytest.mark.parametrize(
    "options",
    [
        ["--checkpoint", "plant.log.key"],
        ["--checkpoint", "missing"],
        ["--log-key", "plant.pem"],
        ["--keys", "missing"],
        ["--keys", "plant.log.key"],
    ],
)
def test_what_is_given_as_something_that_it_is_not_is_wrong_usage(
    plant: Plant, verify: Verify, options: list[str]
) -> None:
    words = [word if word.startswith("--") else plant.folder / word for word in options]
    assert verify(plant.file("a.json", plant.document), *plant.options(), *words) == (2, [])


def test_in_one_file_it_checks_the_certificate_in_a_pdf_and_says_that_it_saw_no_page(
    plant: Plant, offline: Callable[[list[str]], tuple[int, str]]
) -> None:
    """The forged ones: `test_forged_pdfs.py`."""
    plant.file("plant.pem", plant.signer.public.pem() + public_pem(a_pdf_signer().public))
    pdf = plant.file("page.pdf", a_pdf_signer()(a_renderer()(plant.bundle(), Language.CHINESE)))
    status, printed = offline(["--json", str(pdf), *map(str, plant.options())])
    answer = json.loads(printed)
    assert (status, answer["result"], answer["outcome"]) == (5, "page-not-checked", None)
    pdf.write_bytes(
        a_pdf_signer()(a_renderer()(plant.document.replace(b"operator-7", b"operator-8"), Language.CHINESE))
    )
    status, printed = offline(["--json", str(pdf), *map(str, plant.options())])
    assert (status, json.loads(printed)["result"]) == (4, "altered")


def test_it_runs_as_a_command_of_its_own(plant: Plant, bare_python: Path, archive: Path) -> None:
    def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
        command = [bare_python, "-I", archive, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env={}, check=False)

    good, bad = (
        plant.file("good", plant.bundle()),
        plant.file("bad", plant.document.replace(b"operator-7", b"operator-8")),
    )
    said = run(good, *plant.options())
    assert (said.returncode, said.stderr) == (0, "")
    assert "genuine, signed by key" in said.stdout
    assert "log not witnessed" in said.stdout
    said = run(bad, good, *plant.options())
    assert said.returncode == 4
    assert "NOT VERIFIED (altered)" in said.stdout.splitlines()[0]
    assert run().returncode == 2


def test_the_same_sources_make_the_same_file(archive: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.pyz"
    subprocess.run([sys.executable, ROOT / "ops" / "build-verifier.py", again], check=True, cwd="/")
    assert again.read_bytes() == archive.read_bytes()


def test_without_cryptography_it_says_what_it_needs(archive: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=False, symlinks=True)
    command = [tmp_path / "empty" / "bin" / "python", "-I", archive, "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install cryptography" in done.stderr
    shutil.rmtree(tmp_path / "empty")
