from __future__ import annotations

import pytest

from eraser.engine import _native
from tests.cli.command import Command, assert_one_clear_sentence


def test_json_gives_rates_of_the_path_in_use_and_of_every_path(eraser: Command) -> None:
    result = eraser("bench", "--json", "--seconds", "0.3").lines[0]
    assert set(result) == {"aes-256-ctr", "blake3", "paths"}
    assert set(result["aes-256-ctr"]) == {"path", "generate", "compare"}
    assert set(result["blake3"]) == {"path", "hash"}
    assert set(result["paths"]["aes-256-ctr"]) == set(_native.pattern_paths())
    assert set(result["paths"]["blake3"]) == set(_native.blake3_paths())
    assert result["aes-256-ctr"]["path"] == _native.pattern_path()
    assert result["blake3"]["path"] == _native.blake3_path()
    rates = [rate for paths in result["paths"].values() for values in paths.values() for rate in values.values()]
    assert min(rates) > 0


def test_people_see_every_path_and_which_one_is_in_use(eraser: Command) -> None:
    text = eraser("bench", "--seconds", "0.3").stdout
    assert all(path in text for path in (*_native.pattern_paths(), *_native.blake3_paths()))
    assert f"* {_native.pattern_path()}" in text


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--seconds", "soon"], ["--seconds", "nan"], ["more"]])
def test_bad_arguments_give_one_clear_sentence(eraser: Command, arguments: list[str]) -> None:
    assert_one_clear_sentence(eraser("bench", *arguments))
