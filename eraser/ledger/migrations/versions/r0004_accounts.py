"""People and programs: accounts, sessions, tokens, one-time links, what they did, and what keyed orders were answered.

Revision 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From 0003."""
    _make_accounts()
    _make_tokens()
    _make_answers()
    _make_trail()


def _make_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("is_disabled", sa.Boolean, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("made_at", sa.Text, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("name", sa.Text, sa.ForeignKey("accounts.name"), nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_index("sessions_name", "sessions", ["name"])
    op.create_table(
        "account_links",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
    )


def _make_tokens() -> None:
    op.create_table(
        "access_tokens",
        sa.Column("token_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("is_wall", sa.Boolean, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("made_at", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("is_ended", sa.Boolean, nullable=False),
    )


def _make_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("viewer", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("answers_at", "answers", ["at"])


def _make_trail() -> None:
    op.create_table(
        "trail",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("way", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("trail_name", "trail", ["name"])
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes_on_postgresql()
    else:
        _refuse_changes_on_sqlite()


def _refuse_changes_on_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER trail_no_{verb.lower()} BEFORE {verb} ON trail "
            "BEGIN SELECT RAISE(ABORT, 'trail is append-only'); END"
        )
    # INSERT OR REPLACE deletes without waking the trigger above.
    op.execute(
        "CREATE TRIGGER trail_no_replace BEFORE INSERT ON trail "
        "WHEN EXISTS (SELECT 1 FROM trail WHERE number = NEW.number) "
        "BEGIN SELECT RAISE(ABORT, 'trail is append-only and has this row'); END"
    )


def _refuse_changes_on_postgresql() -> None:
    # The function is revision 0001's.
    op.execute(
        "CREATE TRIGGER trail_no_change BEFORE UPDATE OR DELETE ON trail "
        "FOR EACH ROW EXECUTE FUNCTION eraser_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER trail_no_truncate BEFORE TRUNCATE ON trail "
        "FOR EACH STATEMENT EXECUTE FUNCTION eraser_refuse_change()"
    )
