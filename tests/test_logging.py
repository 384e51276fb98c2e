"""The log: JSON, a job on each line, serial numbers as asked for."""

import io
import json
from typing import Any

import pytest
import structlog

from eraser import logging


@pytest.fixture(autouse=True)
def _as_before() -> Any:
    yield
    structlog.reset_defaults()


def logged(serials: str, **fields: Any) -> dict[str, Any]:
    out = io.StringIO()
    logging.configure("info", as_json=True, serials=serials, out=out)
    structlog.get_logger().info("refused", **fields)
    line: dict[str, Any] = json.loads(out.getvalue())
    return line


def test_a_line_that_belongs_to_no_job_says_so() -> None:
    assert logged("plain")["job"] == "-"
    assert logged("plain", job="j1")["job"] == "j1"


def test_serials_stand_plain_where_that_is_asked_for() -> None:
    line = logged("plain", serial="S3R1AL", reason="Acme S3R1AL: it is mounted")
    assert (line["serial"], line["reason"]) == ("S3R1AL", "Acme S3R1AL: it is mounted")


def test_hashed_serials_are_the_same_each_time_and_nowhere_plain() -> None:
    line = logged("hashed", serial="S3R1AL", reason="Acme S3R1AL: it is mounted")
    assert "S3R1AL" not in json.dumps(line)
    assert line["serial"] == logged("hashed", serial="S3R1AL")["serial"] != logged("hashed", serial="S3R1AM")["serial"]
    assert line["serial"] in line["reason"]


def test_without_serials_they_stand_nowhere_in_the_line() -> None:
    line = logged("off", serial="S3R1AL", reason="Acme S3R1AL: it is mounted")
    assert "serial" not in line and line["reason"] == "Acme [serial]: it is mounted"


def test_what_is_less_than_the_level_is_left_out() -> None:
    out = io.StringIO()
    logging.configure("warning", as_json=False, serials="plain", out=out)
    structlog.get_logger().info("nothing")
    structlog.get_logger().warning("something", job="j1")
    assert "nothing" not in out.getvalue() and "something" in out.getvalue() and "j1" in out.getvalue()
