"""The page of one bay."""

from collections.abc import Awaitable, Callable
from typing import Any

from eraser.console.alarms import findings_of
from eraser.console.identity import Viewer
from eraser.console.pages.bays import FINDINGS, card, script_words
from eraser.console.pages.job_record import JobRecord, job_record
from eraser.console.pages.language import Language
from eraser.console.pages.orders import may_give, orders_for
from eraser.console.pages.pictures import course
from eraser.console.pages.quantities import share
from eraser.console.pages.sentences import said
from eraser.console.wall import Wall
from eraser.domain.catalogue import STANDARDS
from eraser.domain.events import Entry
from eraser.domain.sayings import say_error
from eraser.errors import EraserError
from eraser.rack.view import BaySnapshot, BayState

Entries = Callable[[str], Awaitable[tuple[Entry, ...]]]
"""All events of the job of this id. Raises JournalError."""


async def bay_context(
    bay: BaySnapshot, wall: Wall, entries: Entries | None, viewer: Viewer, language: Language
) -> dict[str, Any]:
    """What `bay.html` shows."""
    record, trouble = await _record(bay, entries, language)
    return {
        "bay": bay,
        "card": card(bay, language, wall.throughput.recent(bay)),
        "drive": bay.drive,
        "record": record,
        "record_trouble": trouble,
        "course": course(wall.throughput.course(bay)),
        "findings": [(alarm, FINDINGS[alarm.kind]) for alarm in findings_of(bay)],
        "orders": orders_for(viewer),
        "may_give": may_give,
        "standards": STANDARDS,
        "alarms": wall.alarms.all(),
        "words": script_words(language),
        "strip": strip(bay, record),
        # Only what passed is whole: nothing before that says 100 %.
        "share": share(
            *((1, 1) if bay.state is BayState.PASSED else (bay.done_bytes, bay.total_bytes)), language=language
        ),
    }


async def _record(bay: BaySnapshot, entries: Entries | None, language: Language) -> tuple[JobRecord | None, str]:
    if entries is None or not bay.job_id:
        return None, ""
    try:
        return job_record(await entries(bay.job_id), language), ""
    except EraserError as error:  # a page without its record is better than none
        return None, said(say_error(error), language)


def strip(bay: BaySnapshot, record: JobRecord | None) -> dict[str, Any]:
    """The drive as a strip 1000 wide: `ground` is what all of it is, `front` how far the present sweep has come."""
    plan = record.state.plan if record is not None else None
    is_reverse = bool(plan and 1 <= bay.pass_number <= len(plan.passes) and plan.passes[bay.pass_number - 1].reverse)
    share = bay.done_bytes / bay.total_bytes if bay.total_bytes else 0.0
    match bay.state:
        case BayState.PASSED:
            return {"ground": "passed", "front": "passed", "x": 0, "width": 0, "is_reverse": False}
        case BayState.WRITING | BayState.VERIFYING | BayState.PAUSED:
            front = "verifying" if bay.stage == "verifying" else "writing"
            ground = "untouched" if front == "writing" and bay.pass_number <= 1 else "written"
        case BayState.FAILED:
            return {"ground": "written", "front": "written", "x": 0, "width": 0, "is_reverse": False}
        case _:
            return {"ground": "untouched", "front": "writing", "x": 0, "width": 0, "is_reverse": False}
    width = round(1000 * share, 1)
    return {
        "ground": ground,
        "front": front,
        "x": 1000 - width if is_reverse else 0,
        "width": width,
        "is_reverse": is_reverse,
    }
