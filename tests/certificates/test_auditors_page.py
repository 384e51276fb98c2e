"""What docs/auditors.md tells people to type shows what it says: with bash, jq and OpenSSL, nothing of ours."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eraser.certificates.validity import Validity
from eraser.domain.log_entry import LogEntry
from eraser.log.note import Note
from tests.certificates.plant import Plant, changed, withdrawal_of
from tests.log.keys import KeyInMemory

PAGE = Path(__file__).resolve().parents[2] / "docs" / "auditors.md"
COMMANDS = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))

# Says which line did not hold.
TOLD = """trap 'echo "stopped at: $BASH_COMMAND" >&2' ERR"""

pytestmark = pytest.mark.lab("jq", "openssl", "basenc")


Try = Callable[["Visit", Plant], dict[str, bytes]]


class Visit:
    """What an auditor has brought along and was given."""

    def __init__(self, plant: Plant, held: int, size: int) -> None:
        self.plant = plant
        extra = [replace(plant.log[0], subject=f"{number:032x}") for number in range(20, 20 + max(0, size - 11))]
        self.log = [*plant.log, *extra][:size]
        self.bundle = plant.bundle(self.log)
        self.held = str(plant.note(self.log[:held])).encode()
        self.update = plant.update(held, self.log)
        self.key = plant.signer.public.pem()

    def check(self) -> subprocess.CompletedProcess[str]:
        files = {"BUNDLE": self.bundle, "HELD": self.held, "UPDATE": self.update, "KEY": self.key}
        environment = {name: str(self.plant.file(f"given-{name}", content)) for name, content in files.items()}
        environment |= {"LOG_KEY": str(self.plant.log_key_file), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        work = self.plant.folder / "work"
        work.mkdir()
        command = ["bash", "-Eeuo", "pipefail", "-c", f"{TOLD}\n{COMMANDS}"]
        return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("held", "size"), [(1, 11), (4, 4), (5, 13), (7, 11), (8, 16), (10, 11), (11, 23)])
def test_the_pages_commands_accept_what_is_genuine(tmp_path: Path, held: int, size: int) -> None:
    done = Visit(Plant(tmp_path), held, size).check()
    assert done.returncode == 0, done.stderr
    assert "A1 (drive) WWN 5000c500000000a1" in done.stdout
    assert done.stdout.count("Signature Verified Successfully") == 3


def in_log(**members: Any) -> Try:
    return lambda visit, plant: {"bundle": changed(visit.bundle, lambda form: form["log"].update(members))}


def key_signs(since: str, until: str) -> Try:
    return lambda visit, plant: {"key": plant.signer.public.valid(Validity(since, until)).pem()}


def under(checkpoint: Callable[[Visit, Plant], Note]) -> Try:
    return lambda visit, plant: {"bundle": plant.bundle(visit.log, checkpoint=checkpoint(visit, plant))}


def with_withdrawal(visit: Visit) -> list[LogEntry]:
    return [*visit.log[:-1], withdrawal_of("a" * 32)]


FORGERIES: dict[str, tuple[Try, str]] = {
    "altered": (lambda visit, plant: {"bundle": visit.bundle.replace(b"operator-7", b"operator-8")}, '-inkey "$KEY"'),
    "another plant's key": (lambda visit, plant: {"key": KeyInMemory(3).pem()}, '-inkey "$KEY"'),
    "after the key's end": (key_signs("", "2026-02-01T00:00:00Z"), '-lt "$(seconds "$until")"'),
    "before its beginning": (key_signs("2026-12-01T00:00:00Z", ""), '-ge "$(seconds "$from")"'),
    "another log": (under(lambda visit, plant: plant.note(visit.log, signer=KeyInMemory(9))), "-inkey log-key.der"),
    "another log's name": (under(lambda visit, plant: plant.note(visit.log, origin="x")), '"$name" = '),
    "another root": (under(lambda visit, plant: plant.note(visit.log[::-1])), '"$hash" = "$root"'),
    "another place": (in_log(index=4), '"$hash" = "$root"'),
    "a place outside": (in_log(index=14), '"$place" -lt "$size"'),
    "no proof": (in_log(inclusion=[]), '"$last" = 0'),
    "withdrawn": (lambda visit, plant: {"bundle": plant.bundle(with_withdrawal(visit))}, "grep -Fxc"),
    "hidden withdrawal": (
        lambda visit, plant: {
            "bundle": changed(plant.bundle(with_withdrawal(visit)), lambda form: form["log"].update(withdrawn=[]))
        },
        '"withdrawn $(wc',
    ),
    "another history": (
        lambda visit, plant: {"held": str(plant.note(visit.log[4:])).encode()},
        '"$one" = "$earlier_root"',
    ),
    "another proof": (lambda visit, plant: {"update": plant.update(7, visit.log[::-1])}, '"$one" = "$earlier_root"'),
    "a proof from elsewhere": (lambda visit, plant: {"update": plant.update(6, visit.log)}, '"old $earlier"'),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_the_pages_commands_stop_where_something_does_not_hold(tmp_path: Path, name: str) -> None:
    plant = Plant(tmp_path)
    visit = Visit(plant, 7, 11)
    attempt, step = FORGERIES[name]
    for part, content in attempt(visit, plant).items():
        assert content != getattr(visit, part)
        setattr(visit, part, content)
    done = visit.check()
    assert done.returncode != 0
    assert step in done.stderr.partition("stopped at: ")[2], done.stderr
