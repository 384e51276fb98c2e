"""Hands that change what must not be changed, with the database's own guards off."""

from sqlalchemy import Connection, text

from eraser.ledger.engine import open_engine, writing


def run(url: str, *statements: str) -> None:
    """As anybody would; raises what the database raises."""
    engine = open_engine(url)
    try:
        with writing(engine) as connection, connection.begin():
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()


def tamper(url: str, *statements: str, **values: object) -> None:
    """As somebody who owns the database and takes its triggers and foreign keys away first."""
    engine = open_engine(url)
    try:
        with writing(engine) as connection, connection.begin():
            _unguard(connection)
            for statement in statements:
                connection.execute(text(statement), values)
    finally:
        engine.dispose()


def _unguard(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        return
    connection.execute(text("PRAGMA defer_foreign_keys = ON"))
    triggers = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
    for trigger in triggers:
        connection.execute(text(f"DROP TRIGGER {trigger}"))
