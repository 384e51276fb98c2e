"""The machine's sockets, one drive after the other; each test's drives are out again when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.drives import Sockets
from tests.guest.monitor import Monitor
from tests.rack.command import CommandLine

USED = Path("/run/eraser-guest-images")
"""As many bytes as images were given out since the machine was started."""
IMAGES_PER_TEST = 4


@pytest.fixture(scope="session")
def monitor() -> Iterator[Monitor]:
    with Monitor() as monitor:
        yield monitor


@pytest.fixture
def sockets(monitor: Monitor) -> Iterator[Sockets]:
    USED.touch()
    first_image = USED.stat().st_size
    with USED.open("ab") as used:
        used.write(bytes(IMAGES_PER_TEST))
    sockets = Sockets(monitor, first_image)
    yield sockets
    sockets.empty()


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    """The installed command, with a station of its own."""
    return CommandLine(tmp_path)
