"""The routine control: at least 5 %, drawn blind, read by somebody else, in time."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.audits.running import refuse_own
from eraser.domain.audit import DriveReading, DriveResult, LogHead
from eraser.domain.events import Outcome, Reason
from eraser.domain.routine_control import ControlCheck, Draw, Missed, draw_blind, later, state_of
from eraser.errors import Refused
from eraser.ledger import routine
from eraser.ledger.engine import sqlite_url
from eraser.ledger.store import open_store
from eraser.rack.ledger_health import LedgerHealth
from eraser.rack.routine_keeping import RoutineKeeper, RoutineTerms
from tests.audits.plants import CHECKPOINTED, Plant, id_of, said
from tests.certificates.builders import a_certificate

HEAD = LogHead("log", 9, bytes(32))
AT = "2026-12-01T00:00:00.000Z"


def a_draw(count: int, nonce: bytes = bytes(16)) -> Draw:
    return draw_blind("d" * 32, AT, 0, HEAD, nonce, [id_of(number) for number in range(count)])


def a_check(certificate_id: str, result: DriveResult = DriveResult.HOLDS) -> ControlCheck:
    reading = DriveReading(result, 4096, None, "dd, cmp", 1, 4096)
    return ControlCheck("d" * 32, certificate_id, AT, "checker-1", reading)


@given(st.integers(1, 500))
def test_at_least_one_in_twenty_is_drawn(count: int) -> None:
    drawn = a_draw(count).certificate_ids
    assert len(drawn) * 20 >= count > (len(drawn) - 1) * 20
    assert len(set(drawn)) == len(drawn)


def test_the_draw_sees_numbers_and_ids_and_nobodys_name() -> None:
    names = set(inspect.signature(draw_blind).parameters) | set(routine.Passed.__dataclass_fields__)
    assert names == {"draw_id", "at", "first", "log", "nonce", "passed", "index", "certificate_id"}
    assert "operator" not in inspect.getsource(routine.undrawn)


def test_what_is_due_becomes_overdue_and_stays_so_until_it_is_read() -> None:
    draw = a_draw(40)
    one, other = draw.certificate_ids
    before, after = state_of([draw], [], 0, "", draw.due_at), state_of([draw], [], 0, "", later(draw.due_at, 1))
    assert ([item.certificate_id for item in before.due], before.overdue, after.overdue) == ([one, other], 0, 2)
    read = state_of([draw], [a_check(one)], 0, "", later(draw.due_at, 1))
    assert (read.read, read.overdue, [item.certificate_id for item in read.due]) == (1, 1, [other])
    missed = ControlCheck("d" * 32, other, AT, "checker-1", None, Missed.GONE)
    done = state_of([draw], [a_check(one), missed], 0, "", later(draw.due_at, 1))
    assert (done.read, done.missed, done.overdue, done.wrong) == (1, 1, 0, ())


def test_a_drive_that_does_not_hold_is_named() -> None:
    (one,) = a_draw(3).certificate_ids
    assert state_of([a_draw(3)], [a_check(one, DriveResult.DIFFERS)], 0, "", AT).wrong == (one,)


def test_a_certificate_that_was_withdrawn_is_neither_wrong_nor_due_any_more() -> None:
    one, other = a_draw(40).certificate_ids
    late = later(AT, 30)
    state = state_of([a_draw(40)], [a_check(one, DriveResult.DIFFERS)], 0, "", late, {one, other})
    assert (state.wrong, state.due, state.overdue) == ((), (), 0)


def test_passed_drives_that_wait_too_long_for_a_draw_are_overdue() -> None:
    assert state_of([], [], 3, AT, later(AT)).overdue == 0
    assert state_of([], [], 3, AT, later(AT, 8)).overdue == 1
    assert state_of([], [], 0, "", later(AT, 8)).overdue == 0


@pytest.mark.parametrize("name", ["operator-7", "OPERATOR-7", " witness-2"])
def test_whoever_erased_it_or_was_its_witness_cannot_check_it(name: str) -> None:
    with pytest.raises(Refused, match="can't be who checks"):
        refuse_own(name, a_certificate())
    refuse_own("checker-1", a_certificate())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """25 passed."""
    plant = Plant(tmp_path_factory.mktemp("plant"))
    plant.issue(*range(1, 26))
    plant.publish()
    return plant


@pytest.fixture
def plant(made: Plant, tmp_path: Path) -> Plant:
    """A copy."""
    return Plant(tmp_path, made)


def fail(plant: Plant, *numbers: int) -> None:
    from dataclasses import replace

    certificate = a_certificate()
    left = replace(certificate.sanitization, level_reached=None, claim="")
    plant.issue(*numbers, outcome=Outcome.FAILED, reasons=(Reason("not-written", "it failed"),), sanitization=left)


def drawn_by(plant: Plant) -> list[str]:
    done = plant("routine", "draw", "--json")
    assert done.exit_code == 0, done.output or done.exception
    return json.loads(done.stdout)["certificate_ids"]


def test_each_draw_takes_up_where_the_one_before_ended(plant: Plant) -> None:
    fail(plant, 31, 32, 33)
    plant.withdraw(2)
    plant.publish()
    first = drawn_by(plant)
    assert len(first) == 2  # of 24
    assert set(first) <= {id_of(number) for number in range(1, 26) if number != 2}
    assert "nothing passed" in plant("routine", "draw").stdout
    plant.issue(40)
    plant.publish()
    assert drawn_by(plant) == [id_of(40)]
    state = json.loads(plant("routine", "--json").stdout)
    assert (state["draws"], state["passed"], state["drawn"], state["undrawn"]) == (2, 25, 3, 0)


def test_what_is_overdue_is_shown_and_ends_with_a_status(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    def it_is(moment: str) -> None:
        monkeypatch.setattr("eraser.cli.station.now_utc", lambda: moment)

    it_is(later(CHECKPOINTED, 6))
    assert plant("routine").exit_code == 0
    it_is(later(CHECKPOINTED, 8))
    late = plant("routine")
    assert (late.exit_code, "OVERDUE: a draw" in late.stdout) == (4, True)
    (one, other) = drawn_by(plant)
    assert plant("routine").exit_code == 0
    it_is(later(CHECKPOINTED, 16))
    late = plant("routine")
    assert (late.exit_code, late.stdout.count("OVERDUE since")) == (4, 2)
    assert plant("routine", "check", one, "--missed", "gone", "--checker", "checker-1").exit_code == 0
    assert said(plant("routine", "check", other, "--missed", "gone", "--checker", "operator-7")).startswith("refused")
    assert said(plant("routine", "check", id_of(99), "--missed", "gone", "--checker", "c")).startswith("usage")
    assert said(plant("routine", "check", other, "--checker", "c")).startswith("usage")
    assert "1 missed, 1 due" in plant("routine").stdout


class Enough(Exception):
    """The station is stopped."""


async def looked(plant: Plant, *moments: str, every_seconds: float = 86400.0) -> tuple[LedgerHealth, dict[str, Any]]:
    """What a station's keeper found when it had looked at these moments, and what it said is the matter."""
    now = [moments[0]]
    trouble: dict[str, Any] = {}
    health, looks = LedgerHealth(), iter(moments[1:])

    def say(what: str, problem: Any) -> None:
        trouble[what] = problem

    def now_utc() -> str:
        return now[0]

    async def sleep(seconds: float) -> None:
        moment = next(looks, None)
        if moment is None:
            raise Enough
        now[0] = moment

    store = await open_store(sqlite_url(plant.data / "ledger.db"))
    terms = RoutineTerms(every_seconds, "eraser/hall-2")
    keeper = RoutineKeeper(store, terms, now_utc, lambda: uuid.uuid4().hex, os.urandom, health, say, sleep=sleep)
    with pytest.raises(Enough):
        await keeper.run()
    await store.close()
    return health, trouble


