"""Controls in the ledger: the newest of each kind at a station."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Select, select

from eraser.domain.control import ControlTest
from eraser.domain.log_entry import EntryKind
from eraser.ledger import signed_records
from eraser.ledger.schema import signed_records as table


def newest(station_id: str, connection: Connection) -> Mapping[ControlTest, bytes]:
    """The documents of the controls that went on record last, where there are any."""
    found = {test: signed_records.newest(station_id, EntryKind.CONTROL, test.value, connection) for test in ControlTest}
    return {test: document for test, document in found.items() if document is not None}


def before(station_id: str, test: ControlTest, moment: str, connection: Connection) -> Iterator[bytes]:
    """The documents of those that ended by then (RFC 3339, UTC), the last one first."""
    query = _of(station_id, test).where(table.c.at <= moment)
    yield from connection.execute(query.order_by(table.c.number.desc())).scalars()


def after(station_id: str, test: ControlTest, moment: str, connection: Connection) -> Iterator[bytes]:
    """The documents of those that ended later, the first one first."""
    query = _of(station_id, test).where(table.c.at > moment)
    yield from connection.execute(query.order_by(table.c.number)).scalars()


def _of(station_id: str, test: ControlTest) -> Select[bytes]:
    return select(table.c.document).where(
        table.c.station_id == station_id, table.c.kind == EntryKind.CONTROL.value, table.c.about == test.value
    )
