"""A station's log as an auditor gets it: a bundle, the log's key, and a witness."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eraser.certificates.envelope import unseal
from eraser.certificates.issuing import issue
from eraser.certificates.keys import open_signer
from eraser.certificates.log_keys import StationLogKeys
from eraser.cli.certificate import certificate_group
from eraser.cli.log import log_group
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.errors import ExitStatus, Refused
from eraser.ledger import log
from eraser.ledger.engine import sqlite_url
from eraser.ledger.store import open_store
from eraser.log.errors import RewrittenLogError
from eraser.rack.ledger_health import LedgerHealth
from eraser.rack.log_keeping import LogFolder, LogKeeper
from eraser.settings import keys_dir
from tests.certificates.builders import a_certificate, a_job_with_everything
from tests.ledger.tampering import tamper


class Desk:
    """A station's folder with two certificates, of which its log has the first `logged`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "eraser"
        signer = open_signer(keys_dir({"XDG_DATA_HOME": str(home)}))
        self.certificates = [
            issue(
                a_certificate(a_job_with_everything(), certificate_id=f"{number:032x}"),
                signer,
                home / f"issued-{number}",
            )
            for number in range(2)
        ]

    def run(self, group, *arguments: object) -> Result:
        environ = {"XDG_DATA_HOME": str(self.home), "HOME": str(self.home)}
        return CliRunner().invoke(group, [str(item) for item in arguments], env=environ)

    def publish(self, *entries: LogEntry) -> None:
        asyncio.run(self._publish(entries))

    async def _publish(self, entries: tuple[LogEntry, ...]) -> None:
        store = await open_store(sqlite_url(self.data / "ledger.db"))
        if entries:
            await store.write(lambda connection: log.append(connection, entries))
        keys = StationLogKeys(self.data / "keys" / "log", "eraser/hall-2")
        health = LedgerHealth()
        now = "2027-01-01T00:00:00.000Z"
        keeper = LogKeeper(store, "eraser/hall-2", keys, LogFolder(self.data / "log"), lambda: now, health)
        await keeper.look()
        assert health.log_problem == ""
        await store.close()

    def bundle(self, number: int = 0) -> Path:
        made = self.run(log_group, "bundle", self.certificates[number], "--to", self.home)
        assert made.exit_code == 0, made.output
        return Path(made.stdout.strip())

    def verify(self, path: Path, *options: object) -> Result:
        return self.run(certificate_group, "verify", "--json", path, *options)


def entry_of(path: Path, kind: EntryKind = EntryKind.CERTIFICATE) -> LogEntry:
    from hashlib import sha256

    envelope = unseal(path.read_bytes())
    return LogEntry(kind, envelope.form["certificate_id"], sha256(envelope.signed_bytes).digest())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "eraser").mkdir()
    desk = Desk(tmp_path)
    desk.publish(entry_of(desk.certificates[0]))
    return desk


def test_a_bundle_is_verified_with_two_public_keys_and_nothing_else(desk: Desk, tmp_path: Path) -> None:
    key = tmp_path / "log.key"
    key.write_text(desk.run(log_group, "key").stdout)
    public = tmp_path / "station.pem"
    public.write_text(desk.run(certificate_group, "key").stdout)
    bundle = desk.bundle()
    for folder in ("eraser/ledger.db", "eraser/log", "eraser/keys"):
        (tmp_path / folder).rename(tmp_path / f"{Path(folder).name}-away")
    answer = desk.verify(bundle, "--keys", public, "--log-key", key)
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert found["result"] == "genuine"
    assert found["log"] == {"origin": "eraser/hall-2", "size": 1, "witnesses": []}


def test_a_pdf_of_a_bundle_carries_its_place_in_the_log(desk: Desk, tmp_path: Path) -> None:
    key = tmp_path / "log.key"
    key.write_text(desk.run(log_group, "key").stdout)
    made = desk.run(certificate_group, "pdf", desk.bundle(), "--out", tmp_path / "page.pdf")
    assert made.exit_code == 0, made.output
    answer = json.loads(desk.verify(tmp_path / "page.pdf", "--log-key", key).stdout)
    assert (answer["result"], answer["log"]["size"], answer["pdf"]["redrawn"]) == ("genuine", 1, True)


def test_a_log_that_no_witness_saw_is_called_so(desk: Desk) -> None:
    said = desk.run(certificate_group, "verify", desk.bundle(), "--log-key", desk.data / "log" / "key").stdout
    assert "log not witnessed" in said


