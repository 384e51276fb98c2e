"""Whatever is sent to the API, as its own description says it may be or not, is no fault of the station's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode

from eraser.domain.account import Permission
from tests.console.people import Plant
from tests.console.running import letting_in
from tests.console.serving import ask

EXAMPLES = 3
"""Of each operation in each mode."""
SEED = 20270101
WITHOUT_END = "/api/v1/events"


@pytest.fixture
def plant_elsewhere(tmp_path: Path) -> Iterator[Plant]:
    """Answers from a thread of its own."""
    with letting_in(tmp_path) as plant:
        yield plant


def bearer_of(plant: Plant) -> str:
    """A program's that may do everything."""
    order = {"label": "fuzz", "scopes": [permission.value for permission in Permission]}
    made = asyncio.run(ask(plant.socket, "POST", "/api/v1/tokens", order))
    assert made.status == 201, made
    return f"Bearer {made.json['token']}"


def description_of(plant: Plant) -> dict[str, Any]:
    found: dict[str, Any] = asyncio.run(ask(plant.socket, "GET", "/api/v1/openapi.json")).json
    return found


def test_nothing_that_is_sent_to_the_api_is_a_fault_of_its_own(plant_elsewhere: Plant) -> None:
    plant = plant_elsewhere
    schema = schemathesis.openapi.from_dict(description_of(plant))
    headers, asked, faults = {"Authorization": bearer_of(plant)}, 0, []
    answered: set[int] = set()

    def check(case: Case) -> None:
        nonlocal asked
        asked += 1
        answer = case.call(base_url=f"http://127.0.0.1:{plant.port}", headers=headers, timeout=20)
        answered.add(answer.status_code)
        if answer.status_code >= 500:
            faults.append((case.as_curl_command(), answer.status_code))

    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        if operation.path == WITHOUT_END:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            fuzz = settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(seed(SEED)(given(case=operation.as_strategy(mode))(check)))
            with suppress(Unsatisfiable):  # nothing can be wrong with what asks for nothing
                fuzz()
    assert faults == []
    assert asked > 200
    assert {200, 400, 404, 422} <= answered, answered


async def test_the_description_is_openapi_3_1_and_names_problems(plant: Plant) -> None:
    described = (await ask(plant.socket, "GET", "/api/v1/openapi.json")).json
    assert described["openapi"].startswith("3.1")
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert "application/problem+json" in operation["responses"]["4XX"]["content"], (method, path)
