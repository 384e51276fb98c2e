"""Removing what has expired: records of removals, and triggers that let go only what is named there and old enough.

Revision 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_YEARS = 3
"""Whatever the configuration says, the database lets nothing younger go, by its own clock."""

_REMOVABLE = {
    "job_events": ("jobs", "job_id", True),
    "certificates": ("jobs", "job_id", False),
    "custody": ("custody", "number", True),
    "asset_tags": ("asset_tags", "number", True),
    "lots": ("lots", "lot_id", True),
    "lot_openings": ("lots", "lot_id", True),
}
"""Tables; by which rows of `expiring` theirs are named, by which column, and whether they tell their own time."""


def upgrade() -> None:
    """From the revision before."""
    op.create_table(
        "removals",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "expiring",
        sa.Column("relation", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
    )
    if op.get_bind().dialect.name == "postgresql":
        _on_postgresql()
    else:
        _on_sqlite()


def _on_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER removals_no_{verb.lower()} BEFORE {verb} ON removals "
            "BEGIN SELECT RAISE(ABORT, 'removals is append-only'); END"
        )
    op.execute(
        "CREATE TRIGGER removals_no_replace BEFORE INSERT ON removals "
        "WHEN EXISTS (SELECT 1 FROM removals WHERE number = NEW.number OR name = NEW.name) "
        "BEGIN SELECT RAISE(ABORT, 'removals is append-only and has this row'); END"
    )
    limit = f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{_YEARS} years')"
    for table, (relation, key, has_time) in _REMOVABLE.items():
        young = f"OLD.at >= {limit}"
        if not has_time:
            young = f"EXISTS (SELECT 1 FROM job_events WHERE job_id = OLD.job_id AND at >= {limit})"
        named = f"SELECT 1 FROM expiring WHERE relation = '{relation}' AND key = CAST(OLD.{key} AS TEXT)"
        op.execute(f"DROP TRIGGER {table}_no_delete")
        op.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN {young} OR NOT EXISTS ({named}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _on_postgresql() -> None:
    for name, what, each in (("change", "UPDATE OR DELETE", "ROW"), ("truncate", "TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER removals_no_{name} BEFORE {what} ON removals "
            f"FOR EACH {each} EXECUTE FUNCTION eraser_refuse_change()"
        )
    limit = f"to_char((now() AT TIME ZONE 'UTC') - interval '{_YEARS} years', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    op.execute(
        "CREATE FUNCTION eraser_refuse_early_removal() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"DECLARE old_row jsonb := to_jsonb(OLD); earliest text := {limit}; "
        "BEGIN "
        "IF EXISTS (SELECT 1 FROM expiring WHERE relation = TG_ARGV[0] AND key = old_row ->> TG_ARGV[1]) "
        "AND coalesce((old_row ->> 'at') COLLATE \"C\" < earliest, true) "
        "AND (old_row ? 'at' OR NOT EXISTS (SELECT 1 FROM job_events "
        "WHERE job_id = old_row ->> 'job_id' AND at COLLATE \"C\" >= earliest)) "
        "THEN RETURN OLD; END IF; "
        "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
    )
    for table, (relation, key, _) in _REMOVABLE.items():
        op.execute(f"DROP TRIGGER {table}_no_change ON {table}")
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION eraser_refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION eraser_refuse_early_removal('{relation}', '{key}')"
        )
