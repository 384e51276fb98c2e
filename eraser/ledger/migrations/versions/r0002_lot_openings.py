"""Which lots are taken in at which bays, and with which lot a drive was received.

Revision 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From 0001."""
    op.create_table(
        "lot_openings",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("lot_id", sa.Text, nullable=False),
        sa.Column("station_id", sa.Text, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("lot_openings_station_id", "lot_openings", ["station_id"])
    op.add_column("custody", sa.Column("lot_id", sa.Text))
    op.create_index("custody_lot_id", "custody", ["lot_id"])
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes_on_postgresql()
    else:
        _refuse_changes_on_sqlite()


def _refuse_changes_on_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER lot_openings_no_{verb.lower()} BEFORE {verb} ON lot_openings "
            "BEGIN SELECT RAISE(ABORT, 'lot_openings is append-only'); END"
        )
    op.execute(
        "CREATE TRIGGER lot_openings_no_replace BEFORE INSERT ON lot_openings "
        "WHEN EXISTS (SELECT 1 FROM lot_openings WHERE number = NEW.number) "
        "BEGIN SELECT RAISE(ABORT, 'lot_openings is append-only and has this row'); END"
    )


def _refuse_changes_on_postgresql() -> None:
    op.execute(
        "CREATE TRIGGER lot_openings_no_change BEFORE UPDATE OR DELETE ON lot_openings "
        "FOR EACH ROW EXECUTE FUNCTION eraser_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER lot_openings_no_truncate BEFORE TRUNCATE ON lot_openings "
        "FOR EACH STATEMENT EXECUTE FUNCTION eraser_refuse_change()"
    )
