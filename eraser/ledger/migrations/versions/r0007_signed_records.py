"""Records that are signed by themselves, beside the certificates: destructions and controls.

Revision 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLE = "signed_records"
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From the revision before."""
    op.create_table(
        _TABLE,
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("station_id", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("kind", "subject", name="signed_records_subject"),
        sa.UniqueConstraint("file", name="signed_records_file"),
        sqlite_autoincrement=True,
    )
    op.create_index("signed_records_about", _TABLE, ["station_id", "kind", "about"])
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes_on_postgresql()
    else:
        _refuse_changes_on_sqlite()


def _refuse_changes_on_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {_TABLE}_no_{verb.lower()} BEFORE {verb} ON {_TABLE} "
            f"BEGIN SELECT RAISE(ABORT, '{_TABLE} is append-only'); END"
        )
    # INSERT OR REPLACE deletes without waking the trigger above, whichever key it meets.
    op.execute(
        f"CREATE TRIGGER {_TABLE}_no_replace BEFORE INSERT ON {_TABLE} "
        f"WHEN EXISTS (SELECT 1 FROM {_TABLE} WHERE number = NEW.number "
        "OR (kind = NEW.kind AND subject = NEW.subject) OR file = NEW.file) "
        f"BEGIN SELECT RAISE(ABORT, '{_TABLE} is append-only and has this row'); END"
    )


def _refuse_changes_on_postgresql() -> None:
    # The function is revision 0001's.
    for name, what in (("change", "UPDATE OR DELETE"), ("truncate", "TRUNCATE")):
        each = "ROW" if name == "change" else "STATEMENT"
        op.execute(
            f"CREATE TRIGGER {_TABLE}_no_{name} BEFORE {what} ON {_TABLE} "
            f"FOR EACH {each} EXECUTE FUNCTION eraser_refuse_change()"
        )
