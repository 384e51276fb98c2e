"""Removing what has expired beside drives: the trail, attendances, specifications, signed records, and the vault's rows.

Revision 0011.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_YEARS = 3
"""As in 0008: whatever the configuration says, the database lets nothing younger go, by its own clock."""

_REMOVABLE = {
    "trail": ("trail", "number"),
    "attendances": ("attendances", "number"),
    "specifications": ("specifications", "number"),
    "signed_records": ("signed_records", "number"),
    "vault_log": ("vault_log", "number"),
    "vault_records": ("vault_records", "record_id"),
    "vault_receipts": ("vault_records", "record_id"),
}
"""Tables; by which rows of `expiring` theirs are named, and by which column."""


def upgrade() -> None:
    """From 0010."""
    for table, (relation, key) in _REMOVABLE.items():
        if op.get_bind().dialect.name == "postgresql":
            _on_postgresql(table, relation, key)
        else:
            _on_sqlite(table, relation, key)


def _on_sqlite(table: str, relation: str, key: str) -> None:
    young = f"OLD.at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{_YEARS} years')"
    named = f"SELECT 1 FROM expiring WHERE relation = '{relation}' AND key = CAST(OLD.{key} AS TEXT)"
    op.execute(f"DROP TRIGGER {table}_no_delete")
    op.execute(
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN {young} OR NOT EXISTS ({named}) "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


def _on_postgresql(table: str, relation: str, key: str) -> None:
    # The functions are revision 0001's and 0008's.
    op.execute(f"DROP TRIGGER {table}_no_change ON {table}")
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION eraser_refuse_change()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION eraser_refuse_early_removal('{relation}', '{key}')"
    )