async def test_a_running_station_draws_on_its_schedule_and_shows_what_is_overdue(plant: Plant) -> None:
    day = [later(CHECKPOINTED, days) for days in range(20)]
    health, trouble = await looked(plant, day[1], day[1], day[2])
    assert (health.routine_overdue, trouble) == (0, {"routine control": None})
    state = json.loads(plant("routine", "--json").stdout)
    assert (state["draws"], state["passed"], state["drawn"], state["undrawn"]) == (1, 25, 2, 0)
    plant.issue(40)
    await asyncio.to_thread(plant.publish)
    await looked(plant, later(CHECKPOINTED, 1))
    assert json.loads(plant("routine", "--json").stdout)["undrawn"] == 1, "it is not time yet"
    await looked(plant, day[3])
    assert json.loads(plant("routine", "--json").stdout)["drawn"] == 3
    health, _ = await looked(plant, day[9])
    assert health.routine_overdue == 2, "nobody has read the first two"


async def test_where_people_draw_the_station_does_not_and_a_draw_that_is_late_is_shown(plant: Plant) -> None:
    health, _ = await looked(plant, later(CHECKPOINTED, 8), every_seconds=0.0)
    assert health.routine_overdue == 1
    assert json.loads(plant("routine", "--json").stdout)["draws"] == 0
