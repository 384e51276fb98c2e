"""Bringing a database to the revision that this program reads and writes; refusing one that is ahead of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from eraser.errors import JournalError
from eraser.ledger.engine import explained, place, writing
from eraser.ledger.errors import LedgerError
from eraser.ledger.schema import HEAD

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 0x657261736572  # "eraser": two stations that start at once migrate one after the other


def migrate(engine: Engine) -> None:
    """Makes the tables, or brings them up to date, all or nothing. Blocks.

    Raises JournalError, having changed nothing, for a database that is newer than this program, someone else's, corrupt or
    read-only.
    """
    try:
        with writing(engine) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            if (found := revision(connection)) != HEAD:
                _upgrade(connection, found, place(engine))
    except SQLAlchemyError as error:
        raise explained(error, engine) from error


def require_current(engine: Engine) -> None:
    """Raises JournalError unless the database is there and at this program's revision; changes nothing."""
    found = None
    # Connecting to a SQLite file makes it.
    if engine.dialect.name != "sqlite" or Path(place(engine)).exists():
        try:
            with engine.connect() as connection:
                found = revision(connection)
        except SQLAlchemyError as error:
            raise explained(error, engine) from error
    if found is None:
        raise LedgerError("there is no ledger", subject=place(engine), remedy="`eraser serve` makes it.")
    if found != HEAD:
        _refuse_newer(found, place(engine))
        raise LedgerError(
            f"the ledger is at revision {found}, this program reads {HEAD}",
            subject=place(engine),
            remedy="Start `eraser serve` once: it brings the ledger up to date.",
        )


def revision(connection: Connection) -> str | None:
    """Of the database; None for one without any table of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def _upgrade(connection: Connection, found: str | None, subject: str) -> None:
    from alembic import command

    if found is not None:
        _refuse_newer(found, subject)
    elif inspect(connection).get_table_names():
        raise LedgerError(
            "the database holds tables that are not the ledger's", subject=subject, remedy="Give the ledger its own."
        )
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_newer(found: str, subject: str) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()}
    if found not in known:
        raise JournalError(
            f"the ledger was written by a newer version of Eraser (revision {found}; this one knows {HEAD})",
            subject=subject,
            remedy="Install that version again, or restore the backup made before it.",
        )


def configuration() -> "Config":
    """Alembic's, pointing into the installed package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "eraser.ledger:migrations")
    config.set_main_option("path_separator", "os")
    return config
