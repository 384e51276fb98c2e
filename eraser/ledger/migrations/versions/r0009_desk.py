"""What the console's desk looks things up in: an index over issued certificates, and specifications of jobs.

Revision 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BY_BYTES = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """From 0003."""
    op.create_table(
        "certificate_index",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("certificate_id", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", sa.Text, nullable=False),
        sa.Column("finished_at", sa.Text, nullable=False),
        sa.Column("serial", _BY_BYTES, nullable=False),
        sa.Column("is_serial_own", sa.Boolean, nullable=False),
        sa.Column("world_wide_name", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("lot_id", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("standard", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("verification", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("capacity_bytes", sa.BigInteger, nullable=False),
        sa.Column("bytes_done", sa.BigInteger, nullable=False),
        sa.Column("busy_seconds", sa.Float, nullable=False),
        sa.Column("withdrawn", sa.BigInteger),
    )
    op.create_index("certificate_index_id", "certificate_index", ["certificate_id"], unique=True)
    for column in ("serial", "world_wide_name", "lot_id", "outcome", "issued_at", "finished_at"):
        op.create_index(f"certificate_index_{column}", "certificate_index", [column, "number"])
    op.create_table(
        "specifications",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("serial", _BY_BYTES, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("after", sa.BigInteger, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("specifications_reference", "specifications", ["reference"])
    op.create_index("specifications_serial", "specifications", ["serial"])
    for table in ("specifications",):
        if op.get_bind().dialect.name == "postgresql":
            _refuse_changes_on_postgresql(table)
        else:
            _refuse_changes_on_sqlite(table)


def _refuse_changes_on_sqlite(table: str) -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    # INSERT OR REPLACE deletes without waking the trigger above.
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE number = NEW.number) "
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
