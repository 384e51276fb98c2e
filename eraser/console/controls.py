"""The positive control over the API: what it found last, and the order to run it now."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends

from eraser.console.identity import require
from eraser.console.problems import NotFound
from eraser.domain.account import Permission
from eraser.domain.json_form import from_json, to_json
from eraser.rack.view import ControlForm, ControlPort


def control_router(controls: ControlPort) -> APIRouter:
    """`/control`, below the API's own prefix."""
    router = APIRouter(prefix="/control")

    @router.get("", dependencies=[Depends(require(Permission.VIEW_RACK))])
    async def show_control() -> Any:
        return to_json(_form(controls))

    @router.post("", status_code=HTTPStatus.ACCEPTED, dependencies=[Depends(require(Permission.MAINTAIN))])
    async def run_control() -> Any:
        _form(controls)
        controls.ask()
        return {"order": "control"}

    return router


def _form(controls: ControlPort) -> ControlForm:
    """Raises NotFound where the station has no control."""
    form = controls.form()
    if form is None:
        raise NotFound("the station has no positive control", remedy="[control] in its configuration names its drives.")
    return form


def read_control(form: Any) -> ControlForm:
    """What a station's answer stands for. Raises UsageError for what no station of this version answers."""
    return from_json(ControlForm, form)
