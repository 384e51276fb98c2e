"""An installed station brings its database up to date by itself, once, whoever starts first."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from eraser.ledger.engine import open_engine
from eraser.ledger.migrating import configuration, migrate, require_current, revision
from eraser.ledger.schema import HEAD, metadata


def test_the_migrations_make_what_the_code_expects(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        found = inspect(connection)
        for table in metadata.tables.values():
            assert found.get_pk_constraint(table.name)["constrained_columns"] == [key.name for key in table.primary_key]
            assert {index["name"] for index in found.get_indexes(table.name)} >= {item.name for item in table.indexes}
    engine.dispose()


def test_the_newest_migration_is_the_one_that_the_code_expects() -> None:
    assert ScriptDirectory.from_config(configuration()).get_current_head() == HEAD


def test_the_migrations_are_in_the_installed_package() -> None:
    names = [item.name for item in (resources.files("eraser.ledger") / "migrations" / "versions").iterdir()]
    assert "r0001_first.py" in names


def test_migrating_again_changes_nothing(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    migrate(engine)
    require_current(engine)
    with engine.connect() as connection:
        assert revision(connection) == HEAD
    engine.dispose()


def test_stations_that_start_at_once_migrate_once(url: str) -> None:
    engines = [open_engine(url) for _ in range(4)]
    with ThreadPoolExecutor(len(engines)) as pool:
        list(pool.map(migrate, engines))
    for engine in engines:
        require_current(engine)
        engine.dispose()


def test_a_database_that_is_up_to_date_costs_no_import_of_the_migrations_tool(sqlite: str) -> None:
    engine = open_engine(sqlite)
    migrate(engine)
    engine.dispose()
    code = (
        "import sys; from eraser.ledger.engine import open_engine; from eraser.ledger.migrating import migrate; "
        f"migrate(open_engine({sqlite!r})); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd="/", check=True)


def test_the_file_journal_needs_no_database() -> None:
    code = "import sys, eraser.ledger.journal; sys.exit(bool({'sqlalchemy', 'alembic', 'msgspec'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], cwd="/", check=True)
