"""The positive control over the API: what it found last, and the order to run it now."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends

from eraser.console.identity import require
from eraser.domain.account import Permission
from eraser.domain.control import Control, ControlTest
from eraser.domain.json_form import from_json, to_json

if TYPE_CHECKING:
    from eraser.rack.controls import Controls


@dataclass(frozen=True, slots=True)
class ControlLine:
    """One of the two: the drive that is named for it, and its last record."""

    test: ControlTest
    drive: str
    last: Control | None
    is_as_expected: bool


@dataclass(frozen=True, slots=True)
class ControlForm:
    """`withheld` says why nothing is certified; `running` is the one that runs now. Both may be empty."""

    withheld: str
    running: str
    interval_seconds: int
    controls: tuple[ControlLine, ...]


def control_router(controls: "Controls") -> APIRouter:
    """`/control`, below the API's own prefix."""
    router = APIRouter(prefix="/control")

    @router.get("", dependencies=[Depends(require(Permission.VIEW_RACK))])
    async def show_control() -> Any:
        return to_json(control_form(controls))

    @router.post("", status_code=HTTPStatus.ACCEPTED, dependencies=[Depends(require(Permission.MAINTAIN))])
    async def run_control() -> Any:
        controls.ask()
        return {"order": "control"}

    return router


def control_form(controls: "Controls") -> ControlForm:
    """As it is now."""
    newest = controls.newest
    lines = tuple(
        ControlLine(test, controls.terms.drives[test], last, last is not None and last.is_good)
        for test in ControlTest
        for last in [newest.get(test)]
    )
    running = controls.running.value if controls.running is not None else ""
    return ControlForm(controls.why_withheld(), running, round(controls.terms.interval_seconds), lines)


def read_control(form: Any) -> ControlForm:
    """What a station's answer stands for. Raises UsageError for what no station of this version answers."""
    return from_json(ControlForm, form)
