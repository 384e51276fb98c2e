from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledger.conftest import new_postgresql, postgresql, postgresql_server, sqlite, url  # noqa: F401
from tests.privacy.builders import Plant, a_plant


@pytest.fixture
def plant(url: str, tmp_path: Path) -> Plant:  # noqa: F811
    """On SQLite and on PostgreSQL in turn."""
    return a_plant(url, tmp_path)


@pytest.fixture
def small_plant(sqlite: str, tmp_path: Path) -> Plant:  # noqa: F811
    """On SQLite alone, where the database makes no difference."""
    return a_plant(sqlite, tmp_path)
