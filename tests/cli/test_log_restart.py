"""What auditors and witnesses see of a log that was restarted, and what the station says of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from eraser.cli.ledger import ledger_group
from eraser.cli.log import log_group
from eraser.errors import ExitStatus, UsageError
from tests.cli.test_log import Desk, entry_of


class RestoredDesk(Desk):
    """Its ledger is one from a backup that has the first certificate and lacks the second, of which a bundle was given away."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.lines = "[station]\nid = 'hall-2'\n"
        (home / "eraser.toml").write_text(f"data = '{self.data}'\n{self.lines}")
        self.publish(entry_of(self.certificates[0]))
        with closing(sqlite3.connect(self.data / "ledger.db")) as connection:
            connection.execute("INSERT INTO stations VALUES ('hall-2', 1, 0.0)")
            connection.commit()
        self.kept_bundle = self.moved(self.bundle(0), "kept.bundle")
        backup = home / "backup"
        shutil.copy(self.data / "ledger.db", backup)  # it is at rest
        self.publish(entry_of(self.certificates[1]))
        self.lost_bundle = self.moved(self.bundle(1), "lost.bundle")
        self.before = self.moved(self.data / "log" / "checkpoint", "held", copy=True)
        self.key = self.moved(self.data / "log" / "key", "log.key", copy=True)
        self.update = home / "update"
        self.update.write_text(self.run(log_group, "update", "--from", 0).stdout)
        for suffix in ("-wal", "-shm"):
            (self.data / f"ledger.db{suffix}").unlink(missing_ok=True)
        shutil.copy(backup, self.data / "ledger.db")
        (self.data / "certificates").mkdir()
        shutil.copy(self.certificates[1], self.data / "certificates")

    def moved(self, path: Path, name: str, copy: bool = False) -> Path:
        target = self.home / name
        shutil.copy(path, target) if copy else path.rename(target)
        return target

    def run(self, group, *arguments: object) -> Result:
        from click.testing import CliRunner

        environ = {"XDG_DATA_HOME": str(self.home), "ERASER_CONFIG": str(self.home / "eraser.toml")}
        return CliRunner().invoke(group, [str(item) for item in arguments], env=environ)

    def restart(self) -> Path:
        done = self.run(log_group, "restart", "--reason", "the disk died", "--operator", "operator-7")
        assert done.exit_code == 0, (done.output, done.exception)
        [record] = (self.data / "log" / "restarts").iterdir()
        return record

    def bundled(self, record: Path) -> Path:
        done = self.run(log_group, "bundle", record.name, "--to", self.home)
        assert done.exit_code == 0, (done.output, done.exception)
        return self.home / f"{record.name}.bundle"


@pytest.fixture
def desk(tmp_path: Path) -> RestoredDesk:
    (tmp_path / "eraser").mkdir()
    return RestoredDesk(tmp_path)


def test_the_command_says_what_is_lost_and_which_certificates_the_ledger_lacks(desk: RestoredDesk) -> None:
    done = desk.run(log_group, "restart", "--reason", "the disk died", "--operator", "operator-7")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "entries 1 to 1 were lost (by operator-7: the disk died)" in done.output
    assert f"certificate {1:032x}" in done.output
    assert desk.run(log_group, "restart", "--reason", "again", "--operator", "x").exit_code != 0


def test_a_certificate_of_the_part_that_is_lost_is_named_so(desk: RestoredDesk) -> None:
    record = desk.bundled(desk.restart())
    answer = desk.verify(desk.lost_bundle, "--log-key", desk.key, "--restart", record)
    found = json.loads(answer.stdout)
    assert (found["result"], answer.exit_code) == ("log-restarted", ExitStatus.FAILED)
    assert "it stood in the log as entry 1" in found["message"]
    answer = desk.verify(desk.kept_bundle, "--log-key", desk.key, "--restart", record)
    assert json.loads(answer.stdout)["result"] == "genuine"


def test_a_checkpoint_from_before_a_restart_is_not_called_consistent(desk: RestoredDesk) -> None:
    record = desk.bundled(desk.restart())
    desk.publish(entry_of(desk.certificates[1]))
    new = desk.bundle(1)
    told = ["--log-key", desk.key, "--checkpoint", desk.before]
    answer = json.loads(desk.verify(new, *told).stdout)
    assert answer["held"]["history"] == "not-shown"
    answer = json.loads(desk.verify(new, *told, "--restart", record).stdout)
    assert answer["result"] == "log-restarted"
    assert "before and after" in answer["message"]


def test_without_the_record_a_restart_is_a_rewriting(desk: RestoredDesk) -> None:
    desk.restart()
    new = desk.bundle(0)
    answer = json.loads(desk.verify(new, "--log-key", desk.key, "--checkpoint", desk.before).stdout)
    assert answer["result"] == "log-rewritten"
    assert "--restart" in answer["message"]


def test_a_record_that_another_key_signed_is_refused(desk: RestoredDesk) -> None:
    record = desk.bundled(desk.restart())
    record.write_bytes(record.read_bytes().replace(b"lost 2", b"lost 3"))
    answer = json.loads(desk.verify(desk.lost_bundle, "--log-key", desk.key, "--restart", record).stdout)
    assert answer["result"] == "altered-checkpoint"


