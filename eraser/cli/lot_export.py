"""`eraser lot export`: what became of a lot's drives, as CSV, JSON or XML. Reads the ledger itself: no station need run."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from eraser.cli.ledger import data_option, database_option, own_station
from eraser.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from eraser.ledger.lot_exports import ExportedDrive, ExportedLot


@click.command("export", short_help="What became of a lot's drives, as CSV, JSON or XML.")
@click.argument("lot_id", metavar="[LOT]", required=False)
@click.option("--format", "form", type=click.Choice(["csv", "json", "xml"]), default="csv", show_default=True)
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="All lots from this day on,")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="up to this one (UTC, included).")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="A new file.")
@database_option
@data_option
def export_command(
    lot_id: str | None,
    form: str,
    first: datetime | None,
    last: datetime | None,
    output: Path | None,
    database: str | None,
    data: Path | None,
) -> None:
    """Export a LOT, or every lot that was described or had drives arrive between two days: drives, custody, jobs, outcomes,
    certificates with their places in the log, what was expected and what is missing.

    Nothing of customers or suppliers is in it, and no free text. What fits in memory does not limit a lot.
    """
    if (lot_id is None) == (first is None and last is None):
        raise UsageError("an export is of one lot or of a time", remedy="Name a LOT, or give --from and --to.")
    from sqlalchemy.exc import SQLAlchemyError

    from eraser.cli.station import now_utc
    from eraser.ledger.engine import explained, open_engine
    from eraser.ledger.export_formats import FORMATS, Export
    from eraser.ledger.lot_exports import lots_between
    from eraser.ledger.migrating import require_current

    own = own_station(data)
    engine = open_engine(database or own.ledger_url)
    try:
        require_current(engine)
        with engine.connect() as connection, connection.begin():
            ids = [lot_id] if lot_id is not None else lots_between(*_moments(first, last), connection)
            export = Export(now_utc(), own.station_id, _lots(ids, connection))
            with _opened(output) as file:
                file.writelines(FORMATS[form](export))
    except SQLAlchemyError as error:
        raise explained(error, engine) from error
    finally:
        engine.dispose()


def _lots(ids: Iterable[str], connection: "Connection") -> "Iterator[tuple[ExportedLot, Iterable[ExportedDrive]]]":
    from eraser.ledger.lot_exports import exported_drives, exported_lot

    for lot_id in ids:
        yield exported_lot(lot_id, connection), exported_drives(lot_id, connection)


def _moments(first: datetime | None, last: datetime | None) -> tuple[str, str]:
    """From the beginning of the first day to the end of the last one."""
    begin = first or datetime(1970, 1, 1)
    end = (last or datetime.now(UTC).replace(tzinfo=None)) + timedelta(days=1)
    if begin >= end:
        raise UsageError("the time ends before it begins", remedy="--from is the earlier day.")
    return f"{begin:%Y-%m-%dT00:00:00.000Z}", f"{end:%Y-%m-%dT00:00:00.000Z}"


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there only once it is whole; for its owner alone."""
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        yield sys.stdout
        return
    partial = output.with_name(f".{output.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with partial.open("x", encoding="utf-8", newline="") as file:
            os.fchmod(file.fileno(), 0o600)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, output)
    except FileExistsError as error:
        raise UsageError(
            "there is a file of this name", subject=str(output), remedy="Nothing is overwritten."
        ) from error
    except OSError as error:
        raise UsageError(f"the export can't be written: {error.strerror}", subject=str(output)) from error
    finally:
        partial.unlink(missing_ok=True)
