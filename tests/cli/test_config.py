from __future__ import annotations

from pathlib import Path

from tests.cli.command import Command


def test_the_example_that_is_printed_is_good(eraser: Command, tmp_path: Path) -> None:
    example = eraser("config", "example")
    assert example.status == 0
    path = tmp_path / "eraser.toml"
    path.write_text(example.stdout)
    checked = eraser("config", "check", path)
    assert (checked.status, checked.stderr) == (0, "")
    assert checked.stdout == f"{path}: good: 5 bays, listens on 127.0.0.1:8080\n"


def test_every_error_is_a_line_with_its_place_and_the_status_is_that_of_wrong_usage(
    eraser: Command, tmp_path: Path
) -> None:
    path = tmp_path / "eraser.toml"
    path.write_text('data = "x"\n[http]\nlisen = ":80"\n')
    checked = eraser("config", "check", ERASER_CONFIG=str(path))
    assert (checked.status, checked.stdout) == (2, "")
    first, second = checked.stderr.splitlines()
    assert first.startswith(f"{path}:1: data: the path is not absolute.")
    assert second == f"{path}:3: http.lisen: there is no such setting. Did you mean `listen`?"


def test_a_configuration_that_is_not_there_is_wrong_usage(eraser: Command, tmp_path: Path) -> None:
    checked = eraser("config", "check", tmp_path / "missing.toml")
    assert checked.status == 2
    assert "No such file" in checked.stderr
    assert "Traceback" not in checked.stderr