def test_a_record_that_the_log_does_not_show_excuses_nothing(desk: RestoredDesk) -> None:
    record = desk.restart()
    answer = desk.verify(desk.lost_bundle, "--log-key", desk.key, "--restart", record)
    assert isinstance(answer.exception, UsageError) and "whether the log has the record" in str(answer.exception)
    bundle = desk.bundled(record)
    form = json.loads(bundle.read_text())
    form["log"]["index"] = 0
    bundle.write_text(json.dumps(form))
    answer = json.loads(desk.verify(desk.lost_bundle, "--log-key", desk.key, "--restart", bundle).stdout)
    assert answer["result"] == "not-in-log"


def test_the_record_itself_is_checked_like_any_document(desk: RestoredDesk) -> None:
    record = desk.restart()
    for file, is_logged in ((record, False), (desk.bundled(record), True)):
        answer = json.loads(desk.verify(file, "--log-key", desk.key).stdout)
        assert (answer["result"], answer["restart"]["lost"], answer["restart"]["resumed"]) == ("genuine", 2, 1)
        assert (answer["log"] is not None) is is_logged
    forged = desk.home / "forged"
    forged.write_bytes(record.read_bytes().replace(b"lost 2", b"lost 3"))
    assert json.loads(desk.verify(forged, "--log-key", desk.key).stdout)["result"] == "altered-checkpoint"
    assert json.loads(desk.verify(record).stdout)["result"] == "unknown-log"


def test_a_certificate_that_was_lost_is_taken_in_again_once(desk: RestoredDesk) -> None:
    lost = desk.data / "certificates" / desk.certificates[1].name
    refused = desk.run(log_group, "readmit", lost)
    assert refused.exit_code == ExitStatus.FAILED  # before the restart the log is not whole
    desk.restart()
    done = desk.run(log_group, "readmit", lost)
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"Certificate {1:032x}" in done.output
    assert desk.run(log_group, "readmit", lost).exit_code == ExitStatus.REFUSED
    desk.publish()
    assert json.loads(desk.verify(desk.bundle(1), "--log-key", desk.key).stdout)["result"] == "genuine"


def test_a_witness_asks_for_the_record_and_tells_of_the_gap(desk: RestoredDesk) -> None:
    options = ["--log-key", desk.key, "--name", "city.example", "--state", desk.home / "witness"]
    assert desk.run(log_group, "witness", desk.update, *options).exit_code == 0
    record = desk.restart()
    early = desk.bundled(record).rename(desk.home / "early.bundle")
    desk.publish(entry_of(desk.certificates[1]))
    later = desk.home / "later"
    later.write_text(desk.run(log_group, "update", "--from", 1).stdout)
    done = desk.run(log_group, "witness", later, *options)
    assert done.exit_code != 0
    assert "known are 2" in str(done.exception)
    done = desk.run(log_group, "witness", later, *options, "--restart", early)
    assert "in the log of 2 entries, the update is of 3" in str(done.exception)
    done = desk.run(log_group, "witness", later, *options, "--restart", desk.bundled(record))
    assert done.exit_code == 0, done.output
    assert "log-restarted: the log was restarted" in done.stderr


def test_a_restore_says_that_nothing_will_be_signed_and_why(desk: RestoredDesk) -> None:
    backup = desk.home / "made"
    done = desk.run(ledger_group, "backup", backup)
    assert done.exit_code != 0  # made by hand, it holds no certificates: the log and the ledger differ
    (desk.data / "ledger.db").unlink()
    _make_empty(desk)
    done = desk.run(ledger_group, "backup", backup)
    assert done.exit_code == 0, (done.output, done.exception)
    (desk.data / "ledger.db").unlink()
    done = desk.run(ledger_group, "restore", backup)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "NOTHING WILL BE SIGNED" in done.output
    assert f"certificate {1:032x}" in done.output


def test_a_backup_whose_log_another_key_signed_is_another_stations(desk: RestoredDesk, tmp_path: Path) -> None:
    (desk.data / "ledger.db").unlink()
    _make_empty(desk)
    keys = desk.data / "keys" / "log"
    keys.rename(tmp_path / "away")
    shutil.rmtree(desk.data / "log")
    desk.publish()
    assert desk.run(ledger_group, "backup", tmp_path / "made").exit_code == 0
    shutil.rmtree(keys)
    (tmp_path / "away").rename(keys)
    (desk.data / "ledger.db").unlink()
    done = desk.run(ledger_group, "restore", tmp_path / "made")
    assert "never had" in str(done.exception)
    assert not (desk.data / "ledger.db").exists()


def _make_empty(desk: RestoredDesk) -> None:
    from eraser.ledger.engine import open_engine, sqlite_url
    from eraser.ledger.migrating import migrate

    engine = open_engine(sqlite_url(desk.data / "ledger.db"))
    migrate(engine)
    engine.dispose()
