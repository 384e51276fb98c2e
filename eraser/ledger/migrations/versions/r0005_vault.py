"""The vault: customers' details and receipts' keys, sealed under keys that are in no database, and who looked at them.

Revision 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_APPEND_ONLY = {
    "vault_records": ("record_id", "version"),
    "vault_receipts": ("record_id", "drive"),
    "vault_log": ("number",),
}
"""Tables and their keys."""

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From the revision before."""
    op.create_table(
        "vault_records",
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("lot_id", sa.Text, nullable=False),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("asset_tag", sa.Text, nullable=False),
        sa.Column("key_store", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("vault_records_lot_id", "vault_records", ["lot_id"])
    op.create_table(
        "vault_receipts",
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("drive", sa.Text, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "vault_log",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("lot_id", sa.Text, nullable=False),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    for column in ("lot_id", "record_id", "action"):
        op.create_index(f"vault_log_{column}", "vault_log", [column])
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
