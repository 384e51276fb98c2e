"""`eraser account`, run as people run it, at a served station."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Command, Done, assert_one_clear_sentence
from tests.console.running import letting_in


class At:
    def __init__(self, eraser: Command, socket: Path) -> None:
        self._eraser = eraser
        self._socket = str(socket)

    def __call__(self, *arguments: object) -> Done:
        return self._eraser("account", *arguments, ERASER_HTTP__SOCKET=self._socket)

    def done(self, *arguments: object) -> Done:
        done = self(*arguments)
        assert done.status == 0, done.stderr
        return done


@pytest.fixture
def at(eraser: Command, tmp_path: Path) -> Iterator[At]:
    with letting_in(tmp_path) as plant:
        yield At(eraser, plant.socket)


def test_accounts_are_made_changed_disabled_and_listed(at: At) -> None:
    (made,) = at.done("add", "Boss", "--role", "administrator", "--json").lines
    assert made["link"].startswith("/set-up?link=")
    at.done("add", "Anna", "--role", "operator", "--role", "clerk", "--language", "zh-CN")
    assert "Anna: auditor" in at.done("change", "Anna", "--role", "auditor").stdout
    assert at.done("disable", "Anna").stdout == "Anna: disabled\n"
    listed = at.done("list", "--json").lines
    assert [(form["name"], form["roles"], form["is_disabled"]) for form in listed] == [
        ("Anna", ["auditor"], True),
        ("Boss", ["administrator"], False),
    ]
    at.done("enable", "Anna")
    assert "/set-up?link=" in at.done("reset", "Anna").stdout
    done = [deed["action"] for deed in at.done("trail", "--json").lines]
    assert done[:2] == ["add-account (administrator)", "add-account (operator, clerk)"]


def test_tokens_are_made_listed_and_ended(at: At) -> None:
    (made,) = at.done("token", "add", "erp", "--scope", "view-rack", "--json").lines
    assert "/wall-screen?token=" in at.done("token", "add", "hall 2", "--wall").stdout
    assert made["token"] not in at.done("token", "list").stdout
    at.done("token", "end", made["token_id"])
    ended = {form["label"]: form["is_ended"] for form in at.done("token", "list", "--json").lines}
    assert ended == {"erp": True, "hall 2": False}


def test_what_cannot_be_is_one_clear_sentence(at: At) -> None:
    at.done("add", "Boss", "--role", "administrator")
    assert_one_clear_sentence(at("add", "Boss", "--role", "operator"), 3)
    assert_one_clear_sentence(at("disable", "Boss"), 3)
    assert_one_clear_sentence(at("disable", "Nobody"), 2)
    assert_one_clear_sentence(at("add", "Anna"), 2)
    assert_one_clear_sentence(at("token", "add", "erp"), 2)
    assert_one_clear_sentence(at("token", "end", "nothing"), 2)
