"""The orders that a person may give to a bay, each with what will come of it: said before it is given."""

from dataclasses import dataclass

from eraser.console.identity import Permission, Viewer
from eraser.console.pages.language import N_
from eraser.domain.sayings import Code
from eraser.rack.view import BaySnapshot, BayState

_S = BayState
RESUMABLE = frozenset({Code.JOB_CANCELLED, Code.CERTIFICATE_DUE})
"""What a bay that asks may be told to go on with."""


@dataclass(frozen=True, slots=True)
class BayOrder:
    """`consequence` in English, to be translated; `in_states`: when the bay obeys it, as in `eraser.rack.bay`."""

    name: str
    label: str
    consequence: str
    in_states: frozenset[BayState]
    permission: Permission = Permission.OPERATE
    is_grave: bool = False
    """Whether something is lost by it for good, or time that cannot be had again."""


ORDERS = (
    BayOrder(
        "locate",
        N_("Locate"),
        N_(
            "The slot's light goes on for half a minute; where it has none, the drive's own blinks. Nothing is written."
        ),
        frozenset(_S) - {_S.EMPTY, _S.IDENTIFYING, _S.MAINTENANCE},
    ),
    BayOrder(
        "start",
        N_("Start"),
        N_("Everything on this drive is erased from its first to its last byte, for good. Nobody can bring it back."),
        frozenset({_S.ASKING, _S.PASSED, _S.INTERRUPTED}),
        is_grave=True,
    ),
    BayOrder(
        "pause",
        N_("Pause"),
        N_("The job stops at its next checkpoint and keeps what it has done. It goes on when somebody resumes it."),
        frozenset({_S.WRITING, _S.VERIFYING, _S.PAUSED}),
    ),
    BayOrder(
        "resume",
        N_("Resume"),
        N_("The job goes on where it stopped; what was written before is read back where the drive was out of sight."),
        frozenset({_S.PAUSED, _S.INTERRUPTED, _S.ASKING}),
    ),
    BayOrder(
        "cancel",
        N_("Cancel"),
        N_("The job stops and does not go on by itself. The drive is not erased: old data may still be readable."),
        frozenset({_S.IDENTIFYING, _S.WAITING, _S.WRITING, _S.VERIFYING, _S.PAUSED}),
        is_grave=True,
    ),
    BayOrder(
        "retry",
        N_("Retry"),
        N_("The drive is looked at anew and erased. An interrupted job goes on, any other begins at its first byte."),
        frozenset({_S.FAILED, _S.INTERRUPTED, _S.REFUSED}),
        is_grave=True,
    ),
)

MAINTAIN = BayOrder(
    "maintenance",
    N_("Maintenance"),
    N_("The bay takes no drive any more until it is put back into use. A job in it stops at a checkpoint."),
    frozenset(_S) - {_S.MAINTENANCE},
    Permission.MAINTAIN,
)
BACK_IN_USE = BayOrder(
    "maintenance",
    N_("Back in use"),
    N_("The bay takes drives again. A drive that is in it is identified and may start by itself."),
    frozenset({_S.MAINTENANCE}),
    Permission.MAINTAIN,
)


def may_give(order: BayOrder, bay: BaySnapshot) -> bool:
    """Whether the bay would obey it now, as far as the picture tells."""
    if order.name == "pause" and bay.state is _S.PAUSED:
        return "person" not in bay.pauses
    if order.name == "resume" and bay.state is _S.ASKING:
        return any(saying.code in RESUMABLE for saying in bay.waiting)
    return bay.state in order.in_states


def orders_for(viewer: Viewer) -> tuple[BayOrder, ...]:
    """Those that this person may give at all."""
    return tuple(order for order in (*ORDERS, MAINTAIN, BACK_IN_USE) if viewer.may(order.permission))