def test_a_witness_of_another_host_is_named(desk: Desk, tmp_path: Path) -> None:
    desk.publish(*(LogEntry(EntryKind.CERTIFICATE, f"x{number}", bytes(32)) for number in range(9)))
    signed = tmp_path / "signed"
    for earlier in (0, 10):
        update = tmp_path / "update"
        update.write_text(desk.run(log_group, "update", "--from", earlier).stdout)
        options = ["--log-key", desk.data / "log" / "key", "--name", "city.example", "--state", tmp_path / "witness"]
        done = desk.run(log_group, "witness", update, *options)
        assert done.exit_code == 0, done.output
        signed.write_text(done.stdout)
        desk.publish(LogEntry(EntryKind.CERTIFICATE, "later", bytes(32)))
    witness_key = done.stderr.split()[-1]
    made = desk.run(log_group, "bundle", desk.certificates[0], "--to", tmp_path, "--as-of", signed)
    answer = desk.verify(made.stdout.strip(), "--log-key", desk.data / "log" / "key", "--witness-key", witness_key)
    assert [item["name"] for item in json.loads(answer.stdout)["log"]["witnesses"]] == ["city.example"]
    assert json.loads(answer.stdout)["log"]["size"] == 10 + 1


def test_a_certificate_that_the_log_lacks_gets_no_bundle(desk: Desk) -> None:
    made = desk.run(log_group, "bundle", desk.certificates[1])
    assert made.exception is not None
    assert "does not have it" in str(made.exception)


def test_a_withdrawn_certificate_is_not_believed(desk: Desk) -> None:
    desk.publish(entry_of(desk.certificates[0], EntryKind.WITHDRAWAL))
    answer = desk.verify(desk.bundle(), "--log-key", desk.data / "log" / "key")
    assert json.loads(answer.stdout)["result"] == "withdrawn"
    assert answer.exit_code == ExitStatus.FAILED


