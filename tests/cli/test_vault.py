"""`eraser vault` and `eraser receipt`, as they are typed at a station."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eraser.cli.receipt import receipt_group
from eraser.cli.vault import vault_group
from eraser.errors import UsageError
from eraser.ledger.engine import sqlite_url
from eraser.privacy.errors import VaultDestroyedError
from tests.cli.command import Command, assert_one_clear_sentence
from tests.privacy.builders import a_plant

WANG = {"name": "王小明", "phone": "+86 138 1234 5678"}
SECRETS = [*WANG.values(), "138 1234"]


class Station:
    """Its folder; every word that its commands said is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        a_plant(sqlite_url(folder / "ledger.db"), folder)
        self.said = ""

    def __call__(self, group: Any, *words: object, stdin: str = "") -> Result:
        done = CliRunner().invoke(
            group,
            [*(str(word) for word in words), "--data", str(self.folder)],
            input=stdin,
            env={"SUDO_USER": "li", "ERASER_CONFIG": "", "COLUMNS": "200"},
        )
        self.said += f"{done.output}{done.exception!r}"
        return done

    def vault(self, *words: object, stdin: str = "") -> Result:
        return self(vault_group, *words, stdin=stdin)

    def add(self, *words: object) -> str:
        done = self.vault("add", "lot-1", "--details", "-", *words, stdin=json.dumps(WANG))
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.vault("log", "--json").stdout.splitlines()]


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


def test_a_customers_way_through_the_vault(station: Station) -> None:
    record = station.add("--serial", "S1")
    assert "lot lot-1, drive S1, version 1" in station.vault("list").stdout
    assert json.loads(station.vault("show", record, "--reason", "called back", "--json").stdout)["name"] == "王小明"
    changed = station.vault(
        "change", record, "--details", "-", "--reason", "typo", stdin=json.dumps({"name": "王晓明"})
    )
    assert "version 2" in changed.stdout
    assert record in station.vault("find", "--reason", "complaint", stdin="晓明\n").stdout
    exported = json.loads(station.vault("export", record, "--reason", "asked for it").stdout)
    assert [item["details"]["name"] for item in exported["records"][0]["versions"]] == ["王小明", "王晓明"]
    erased = station.vault("erase", record, "--reason", "asked for it")
    assert (erased.exit_code, f"record {record} of lot lot-1" in erased.stdout) == (0, True)
    assert isinstance(station.vault("show", record, "--reason", "x").exception, VaultDestroyedError)
    assert [(item["operator"], item["action"]) for item in station.log()] == [
        ("li", "added"),
        ("li", "retention"),
        ("li", "read"),
        ("li", "changed"),
        ("li", "searched"),
        ("li", "exported"),
        ("li", "erasing"),
        ("li", "erased"),
    ]


def test_what_commands_say_in_passing_names_nobody(station: Station) -> None:
    record = station.add()
    for words in (
        ("list",),
        ("log",),
        ("log", "--json"),
        ("keys", "list"),
        ("show", record, "--reason", "王小明"),
        ("add", "lot-1", "--details", "-"),
        ("keep", "lot-1", "--until", "2020-01-01T00:00:00Z", "--reason", "test"),
        ("expire", "--dry-run"),
        ("expire",),
        ("show", record, "--reason", "x"),
    ):
        station.vault(*words, stdin=json.dumps(WANG))
    assert "lot lot-1, kept until 2020-01-01T00:00:00Z: destroyed" in station.said
    assert [secret for secret in SECRETS if secret in station.said] == []


@pytest.mark.parametrize("command", ["show", "export", "erase", "change"])
def test_without_a_reason_nothing_is_given(station: Station, command: str) -> None:
    record = station.add()
    done = station.vault(command, record)
    assert (done.exit_code, "--reason" in done.output) == (2, True)
    assert isinstance(station.vault(command, record, "--reason", " ", stdin="{}").exception, UsageError)


def test_an_export_into_a_file_is_for_us_alone_and_replaces_nothing(station: Station, tmp_path: Path) -> None:
    record = station.add()
    words = ("export", record, "--reason", "asked for it", "--to", tmp_path / "wang.json")
    assert station.vault(*words).exit_code == 0
    assert (tmp_path / "wang.json").stat().st_mode & 0o777 == 0o600
    assert isinstance(station.vault(*words).exception, UsageError)


def test_a_receipt_is_printed_with_its_code_and_picture(station: Station, tmp_path: Path) -> None:
    record = station.add()
    words = ("print", record, "--drive", "S1", "--reason", "hand-in")
    form = json.loads(station(receipt_group, *words, "--json").stdout)
    assert form["details"]["phone"] == WANG["phone"]
    page = station(receipt_group, *words, "--svg", tmp_path / "code.svg").stdout
    assert (form["code"] in page, "█" in page) == (True, True)
    assert (tmp_path / "code.svg").read_bytes().startswith(b"<?xml")
    assert isinstance(station(receipt_group, "print", record, "--reason", "x").exception, UsageError)


def test_keys_are_backed_up_put_back_and_taken_out_of_backups(station: Station, tmp_path: Path) -> None:
    record = station.add()
    code = station.vault("keys", "backup", tmp_path / "keys.json").stdout
    shutil.rmtree(tmp_path / "vault")
    restored = station.vault("keys", "restore", tmp_path / "keys.json", "--reason", "disk died", stdin=code)
    assert "2 keys were put back" in restored.stdout
    assert station.vault("show", record, "--reason", "x").exit_code == 0
    assert station.vault("check").stdout == "1 records: all can be opened.\n"
    (tmp_path / "keys.json").rename(tmp_path / "away")
    done = station.vault("erase", record, "--reason", "asked for it")
    assert (done.exit_code, "may still hold destroyed keys" in done.stderr) == (4, True)
    listed = station.vault("keys", "list").stdout
    assert "MAY STILL HOLD destroyed keys of lot-1" in listed
    (tmp_path / "away").rename(tmp_path / "keys.json")
    assert station.vault("expire").exit_code == 0
    assert "MAY STILL HOLD" not in station.vault("keys", "list").stdout


def test_a_backup_of_the_ledger_has_no_key_and_is_worth_nothing_after_the_end(station: Station, tmp_path: Path) -> None:
    record = station.add()
    with sqlite3.connect(tmp_path / "ledger.db") as source, sqlite3.connect(tmp_path / "backup.db") as target:
        source.backup(target)
    keys = [path.read_bytes() for path in (tmp_path / "vault").rglob("*.key")]
    content = (tmp_path / "backup.db").read_bytes()
    assert all(json.loads(key)["wrapped"].encode() not in content for key in keys if key.startswith(b"{"))
    assert [secret for secret in SECRETS if secret.encode() in content] == []
    station.vault("erase", record, "--reason", "asked for it")
    for path in tmp_path.glob("ledger.db*"):
        path.unlink()
    (tmp_path / "backup.db").rename(tmp_path / "ledger.db")
    done = station.vault("show", record, "--reason", "curious")
    assert isinstance(done.exception, VaultDestroyedError)


def test_nobody_is_asked_where_nobody_is(eraser: Command, tmp_path: Path) -> None:
    Station(tmp_path / "data" / "eraser")
    assert_one_clear_sentence(eraser("vault", "add", "lot-1"))
    assert_one_clear_sentence(eraser("vault", "list", "--data", tmp_path / "nowhere"), status=4)
