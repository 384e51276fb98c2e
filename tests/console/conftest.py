from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.people import Plant, a_plant, hash_cheaply
from tests.ledger.conftest import new_postgresql, postgresql, postgresql_server  # noqa: F401


@pytest.fixture
async def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plant]:
    """A station on which nobody has an account yet."""
    hash_cheaply(monkeypatch)
    async with a_plant(tmp_path) as found:
        yield found


@pytest.fixture
async def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plant]:
    """A simulated one."""
    hash_cheaply(monkeypatch)
    async with a_plant(tmp_path, is_demo=True) as found:
        yield found
