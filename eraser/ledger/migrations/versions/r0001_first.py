"""Jobs and their events, stations, certificates, lots, asset tags, custody; what is appended is never changed.

Revision 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_APPEND_ONLY = {
    "job_events": ("job_id", "sequence"),
    "custody": ("number",),
    "certificates": ("certificate_id",),
    "lots": ("lot_id", "revision"),
    "asset_tags": ("number",),
}
"""Tables and their keys."""

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From an empty database."""
    _make_stations_and_jobs()
    _make_certificates()
    _make_lots_and_tags()
    _make_custody()
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes_on_postgresql()
    else:
        _refuse_changes_on_sqlite()


def _make_stations_and_jobs() -> None:
    op.create_table(
        "stations",
        sa.Column("station_id", sa.Text, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("world_wide_name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, sa.ForeignKey("stations.station_id")),
        sa.Column("holder_epoch", sa.BigInteger),
    )
    op.create_index(
        "jobs_open", "jobs", ["job_id"], sqlite_where=sa.text("is_open = 1"), postgresql_where=sa.text("is_open = true")
    )
    op.create_index("jobs_serial", "jobs", ["serial"])
    op.create_index("jobs_world_wide_name", "jobs", ["world_wide_name"])
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column("certificate_id", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id"), nullable=False, unique=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
    )


def _make_lots_and_tags() -> None:
    op.create_table(
        "lots",
        sa.Column("lot_id", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "asset_tags",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("bay", sa.Text, nullable=False),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    for column in ("tag", "serial", "bay"):
        op.create_index(f"asset_tags_{column}", "asset_tags", [column])


def _make_custody() -> None:
    op.create_table(
        "custody",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("world_wide_name", sa.Text, nullable=False),
        sa.Column("asset_tag", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id")),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    for column in ("job_id", "serial", "world_wide_name", "asset_tag"):
        op.create_index(f"custody_{column}", "custody", [column])


def _refuse_changes_on_sqlite() -> None:
    for table, key in _APPEND_ONLY.items():
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        # INSERT OR REPLACE deletes without waking the trigger above, unless the connection asks for it.
        same = " AND ".join(f"{column} = NEW.{column}" for column in key)
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only and has this row'); END"
        )
    # The job's own key would be replaced away as well.
    op.execute(
        "CREATE TRIGGER certificates_no_second BEFORE INSERT ON certificates "
        "WHEN EXISTS (SELECT 1 FROM certificates WHERE job_id = NEW.job_id) "
        "BEGIN SELECT RAISE(ABORT, 'certificates is append-only and has one of this job'); END"
    )


def _refuse_changes_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION eraser_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION eraser_refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION eraser_refuse_change()"
        )
