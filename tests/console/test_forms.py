from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from eraser.console.forms import read_station, station_form
from eraser.domain.sayings import Code, say
from eraser.errors import UsageError
from tests.console.stations import a_busy_bay, a_snapshot, an_empty_bay
from tests.domain.builders import a_drive


def test_a_snapshot_survives_its_way_through_json() -> None:
    snapshot = a_snapshot(
        a_busy_bay(drive=a_drive()), an_empty_bay(), troubles=(say(Code.TROUBLE_LEDGER_FULL),), is_draining=True
    )
    assert read_station(json.loads(json.dumps(asdict(station_form(snapshot))))) == snapshot


@pytest.mark.parametrize("broken", [{}, {"at": "now", "bays": [{"name": "A1"}]}])
def test_an_answer_of_another_kind_is_told_as_one(broken: dict) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_station(broken)
