from __future__ import annotations

import subprocess

import pytest

from tests.cli.command import Command, assert_one_clear_sentence


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_calls_the_command_back(eraser: Command, shell: str) -> None:
    done = eraser("completion", shell)
    assert done.status == 0
    assert f"_ERASER_COMPLETE={shell}_complete" in done.stdout


def test_bash_takes_the_script(eraser: Command) -> None:
    script = eraser("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_command_completes_its_own_names(eraser: Command) -> None:
    done = eraser(COMP_WORDS="eraser pro", COMP_CWORD="1", _ERASER_COMPLETE="bash_complete")
    assert "programs" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_bad_arguments_give_one_clear_sentence(eraser: Command, arguments: list[str]) -> None:
    assert_one_clear_sentence(eraser("completion", *arguments))
