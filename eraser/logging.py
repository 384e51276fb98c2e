"""The station's log: one event a line, JSON for machines or readable for people, each with its job's id.

Serial numbers are personal to their drive: they stand under the key `serial`, plain, hashed or not at all, and wherever
else the same line repeats them.
"""

import hashlib
import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog

HASH_DIGITS = 12
REDACTED = "[serial]"
NO_JOB = "-"

_Event = MutableMapping[str, Any]


def configure(level: str, *, as_json: bool, serials: str, out: TextIO | None = None) -> None:
    """Sets the whole process's log. `serials` is `plain`, `hashed` or `off`. Lines go to `out`, else to standard error."""
    stream = out or sys.stderr
    renderer: Any = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _with_job,
            _redacting(serials),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def _with_job(logger: Any, method: str, event: _Event) -> _Event:
    event.setdefault("job", NO_JOB)
    return event


def _redacting(serials: str) -> Callable[[Any, str, _Event], _Event]:
    def redact(logger: Any, method: str, event: _Event) -> _Event:
        serial = str(event.get("serial") or "")
        if serials == "plain" or not serial:
            return event
        stand_in = REDACTED
        if serials == "hashed":
            stand_in = hashlib.sha256(serial.encode()).hexdigest()[:HASH_DIGITS]
            event["serial"] = stand_in
        else:
            del event["serial"]
        for key, value in event.items():
            if isinstance(value, str) and serial in value:
                event[key] = value.replace(serial, stand_in)
        return event

    return redact
