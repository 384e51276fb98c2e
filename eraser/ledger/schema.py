"""The ledger's tables, the same on SQLite and PostgreSQL. What happened is only ever inserted; triggers refuse the rest.

Made and changed by `migrations/` alone; here they are named for the statements. Times are RFC 3339 text in UTC, contents are
the strict JSON form of the domain's values (`domain/json_form.py`) as UTF-8 bytes.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

HEAD = "0013"
"""The revision that this program reads and writes: the newest one under `migrations/versions/`."""

APPEND_ONLY = (
    "job_events",
    "custody",
    "certificates",
    "lots",
    "lot_openings",
    "asset_tags",
    "log_entries",
    "log_hashes",
    "log_checkpoints",
    "vault_records",
    "vault_receipts",
    "vault_log",
    "signed_records",
    "trail",
    "routine_draws",
    "routine_checks",
    "specifications",
    "removals",
    "attendances",
    "audit_plans",
    "audit_marks",
    "alarm_takes",
)
"""Tables of which both databases refuse UPDATE and DELETE; of some, DELETE only until they have expired (`retention.py`)."""

NOT_IN_BACKUPS: tuple[str, ...] = ("sessions", "access_tokens", "account_links", "answers")
"""Tables that no backup holds: what was ended or used up since would count again in a restored ledger."""

metadata = MetaData()

# SQLite numbers rows by itself only in a column that is INTEGER to the letter.
_RowNumber = BigInteger().with_variant(Integer(), "sqlite")

# Compared byte by byte on both, so that a beginning is a range of the index.
_ByBytes = Text().with_variant(Text(collation="C"), "postgresql")

stations = Table(
    "stations",
    metadata,
    Column("station_id", Text, primary_key=True),
    # Who holds a job holds it as (station, epoch). A new epoch fences off whatever still runs under the old one.
    Column("epoch", BigInteger, nullable=False),
    Column("seen_at", Float, nullable=False),  # seconds since 1970 by the database's own clock
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", Text, primary_key=True),
    # Whatever follows is an index over the events: written with them, recomputed by `eraser ledger check`.
    Column("is_open", Boolean, nullable=False),  # so that a start replays only what is unfinished
    Column("outcome", Text),  # so that jobs are counted without replaying them
    Column("serial", Text, nullable=False),  # so that a drive's jobs are found
    Column("world_wide_name", Text, nullable=False),
    # Not derived: which station works on it.
    Column("holder", Text, ForeignKey("stations.station_id")),
    Column("holder_epoch", BigInteger),
)
Index("jobs_open", jobs.c.job_id, sqlite_where=text("is_open = 1"), postgresql_where=text("is_open = true"))
Index("jobs_serial", jobs.c.serial)
Index("jobs_world_wide_name", jobs.c.world_wide_name)

job_events = Table(
    "job_events",
    metadata,
    # A second writer, or a writer that lost count, meets this key.
    Column("job_id", Text, ForeignKey("jobs.job_id"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # neither database checks what its disk gives back
    sqlite_with_rowid=False,
)

certificates = Table(
    "certificates",
    metadata,
    Column("certificate_id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.job_id"), nullable=False, unique=True),  # never a second one
    Column("digest", LargeBinary, nullable=False),
)

lots = Table(
    "lots",
    metadata,
    Column("lot_id", Text, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

lot_openings = Table(
    "lot_openings",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("lot_id", Text, nullable=False),
    Column("station_id", Text, nullable=False),
    # The newest row of a lot at a station counts.
    Column("is_open", Boolean, nullable=False),
    Column("at", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
Index("lot_openings_station_id", lot_openings.c.station_id)

asset_tags = Table(
    "asset_tags",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("tag", Text, nullable=False),
    Column("bay", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("operator", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("asset_tags_tag", asset_tags.c.tag)
Index("asset_tags_serial", asset_tags.c.serial)
Index("asset_tags_bay", asset_tags.c.bay)

custody = Table(
    "custody",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # Of which drive, for finding its history; the body says the same.
    Column("serial", Text, nullable=False),
    Column("world_wide_name", Text, nullable=False),
    Column("asset_tag", Text, nullable=False),
    Column("job_id", Text, ForeignKey("jobs.job_id")),
    Column("body", LargeBinary, nullable=False),
    Column("lot_id", Text),  # with which it was received, so that a lot's drives are found
    sqlite_autoincrement=True,
)
Index("custody_lot_id", custody.c.lot_id)
Index("custody_job_id", custody.c.job_id)
Index("custody_serial", custody.c.serial)
Index("custody_world_wide_name", custody.c.world_wide_name)
Index("custody_asset_tag", custody.c.asset_tag)

log_entries = Table(
    "log_entries",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # from 0, without a gap
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
Index("log_entries_subject", log_entries.c.subject)
Index("log_entries_kind", log_entries.c.kind, sqlite_where=text("kind <> 'certificate'"))

log_hashes = Table(
    "log_hashes",
    metadata,
    Column("row", Integer, primary_key=True, autoincrement=False),  # domain/log_tree.py
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

log_checkpoints = Table(
    "log_checkpoints",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("size", BigInteger, nullable=False),
    Column("at", Text, nullable=False),
    Column("note", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

vault_records = Table(
    "vault_records",
    metadata,
    Column("record_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("lot_id", Text, nullable=False),
    # Of which drives of the lot; both empty: of all.
    Column("serial", Text, nullable=False),
    Column("asset_tag", Text, nullable=False),
    Column("key_store", Text, nullable=False),  # whose keys: they are never in a database
    Column("at", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # privacy/sealing.py
)
Index("vault_records_lot_id", vault_records.c.lot_id)

vault_receipts = Table(
    "vault_receipts",
    metadata,
    Column("record_id", Text, primary_key=True),
    Column("drive", Text, primary_key=True),
    Column("at", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

vault_log = Table(
    "vault_log",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("at", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("lot_id", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
Index("vault_log_lot_id", vault_log.c.lot_id)
Index("vault_log_record_id", vault_log.c.record_id)
Index("vault_log_action", vault_log.c.action)
signed_records = Table(
    "signed_records",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),  # domain/log_entry.py
    Column("subject", Text, nullable=False),  # the record's own id, as in the log
    Column("about", Text, nullable=False),  # of a control: which one it is, so that the newest is found
    Column("station_id", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("file", Text, nullable=False),  # where it lies among the certificates
    Column("document", LargeBinary, nullable=False),
    UniqueConstraint("kind", "subject", name="signed_records_subject"),
    UniqueConstraint("file", name="signed_records_file"),
    sqlite_autoincrement=True,
)
Index("signed_records_about", signed_records.c.station_id, signed_records.c.kind, signed_records.c.about)
# What people and programs are known by. This changes; what they did is in `trail`. Times are seconds since 1970 where they are
# compared, text where they are only shown. Of secrets only what they hash to is kept.

accounts = Table(
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("roles", Text, nullable=False),  # values of domain.account.Role, with commas
    Column("language", Text, nullable=False),
    Column("is_disabled", Boolean, nullable=False),
    Column("password_hash", Text, nullable=False),  # Argon2id; empty until the first one is set
    Column("made_at", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of what the cookie holds
    Column("name", Text, ForeignKey("accounts.name"), nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
)
Index("sessions_name", sessions.c.name)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # values of domain.account.Permission, with commas
    Column("is_wall", Boolean, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("is_ended", Boolean, nullable=False),
)

account_links = Table(
    "account_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("name", Text, nullable=False),  # empty: whoever has it makes the first account
    Column("expires_at", Float, nullable=False),
)

answers = Table(
    "answers",
    metadata,
    # What an order with this key was answered, so that it is not carried out twice.
    Column("viewer", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the order
    Column("status", Integer, nullable=False),  # 0: not answered yet
    Column("media_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
)
Index("answers_at", answers.c.at)

trail = Table(
    "trail",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("at", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("way", Text, nullable=False),  # how they came in
    Column("place", Text, nullable=False),  # from where
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("status", Integer, nullable=False),  # of the answer
    sqlite_autoincrement=True,
)
Index("trail_name", trail.c.name)

routine_draws = Table(
    "routine_draws",
    metadata,
    Column("draw_id", Text, primary_key=True),
    # Entries of the log: two draws at once meet this key.
    Column("first", BigInteger, nullable=False, unique=True),
    Column("behind", BigInteger, nullable=False),
    Column("at", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

routine_checks = Table(
    "routine_checks",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("draw_id", Text, ForeignKey("routine_draws.draw_id"), nullable=False),
    Column("certificate_id", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
Index("routine_checks_certificate_id", routine_checks.c.certificate_id)
certificate_index = Table(
    "certificate_index",
    metadata,
    # All of it follows from the log and the jobs' events: it may be emptied, and fills itself again.
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # of the certificate's entry in the log
    Column("certificate_id", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("issued_at", Text, nullable=False),
    Column("finished_at", Text, nullable=False),
    Column("serial", _ByBytes, nullable=False),  # as the certificate says it, be it the enclosure's
    Column("is_serial_own", Boolean, nullable=False),
    Column("world_wide_name", Text, nullable=False),
    Column("device", Text, nullable=False),  # path by which the file is named where there is no serial
    Column("model", Text, nullable=False),
    Column("lot_id", Text, nullable=False),  # with which the drive had arrived when its job ended; empty if with none
    Column("outcome", Text, nullable=False),
    Column("standard", Text, nullable=False),
    Column("level", Text, nullable=False),  # reached; empty if it failed
    Column("verification", Text, nullable=False),
    Column("reason", Text, nullable=False),  # code of the first one; empty if it passed
    Column("capacity_bytes", BigInteger, nullable=False),
    Column("bytes_done", BigInteger, nullable=False),  # written and read back
    Column("busy_seconds", Float, nullable=False),  # in transfers
    Column("withdrawn", BigInteger),  # number of the withdrawal's entry in the log
)
Index("certificate_index_id", certificate_index.c.certificate_id, unique=True)
for _column in ("serial", "world_wide_name", "lot_id", "outcome", "issued_at", "finished_at"):
    Index(f"certificate_index_{_column}", certificate_index.c[_column], certificate_index.c.number)

specifications = Table(
    "specifications",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("reference", Text, nullable=False),  # whoever sends it knows it by this; the newest row of one counts
    Column("serial", _ByBytes, nullable=False),
    Column("at", Text, nullable=False),
    Column("after", BigInteger, nullable=False),  # the log's size then: only later certificates answer it
    Column("operator", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
Index("specifications_reference", specifications.c.reference)
Index("specifications_serial", specifications.c.serial)

removals = Table(
    "removals",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),  # as in the log
    Column("at", Text, nullable=False),
    Column("note", LargeBinary, nullable=False),  # the signed record
    Column("body", LargeBinary, nullable=False),  # JSON: `entries`, the numbers in the log of the certificates removed
    sqlite_autoincrement=True,
)

expiring = Table(
    "expiring",
    metadata,
    # What the transaction under way removes: the triggers let nothing else go. Empty outside of it.
    Column("relation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
)
attendances = Table(
    "attendances",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("token_digest", LargeBinary, nullable=False),  # SHA-256 of what the address holds
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
Index("attendances_token_digest", attendances.c.token_digest)

audit_plans = Table(
    "audit_plans",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("at", Text, nullable=False),
    Column("auditor", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

audit_marks = Table(
    "audit_marks",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),  # of one certificate's the newest counts
    Column("plan_id", Text, ForeignKey("audit_plans.plan_id"), nullable=False),
    Column("certificate_id", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("is_looked_at", Boolean, nullable=False),
    sqlite_autoincrement=True,
)
Index("audit_marks_plan_id", audit_marks.c.plan_id, audit_marks.c.number)


alarm_takes = Table(
    "alarm_takes",
    metadata,
    Column("number", _RowNumber, primary_key=True, autoincrement=True),
    Column("at", Text, nullable=False),
    Column("station_id", Text, nullable=False),
    Column("matter", Text, nullable=False),  # which bay, which drive, which kind, which job
    Column("name", Text, nullable=False),  # who has it in hand; empty: it is over
    sqlite_autoincrement=True,
)