FORGERIES = {
    "another place in the log": (lambda form: form["log"].update(index=1), "not-in-log"),
    "another proof": (lambda form: form["log"].update(inclusion=["A" * 43 + "="]), "not-in-log"),
    "a withdrawal is hidden": (lambda form: form["log"].update(withdrawn=[]), "malformed"),
    "a longer log": (
        lambda form: form["log"].update(checkpoint=form["log"]["checkpoint"].replace("\n2\n", "\n3\n")),
        "altered-checkpoint",
    ),
    "another log's name": (
        lambda form: form["log"].update(checkpoint=form["log"]["checkpoint"].replace("hall-2\n", "hall-3\n", 1)),
        "altered-checkpoint",
    ),
    "no checkpoint": (lambda form: form["log"].update(checkpoint="text\n"), "malformed-checkpoint"),
    "another certificate": (lambda form: form["document"]["certificate"].update(certificate_id="1" * 32), "not-in-log"),
    "one more member": (lambda form: form.update(more=1), "malformed"),
    "no proof": (lambda form: form["log"].pop("inclusion"), "malformed"),
    "a number that is none": (lambda form: form["log"].update(index=True), "malformed"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_bundle_that_was_tampered_with_is_refused_by_name(desk: Desk, name: str) -> None:
    desk.publish(LogEntry(EntryKind.WITHDRAWAL, "c9", bytes(32)))
    change, code = FORGERIES[name]
    bundle = desk.bundle()
    form = json.loads(bundle.read_text())
    change(form)
    bundle.write_text(json.dumps(form))
    answer = desk.verify(bundle, "--log-key", desk.data / "log" / "key")
    assert json.loads(answer.stdout)["result"] == code
    assert answer.exit_code == ExitStatus.FAILED


def test_a_log_whose_key_was_not_given_is_unknown(desk: Desk) -> None:
    answer = desk.verify(desk.bundle())
    assert (answer.exit_code, json.loads(answer.stdout)["result"]) == (ExitStatus.UNKNOWN_KEY, "unknown-log")


def test_without_a_log_the_commands_say_what_to_do(tmp_path: Path) -> None:
    for arguments in (["key"], ["checkpoint"], ["update", "--from", "0"]):
        done = CliRunner().invoke(log_group, arguments, env={"XDG_DATA_HOME": str(tmp_path)})
        assert "eraser serve" in str(done.exception)


# ---- another key


class Change:
    """A log whose key is changed after one entry, and a witness who was there before."""

    def __init__(self, home: Path) -> None:
        self.desk = Desk(home)
        self.home = home
        self.desk.publish(entry_of(self.desk.certificates[0]))
        self.old_bundle = self.bundle("before")
        self.old_key = self.key("old.key")
        assert self.witness(self.old_key).exit_code == 0

    def key(self, name: str) -> Path:
        path = self.home / name
        path.write_text(self.desk.run(log_group, "key").stdout)
        return path

    def bundle(self, name: str) -> Path:
        return self.desk.bundle().rename(self.home / f"{name}.bundle")

    def ordered(self, order: str) -> Result:
        return self.desk.run(log_group, "key", order)

    def witness(self, *keys: Path, earlier: int = 0) -> Result:
        update = self.home / "update"
        update.write_text(self.desk.run(log_group, "update", "--from", earlier).stdout)
        options = [option for key in keys for option in ("--log-key", key)]
        return self.desk.run(
            log_group, "witness", update, *options, "--name", "w.example", "--state", self.home / "witness"
        )

    def result(self, bundle: Path, key: Path) -> str:
        return str(json.loads(self.desk.verify(bundle, "--log-key", key).stdout)["result"])

    def grow(self, number: int) -> None:
        self.desk.publish(LogEntry(EntryKind.CERTIFICATE, f"{number:032x}", bytes(32)))

    def signatures(self) -> int:
        return self.desk.run(log_group, "checkpoint").stdout.count("\u2014 eraser/hall-2 ")


def reason(result: Result) -> str:
    assert isinstance(result.exception, Refused), result.output
    return result.exception.reason


def test_while_the_key_is_changed_both_sign_and_afterwards_the_new_one_alone(tmp_path: Path) -> None:
    change = Change(tmp_path)
    assert reason(change.ordered("retire")) == "no-change"
    assert change.ordered("rotate").exit_code == 0
    assert reason(change.ordered("retire")) == "not-published"  # nobody can know yet
    assert change.signatures() == 1
    change.grow(7)
    assert change.signatures() == 2
    assert reason(change.ordered("rotate")) == "under-way"
    during = change.bundle("during")
    assert change.ordered("retire").exit_code == 0
    change.grow(8)
    assert change.signatures() == 1
    new_key = change.key("new.key")
    assert new_key.read_text().count("Signs-") == 2
    after = change.bundle("after")
    for bundle in (change.old_bundle, during, after):
        assert change.result(bundle, new_key) == "genuine"
    assert change.result(during, change.old_key) == "genuine"
    assert change.result(after, change.old_key) == "unknown-log"


def test_a_checkpoint_by_a_key_out_of_its_time_has_its_own_answer(tmp_path: Path) -> None:
    change = Change(tmp_path)
    keys = tmp_path / "eraser" / "keys" / "log"
    stolen = (keys / "log.key").read_bytes()
    change.ordered("rotate")
    change.grow(7)
    change.ordered("retire")
    change.grow(8)
    new_key = change.key("new.key")
    (keys / "log.key").write_bytes(stolen)
    (keys / "keys").unlink()
    change.desk.data.joinpath("log", "checkpoint").unlink()
    tamper(sqlite_url(change.desk.data / "ledger.db"), "DELETE FROM log_checkpoints")
    change.grow(9)
    assert change.result(change.desk.bundle(), new_key) == "log-key-not-valid-then"


def test_a_witness_follows_by_a_checkpoint_that_both_have_signed_and_by_no_other(tmp_path: Path) -> None:
    change = Change(tmp_path)
    change.ordered("rotate")
    change.grow(7)
    both = change.key("both.key")
    assert change.witness(both, earlier=1).exit_code == 0
    change.ordered("retire")
    change.grow(8)
    assert change.witness(change.key("new.key"), earlier=2).exit_code == 0


def test_a_witness_who_missed_the_change_does_not_sign(tmp_path: Path) -> None:
    change = Change(tmp_path)
    change.ordered("rotate")
    change.grow(7)
    change.ordered("retire")
    change.grow(8)
    refused = change.witness(change.key("new.key"), earlier=1)
    assert isinstance(refused.exception, RewrittenLogError)
    assert "signed by both" in str(refused.exception)


@pytest.mark.parametrize("step", ["private half", "public list", "end of the old one"])
def test_after_a_crash_in_the_change_the_order_is_given_again(tmp_path: Path, step: str) -> None:
    change = Change(tmp_path)
    keys = tmp_path / "eraser" / "keys" / "log"
    if step == "private half":
        open_signer(keys, "next.key")
        change.grow(6)
        assert change.signatures() == 1  # nothing is signed with it yet
    assert change.ordered("rotate").exit_code == 0
    change.grow(7)
    if step == "end of the old one":
        saved = (keys / "log.key").read_bytes(), (keys / "next.key").read_bytes()
        assert change.ordered("retire").exit_code == 0
        for name, content in zip(("log.key", "next.key"), saved, strict=True):
            (keys / name).write_bytes(content)
            (keys / name).chmod(0o600)
        change.grow(8)
        assert change.signatures() == 1
    assert change.ordered("retire").exit_code == 0
    change.grow(9)
    assert change.signatures() == 1
    assert change.result(change.desk.bundle(), change.key("new.key")) == "genuine"
    assert sorted(path.name for path in keys.glob("*.key")) == ["log.key"]
