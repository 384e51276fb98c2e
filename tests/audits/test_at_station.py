"""What an audit at the station draws from by its ledger alone is what all of its certificates say."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from eraser.audits.at_station import station_log
from eraser.audits.errors import PlanNotFairError
from eraser.audits.planning import confirmed, draw_plan
from eraser.audits.population import population
from eraser.certificates.issuing import document_names
from eraser.cli.audit_sources import Sources
from eraser.domain.acceptance import InspectionLevel, Severity
from eraser.domain.audit import ByAql, Plan
from eraser.ledger.engine import open_engine, sqlite_url
from eraser.ledger.schema import certificate_index as index
from eraser.log.errors import RewrittenLogError
from tests.audits.plants import NONCE, Plant, answer, id_of

DAYS = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
ISSUED = {
    1: "2026-10-30T10:00:00Z",
    2: "2026-10-31T23:59:59.999Z",  # and on record in November
    3: "2026-11-01T00:00:00Z",
    4: "2026-11-12T10:00:00Z",
    5: "2026-11-13T10:00:00Z",  # withdrawn
    6: "2026-12-02T10:00:00Z",  # between two of November
    7: "2026-11-30T23:59:59Z",  # and on record in December
    8: "2026-12-03T10:00:00Z",
    9: "2026-12-04T10:00:00Z",
}
SEEN = {2: "2026-11-01T00:00:02Z", 7: "2026-12-01T08:00:00Z"}


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Whose index knows when jobs ended and certificates went on record, and whose files are named as a station names them."""
    made = Plant(tmp_path)
    for number, at in ISSUED.items():
        made.issue(number, issued_at=at)
        made.path(number).rename(made.certificates / document_names(f"S{number}", "", id_of(number)[::-1])[0])
    made.withdraw(5)
    made.publish()
    Sources(made.data, None).bring_up_index()
    with connected(made) as connection:
        for number, at in ISSUED.items():
            told = {"finished_at": at, "issued_at": SEEN.get(number, at), "serial": f"S{number}", "device": "/dev/x"}
            connection.execute(update(index).where(index.c.certificate_id == id_of(number)).values(told))
    return made


class connected:
    """To the plant's ledger, in a transaction."""

    def __init__(self, plant: Plant) -> None:
        self._engine = open_engine(sqlite_url(plant.data / "ledger.db"))

    def __enter__(self) -> Connection:
        self._begun = self._engine.begin()
        return self._begun.__enter__()

    def __exit__(self, *what: object) -> None:
        self._begun.__exit__(*what)  # type: ignore[arg-type]
        self._engine.dispose()


def drawn(plant: Plant, *, here: bool) -> Plan:
    sources = Sources(plant.data, None)
    signed = sources.signed_checkpoint(None)
    head = confirmed(signed, sources.log_keys())
    by = ByAql("6.5", InspectionLevel.II, Severity.NORMAL)
    with connected(plant) as connection:
        if here:
            found = station_log(connection, head, plant.certificates).population(DAYS)
            assert found is not None
        else:
            documents = sources.certificates()
            found = population(sources.log_under(head, documents), documents, DAYS)
        return draw_plan(head, found, signed, bytes.fromhex(NONCE), DAYS, by, 950_000)


def test_the_ledger_and_the_files_give_the_same_plan(plant: Plant) -> None:
    plan = drawn(plant, here=True)
    assert plan == drawn(plant, here=False)
    assert [number + 1 for piece in plan.members for number in range(piece.first, piece.behind)] == [3, 4, 7]


def test_one_that_is_not_at_hand_is_drawn_from_where_its_day_is_not_certain(plant: Plant) -> None:
    next(plant.certificates.glob("S2-*")).unlink()
    plan = drawn(plant, here=True)
    assert (plan.population, plan.undated_members) == (4, 1)
    assert plan == drawn(plant, here=False)


def test_a_fair_plan_is_taken_and_one_that_leaves_somebody_out_is_not(plant: Plant) -> None:
    plan = plant.plan("--aql", "6.5")
    done = plant.run(plan)
    assert (done.exit_code, answer(done)["population"]) == (0, 3), done.output or done.exception
    fair = drawn(plant, here=True)
    sources = Sources(plant.data, None)
    head = confirmed(fair.checkpoint, sources.log_keys())
    with connected(plant) as connection:
        here = station_log(connection, head, plant.certificates)
        assert here.expect_fair(fair)
        for numbers, why in (([2, 3], "left out"), ([2, 3, 4, 6], "do not belong")):
            found = population_of(here, numbers)
            unfair = draw_plan(head, found, fair.checkpoint, fair.nonce, DAYS, fair.criterion, 950_000)
            with pytest.raises(PlanNotFairError, match=why):
                here.expect_fair(unfair)


def population_of(here, numbers):  # type: ignore[no-untyped-def]
    from eraser.audits.population import Population

    return Population(numbers, here.member, 0)


def test_a_ledger_whose_log_is_another_one_is_not_drawn_from(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Plant(tmp_path / "other")
    other.issue(*range(1, 11))
    other.publish()
    sources = Sources(other.data, None)
    head = confirmed(sources.signed_checkpoint(None), sources.log_keys())
    with connected(plant) as connection, pytest.raises(RewrittenLogError):
        station_log(connection, head, plant.certificates)


def test_what_the_index_does_not_know_is_asked_of_the_files(plant: Plant) -> None:
    with connected(plant) as connection:
        connection.execute(update(index).where(index.c.certificate_id == id_of(4)).values(issued_at=""))
    sources = Sources(plant.data, None)
    head = confirmed(sources.signed_checkpoint(None), sources.log_keys())
    with connected(plant) as connection:
        assert station_log(connection, head, plant.certificates).population(DAYS) is None
    assert answer(plant.run(plant.plan("--aql", "6.5")))["population"] == 3
