"""Plans of audits that are under way, and which of their samples were looked at.

Revision 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_APPEND_ONLY = {"audit_plans": "plan_id", "audit_marks": "number"}


def upgrade() -> None:
    """From 0010."""
    op.create_table(
        "audit_plans",
        sa.Column("plan_id", sa.Text, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("auditor", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_marks",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("plan_id", sa.Text, sa.ForeignKey("audit_plans.plan_id"), nullable=False),
        sa.Column("certificate_id", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("is_looked_at", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_marks_plan_id", "audit_marks", ["plan_id", "number"])
    for table, key in _APPEND_ONLY.items():
        _refuse_changes(table, key)


def _refuse_changes(table: str, key: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        # The function is revision 0001's.
        for name, what, each in (("change", "UPDATE OR DELETE", "ROW"), ("truncate", "TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER {table}_no_{name} BEFORE {what} ON {table} "
                f"FOR EACH {each} EXECUTE FUNCTION eraser_refuse_change()"
            )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    # INSERT OR REPLACE deletes without waking the trigger above.
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key}) "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only and has this row'); END"
    )
