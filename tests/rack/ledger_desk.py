"""The station's ledger for stations in simulated time: the real tables and statements, without threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Insert, insert

from eraser.domain.custody import DriveName
from eraser.domain.lot import Lot, LotPolicy
from eraser.errors import EraserError
from eraser.ledger.attendances import Attendances
from eraser.ledger.custody import Custody
from eraser.ledger.engine import open_engine, sqlite_url, writing
from eraser.ledger.intake import Intake as LedgerIntake
from eraser.ledger.lots import Lots
from eraser.ledger.migrating import migrate
from eraser.ledger.schema import stations
from eraser.ledger.specifications import Specifications
from eraser.ledger.sql_journal import SqlJournal
from eraser.rack.erasing import Request
from eraser.rack.intake import Intake, LotIntake

STATION = "station-1"
OPERATOR = "operator-7"
AT = "2027-01-01T00:00:00.000Z"


def now_utc() -> str:
    return AT


@dataclass
class StoreAtOnce:
    """`eraser.ledger.store.Store` for one thread: each write is whole when its call returns. `failure` is raised instead."""

    engine: Engine
    failure: EraserError | None = None
    fence: None = None
    writes: int = 0

    async def write(self, work: Callable[[Any], Any]) -> Any:
        if self.failure is not None:
            raise self.failure
        self.writes += 1
        with writing(self.engine) as connection, connection.begin():
            return work(connection)

    async def insert(self, statement: Insert, row: dict[str, Any]) -> None:
        await self.write(lambda connection: connection.execute(statement, [row]))

    async def read(self, work: Callable[[Any], Any]) -> Any:
        with self.engine.connect() as connection, connection.begin():
            return work(connection)


@dataclass
class LedgerDesk:
    """What a station of lots has beside its drives."""

    store: StoreAtOnce
    by_itself: bool = False
    journal: SqlJournal = field(init=False)
    custody: Custody = field(init=False)
    lots: Lots = field(init=False)
    ledger: LedgerIntake = field(init=False)
    specified: Specifications = field(init=False)
    attendances: Attendances = field(init=False)

    def __post_init__(self) -> None:
        store: Any = self.store
        self.journal = SqlJournal(store, STATION, 1, lambda: None, now_utc)
        self.custody = Custody(store, now_utc)
        self.lots = Lots(store, now_utc)
        self.ledger = LedgerIntake(store, STATION, now_utc)
        self.specified = Specifications(store, now_utc)
        self.attendances = Attendances(store, now_utc)

    @property
    def intake(self) -> LotIntake:
        usual = Intake(Request("random", operator=OPERATOR), self.by_itself)
        return LotIntake(self.ledger, self.attendances, usual, STATION, now_utc)

    async def open(self, lot_id: str, *bays: str, policy: LotPolicy | None = None, **lot: Any) -> None:
        """A lot that starts by itself unless told otherwise, taken in at these bays."""
        await self.lots.put(Lot(lot_id, policy or LotPolicy("zero", starts_by_itself=True), **lot), OPERATOR)
        await self.ledger.open(lot_id, bays, OPERATOR)

    async def kinds(self, serial: str) -> list[str]:
        """What is on record of a drive, in order."""
        history = await self.custody.history(DriveName(serial))
        return [record.event.kind for record in history.gathered.records]


@contextmanager
def a_ledger_desk(folder: Path, **desk: Any) -> Iterator[LedgerDesk]:
    """Over a database in the folder, made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(sqlite_url(folder / "ledger.db"))
    migrate(engine)
    with writing(engine) as connection, connection.begin():
        values = insert(stations).prefix_with("OR IGNORE").values(station_id=STATION, epoch=1, seen_at=0.0)
        connection.execute(values)
    yield LedgerDesk(StoreAtOnce(engine), **desk)
    engine.dispose()
