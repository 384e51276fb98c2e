"""The transparency log: its entries, the tree's kept hashes, signed checkpoints.

Revision 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_APPEND_ONLY = {"log_entries": ("number",), "log_hashes": ("row", "number"), "log_checkpoints": ("number",)}
"""Tables and their keys."""

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From 0002."""
    op.create_table(
        "log_entries",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
    )
    op.create_index("log_entries_subject", "log_entries", ["subject"])
    op.create_index("log_entries_kind", "log_entries", ["kind"], sqlite_where=sa.text("kind <> 'certificate'"))
    op.create_table(
        "log_hashes",
        sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    for table, key in _APPEND_ONLY.items():
        if op.get_bind().dialect.name == "postgresql":
            _refuse_changes_on_postgresql(table)
        else:
            _refuse_changes_on_sqlite(table, key)


def _refuse_changes_on_sqlite(table: str, key: tuple[str, ...]) -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    # INSERT OR REPLACE deletes without waking the trigger above.
    same = " AND ".join(f"{column} = NEW.{column}" for column in key)
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only and has this row'); END"
    )


def _refuse_changes_on_postgresql(table: str) -> None:
    # The function is revision 0001's.
    for name, what in (("change", "UPDATE OR DELETE"), ("truncate", "TRUNCATE")):
        each = "ROW" if name == "change" else "STATEMENT"
        op.execute(
            f"CREATE TRIGGER {table}_no_{name} BEFORE {what} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION eraser_refuse_change()"
        )
