from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from eraser.cli.drives import drives_command
from eraser.domain.drive import Condition, Drive, Geometry, SerialSource, Transport
from eraser.drives import discovery, guard
from tests.certificates.builders import a_drive
from tests.cli.command import Command, assert_one_clear_sentence
from tests.lab import held_open, loop_drive, mounted


@contextmanager
def standing(drives: dict[Drive, tuple[guard.Use, ...]]) -> Iterator[None]:
    """A machine with these drives and what uses them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discovery, "list_drives", lambda: list(drives))
        patch.setattr(guard, "uses", lambda drive: drives[drive])
        yield


def listed(*arguments: str) -> str:
    done = CliRunner().invoke(drives_command, list(arguments), env={"COLUMNS": "80"}, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def use(reason: guard.UseReason, what: str) -> guard.Use:
    return guard.Use(reason, what, "do something")


def test_a_drive_that_nothing_uses_is_free() -> None:
    with standing({a_drive(): ()}):
        form = json.loads(listed("--json"))
    assert (form["path"], form["state"], form["obstacles"]) == ("/dev/sdx", "free", [])
    assert (form["serial"], form["serial_source"], form["wwn"]) == ("ZX00 1B8/2", "drive", "5000c500a1b2c3d4")
    assert (form["capacity_bytes"], form["physical_sector_bytes"]) == (20_000_588_955_648, 4096)


@pytest.mark.parametrize(
    ("conditions", "reasons", "state"),
    [
        ((), (guard.UseReason.MOUNTED,), "in use"),
        ((), (guard.UseReason.MOUNTED, guard.UseReason.UNKNOWN_USE), "in use"),
        ((), (guard.UseReason.UNKNOWN_USE,), "unknown"),
        ((Condition.SECURITY_LOCKED,), (), "unfit"),
        ((Condition.SECURITY_LOCKED,), (guard.UseReason.UNKNOWN_USE,), "unfit"),
        ((Condition.READ_ONLY,), (guard.UseReason.SYSTEM_DISK,), "in use"),
    ],
)
def test_the_state_is_free_only_when_nothing_stands_in_the_way(
    conditions: tuple[Condition, ...], reasons: tuple[guard.UseReason, ...], state: str
) -> None:
    with standing({a_drive(conditions=conditions): tuple(use(reason, "because") for reason in reasons)}):
        form = json.loads(listed("--json"))
    assert form["state"] == state
    told = {item["reason"] for item in form["obstacles"]}
    assert told == {item.value for item in (*conditions, *reasons)}


def test_the_table_keeps_to_80_columns_and_says_why_a_drive_is_not_free() -> None:
    busy = a_drive(path="/dev/nvme0n1", transport=Transport.NVME)
    with standing({busy: (use(guard.UseReason.MOUNTED, "it is mounted at /srv/" + "x" * 90),), a_drive(): ()}):
        text = listed()
    assert max(map(len, text.splitlines())) <= 80
    assert "mounted" in text
    assert "20.0 TB" in text


def test_an_enclosures_serial_and_hidden_sectors_are_marked() -> None:
    drive = a_drive(geometry=Geometry(10**12, 512, 4096, 2 * 10**12, ("hpa",)))
    drive = replace(drive, identity=replace(drive.identity, serial_source=SerialSource.ENCLOSURE))
    with standing({drive: ()}):
        words = " ".join(listed().split())
        form = json.loads(listed("--json"))
    assert "enclosure's" in words
    assert "HPA" in words
    assert (form["hidden_bytes"], form["hidden_areas"]) == (10**12, ["hpa"])


def test_nothing_from_outside_steers_the_terminal_or_marks_up_the_table() -> None:
    with standing({a_drive(): (use(guard.UseReason.OPEN, "it is opened by \x1b[31mevil\x07 [red]x[/]"),)}):
        text = listed()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]" in text


def test_drives_come_in_the_order_in_which_the_kernel_names_them() -> None:
    paths = ["/dev/sdaa", "/dev/sdb", "/dev/loop10", "/dev/loop2", "/dev/sda"]
    with standing({a_drive(path=path): () for path in paths}):
        forms = [json.loads(line) for line in listed("--json").splitlines()]
    assert [form["path"] for form in forms] == ["/dev/loop2", "/dev/loop10", "/dev/sda", "/dev/sdb", "/dev/sdaa"]


def test_no_drive_at_all_is_said() -> None:
    with standing({}):
        assert "no drive" in listed()


@pytest.mark.lab("root", "loop")
def test_real_drives_are_shown_as_they_are(eraser: Command) -> None:
    with (
        loop_drive(1 << 20) as free,
        loop_drive(8 << 20) as used,
        loop_drive(1 << 20) as opened,
        mounted(used.device),
        held_open(opened.device),
    ):
        forms = {form["path"]: form for form in eraser("drives", "--json").lines}
        paths = [str(drive.device) for drive in (free, used, opened)]

    def told(path: str) -> Any:
        form = forms[path]
        return form["state"], [item["reason"] for item in form["obstacles"]][:1], form["capacity_bytes"]

    assert [told(path) for path in paths] == [
        ("free", [], 1 << 20),
        ("in use", ["mounted"], 8 << 20),
        ("in use", ["open"], 1 << 20),
    ]


@pytest.mark.parametrize("arguments", [["sda"], ["--jason"], ["--json=yes"]])
def test_bad_arguments_give_one_clear_sentence(eraser: Command, arguments: list[str]) -> None:
    assert_one_clear_sentence(eraser("drives", *arguments))
