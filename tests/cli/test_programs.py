from __future__ import annotations

from pathlib import Path

import pytest

from eraser.domain.catalogue import PROGRAMS, STANDARDS
from tests.cli.command import Command, assert_one_clear_sentence

CUSTOM = """
name = "shop-3"
note = "for the shop"
[[pass]]
pattern = "92 49 24"
[[pass]]
pattern = "random-byte"
reverse = true
[[pass]]
pattern = "complement of 2"
verify = true
"""


def test_the_list_names_every_program_and_standard_in_80_columns(eraser: Command) -> None:
    done = eraser("programs")
    assert done.status == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    listed = {line.split()[0] for line in done.stdout.splitlines() if line[:1].isalpha()}
    assert {item.name for item in (*PROGRAMS, *STANDARDS)} <= listed


def test_json_gives_one_object_a_program_and_a_standard(eraser: Command) -> None:
    forms = eraser("programs", "--json").lines
    programs = {form["name"]: form for form in forms if form["kind"] == "program"}
    assert list(programs) == [item.name for item in PROGRAMS]
    assert [form["name"] for form in forms if form["kind"] == "standard"] == [item.name for item in STANDARDS]
    vsitr = programs["vsitr"]
    assert [item["data"] for item in vsitr["passes"]] == ["00", "ff", "00", "ff", "00", "ff", "aa"]
    assert (vsitr["bytes_written_per_byte"], vsitr["standing"]) == (7, "withdrawn")


@pytest.mark.parametrize(("verification", "hours"), [("none", 1.0), ("sampled", 1.1), ("full", 2.0)])
def test_hours_follow_from_size_speed_and_verification(eraser: Command, verification: str, hours: float) -> None:
    done = eraser("programs", "zero", "--json", "--size", "3.6TB", "--speed", "1GB/s", "--verify", verification)
    assert done.lines[0]["estimate"]["hours"] == hours


def test_hours_count_what_the_source_asks_to_be_read_back(eraser: Command) -> None:
    cost = eraser("programs", "dod", "--json", "--verify", "none").lines[0]["estimate"]
    assert (cost["verification"], cost["bytes_read"]) == ("full", cost["size_bytes"])


def test_a_name_shows_the_one_program_with_its_passes_and_note(eraser: Command) -> None:
    text = eraser("programs", "Schneier 7").stdout
    assert "schneier-7" in text
    assert "FF 00 5xR" in text
    assert "Note" in text
    assert "gutmann" not in text


def test_a_standard_shows_how_it_chooses_among_its_programs(eraser: Command) -> None:
    text = eraser("programs", "gb-46864-2025").stdout
    assert "Chooses" in text
    assert "gb-46864-2025-magnetic" in text
    assert "gb-46864-2025-semiconductor" in text


def test_a_program_of_ones_own_is_shown_like_any_other(eraser: Command, tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(CUSTOM)
    assert "924924 r< ~2v" in eraser("programs", "--program-file", file).stdout
    form = eraser("programs", "--program-file", file, "--json").lines[0]
    assert [item["pattern"] for item in form["passes"]] == ["constant", "random-byte", "complement-of"]
    assert form["least_verification"] == "full"


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-program"],
        ["dodd"],
        ["zero", "one"],
        ["--size", "many"],
        ["--size", "0"],
        ["--size"],
        ["--speed", "200Mb/s"],
        ["--verify", "twice"],
        ["--program-file", "/nonexistent"],
        ["--program-file", "/"],
        ["zero", "--program-file", "/dev/null"],
        ["--program-file", "/dev/null"],
        ["--nonsense"],
        [""],
    ],
)
def test_bad_arguments_give_one_clear_sentence(eraser: Command, arguments: list[str]) -> None:
    assert_one_clear_sentence(eraser("programs", *arguments))


def test_a_program_file_that_is_no_text_gives_one_clear_sentence(eraser: Command, tmp_path: Path) -> None:
    file = tmp_path / "program.toml"
    file.write_bytes(b"name = '\xff'")
    assert_one_clear_sentence(eraser("programs", "--program-file", file))
