"""Where the audit commands get log, certificates and keys from: a station's data folder, or what an auditor brought along."""

import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from eraser.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from eraser.audits.population import Documents, Logged
    from eraser.certificates.keys import TrustedKeys
    from eraser.domain.log_entry import LogEntry
    from eraser.log.checkpoint import Checkpoint
    from eraser.log.note import NoteKey

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)


def station_options(command: Command) -> Command:
    """--data and --database."""
    command = click.option("--database", metavar="URL", help="Its ledger, where that is not in the data folder.")(
        command
    )
    folder = click.Path(path_type=Path, file_okay=False)
    return click.option("--data", type=folder, metavar="DIR", help="The station's data folder.")(command)


def role_option(command_name: str, value: str) -> str:
    """The name of who audits or checks. It is signed or kept for good, so one that looks like a person's is warned about.

    Raises UsageError for what is no name of a role.
    """
    from eraser.domain.pseudonym import may_name_a_person, role_named

    name = role_named(value)
    if may_name_a_person(name):
        click.echo(
            f"warning: {command_name} {name!a} looks like a person's name. It stays on record for good: give a role or an "
            f"organisation.",
            err=True,
        )
    return name


def read_option(command: Command) -> Command:
    """--read."""
    return click.option(
        "--read",
        type=click.Choice(["extents", "sampled", "full"]),
        default="extents",
        show_default=True,
        help="How much of a drive: single extents where their hashes are at hand, NIST's samples, or all.",
    )(command)


def source_options(command: Command) -> Command:
    """What stands in for a station."""
    for option in (
        click.option("--log-key", multiple=True, metavar="KEY", help="The log's public key, or a file with it."),
        click.option(
            "--entries", type=_PATH, metavar="FILE", help="The log's entries, as `eraser log entries` gives them."
        ),
        click.option(
            "--documents", multiple=True, type=_PATH, metavar="PATH", help="Certificates or bundles; files or folders."
        ),
    ):
        command = option(command)
    return station_options(command)


@dataclass(frozen=True)
class Sources:
    """As the options say; what is not given, the station's data folder has."""

    data: Path | None
    database: str | None
    documents: tuple[Path, ...] = ()
    entries: Path | None = None
    log_key: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The station's."""
        from eraser.settings import data_dir

        return self.data if self.data is not None else data_dir(os.environ)

    @property
    def is_station(self) -> bool:
        """Whether the ledger of a station is read, and may be written."""
        return self.entries is None and not self.documents

    def signed_checkpoint(self, given: Path | None) -> bytes:
        """The note that was given, else the station's newest. Raises UsageError."""
        path = given if given is not None else self.folder / "log" / "checkpoint"
        return read_file(path, "Give the log's checkpoint with --checkpoint, or the station's folder with --data.")

    def log_keys(self) -> "tuple[NoteKey, ...]":
        """Raises UsageError."""
        from eraser.log.note import given_keys

        station = self.folder / "log" / "key"
        if not self.log_key and not station.exists():
            raise UsageError("nothing tells the log's key", remedy="Give it with --log-key.")
        return tuple(key for item in self.log_key or (str(station),) for key in given_keys(item))

    def certificates(self) -> "Documents":
        """Those at hand."""
        from eraser.audits.population import read_documents

        folder = self.folder / "certificates"
        return read_documents(self.documents or ((folder,) if folder.is_dir() else ()))

    def log_under(self, head: "Checkpoint", documents: "Documents") -> "Logged":
        """The log that this checkpoint is over. Raises RewrittenLogError, NotLoggedError, UsageError."""
        from eraser.audits.population import bundled_log, whole_log

        if self.entries is None and self.documents:
            return bundled_log(head, documents)
        return whole_log(head, self._entries(head.size))

    def _entries(self, count: int) -> "list[LogEntry]":
        from eraser.audits.population import parse_entries
        from eraser.ledger import log

        if self.entries is not None:
            return list(parse_entries(read_file(self.entries, "")))
        return self.read(lambda connection: log.first_entries(connection, count))

    def trusted(self, key_paths: tuple[Path, ...]) -> "TrustedKeys":
        """The keys of certificates. Raises KeyFileError."""
        from eraser.certificates.keys import load_all, station_keys

        return load_all(key_paths) if key_paths else station_keys(self.folder / "keys")

    def read(self, work: "Callable[[Connection], T]") -> T:
        """From the station's ledger."""
        with self._engine() as engine, engine.connect() as connection, connection.begin():
            return work(connection)

    def write(self, work: "Callable[[Connection], T]") -> T:
        """Into it, in one transaction, which a running station's own wait for."""
        from eraser.ledger.engine import writing

        with self._engine() as engine, writing(engine) as connection, connection.begin():
            return work(connection)

    def bring_up_index(self) -> None:
        """So that the index of certificates knows all that the log has."""
        from eraser.ledger import certificate_index
        from eraser.ledger.engine import writing

        with self._engine() as engine:

            def read(work: "Callable[[Connection], Any]") -> Any:
                with engine.connect() as connection, connection.begin():
                    return work(connection)

            def write(work: "Callable[[Connection], Any]") -> Any:
                with writing(engine) as connection, connection.begin():
                    return work(connection)

            certificate_index.bring_up(read, write)

    @contextmanager
    def _engine(self) -> "Iterator[Engine]":
        from sqlalchemy.exc import SQLAlchemyError

        from eraser.ledger.engine import explained, open_engine, sqlite_url
        from eraser.ledger.migrating import require_current

        path = self.folder / "ledger.db"
        if self.database is None and not path.exists():
            raise UsageError("there is no ledger", subject=str(path), remedy="Give the station's folder with --data.")
        engine = open_engine(self.database or sqlite_url(path))
        try:
            require_current(engine)
            yield engine
        except SQLAlchemyError as error:
            raise explained(error, engine) from error
        finally:
            engine.dispose()


def read_file(path: Path, remedy: str) -> bytes:
    """Raises UsageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", subject=str(path), remedy=remedy) from error
