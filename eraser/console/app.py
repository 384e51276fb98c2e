"""The HTTP API: what can be asked of the station and what it can be told. Its shapes are in `forms`."""

import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.exceptions import HTTPException

from eraser.console.access import Gate, peer_name, problem_response
from eraser.console.desk import Desk, desk_router
from eraser.console.forms import StationForm, station_form
from eraser.console.metrics import MetricsPage, exposition_for
from eraser.console.problems import MEDIA_TYPE, NotFound
from eraser.errors import EraserError, UsageError
from eraser.rack.view import BaySnapshot, StationPort

ROOT_UID = 0

_PROBLEM = {
    "description": "What is wrong, as a problem document (RFC 9457)",
    "content": {
        MEDIA_TYPE: {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "code"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string", "description": "For people: what, where, and what to do about it"},
                    "code": {"type": "string", "description": "For machines"},
                    "what": {"type": "string"},
                    "subject": {"type": "string"},
                    "remedy": {"type": "string"},
                    "reason": {"type": "string", "description": "For machines: why it was refused"},
                },
            }
        }
    },
}


Sighting = Annotated[
    str, Field(max_length=64, description="The bay's `sighting`: where another drive is in it now, the answer is 409")
]


class StartOrder(BaseModel):
    """By which standard the drive in the bay is erased, and which drive that is."""

    model_config = ConfigDict(extra="forbid")
    standard: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """None: as its lot, or the station, says."""
    sighting: Sighting


class Seen(BaseModel):
    """What whoever gives the order saw in the bay."""

    model_config = ConfigDict(extra="forbid")
    sighting: Sighting


class Switch(BaseModel):
    """On or off."""

    model_config = ConfigDict(extra="forbid")
    on: StrictBool


class Accepted(BaseModel):
    """The order was accepted; the station carries it out."""

    order: str
    bay: str = ""


def create_app(station: StationPort, metrics: MetricsPage, desk: Desk | None = None) -> FastAPI:
    """The application that answers for this station; without a desk it knows no lots and no custody."""
    app = FastAPI(
        title="Eraser",
        version=version("eraser"),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
    )
    app.add_middleware(Gate, masters=(ROOT_UID, os.geteuid()))
    _add_monitoring(app, station, metrics)
    _add_looks(app, station)
    _add_orders(app, station)
    if desk is not None:
        app.include_router(desk_router(desk, station))
    _add_errors(app)
    return app


def _add_monitoring(app: FastAPI, station: StationPort, metrics: MetricsPage) -> None:
    @app.get("/metrics", response_class=Response)
    async def show_metrics(request: Request) -> Response:
        form = exposition_for(request.headers.get("accept", ""))
        return Response(await metrics.text(form), headers={"content-type": form.value})

    @app.get("/health/live")
    async def is_live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/health/ready")
    async def is_ready() -> JSONResponse:
        reasons = station.snapshot().problems
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return JSONResponse({"ready": not reasons, "reasons": list(reasons)}, status_code=status)


def _add_looks(app: FastAPI, station: StationPort) -> None:
    @app.get("/api/v1/station")
    async def show_station() -> StationForm:
        return station_form(station.snapshot())

    @app.get("/api/v1/bays")
    async def show_bays() -> tuple[BaySnapshot, ...]:
        return station.snapshot().bays

    @app.get("/api/v1/bays/{bay}")
    async def show_bay(bay: str) -> BaySnapshot:
        return _bay(station, bay)


def _add_orders(app: FastAPI, station: StationPort) -> None:
    @app.post("/api/v1/bays/{bay}/start", status_code=HTTPStatus.ACCEPTED)
    async def start(request: Request, bay: str, order: StartOrder) -> Accepted:
        _bay(station, bay)
        await station.start(bay, order.standard or "", order.sighting, operator=peer_name(request.scope))
        return Accepted(order="start", bay=bay)

    @app.post("/api/v1/bays/{bay}/retry", status_code=HTTPStatus.ACCEPTED)
    async def retry(request: Request, bay: str, order: Seen) -> Accepted:
        _bay(station, bay)
        await station.retry(bay, order.sighting, operator=peer_name(request.scope))
        return Accepted(order="retry", bay=bay)

    @app.post("/api/v1/bays/{bay}/maintenance", status_code=HTTPStatus.ACCEPTED)
    async def maintain(bay: str, switch: Switch) -> Accepted:
        _bay(station, bay)
        await station.maintain(bay, on=switch.on)
        return Accepted(order="maintenance", bay=bay)

    @app.post("/api/v1/drain", status_code=HTTPStatus.ACCEPTED)
    async def drain(switch: Switch) -> Accepted:
        await station.drain(on=switch.on)
        return Accepted(order="drain")

    for name, give in (
        ("pause", station.pause),
        ("resume", station.resume),
        ("cancel", station.cancel),
    ):
        _add_plain_order(app, station, name, give)


def _add_plain_order(
    app: FastAPI, station: StationPort, name: str, give: Callable[[str, str | None], Awaitable[None]]
) -> None:
    """One that begins nothing new, so that it may go without what was seen."""

    @app.post(f"/api/v1/bays/{{bay}}/{name}", name=name, status_code=HTTPStatus.ACCEPTED)
    async def order(bay: str, seen: Seen | None = None) -> Accepted:
        _bay(station, bay)
        await give(bay, seen.sighting if seen is not None else None)
        return Accepted(order=name, bay=bay)


def _bay(station: StationPort, name: str) -> BaySnapshot:
    for bay in station.snapshot().bays:
        if bay.name == name:
            return bay
    raise NotFound("there is no such bay", subject=f"bay {name}", remedy="`eraser status` lists the bays.")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(EraserError)
    async def tell(request: Request, error: EraserError) -> Response:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    async def tell_invalid(request: Request, error: RequestValidationError) -> Response:
        first: dict[str, Any] = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        wrong = UsageError(f"the request is not in order: {first['msg']}", subject=place)
        return problem_response(wrong, HTTPStatus.UNPROCESSABLE_ENTITY)

    @app.exception_handler(HTTPException)
    async def tell_http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        return problem_response(NotFound(str(error.detail), subject=request.url.path), status)

    @app.exception_handler(Exception)
    async def tell_fault(request: Request, error: Exception) -> Response:
        # What happened is in the log and no business of whoever asked.
        return problem_response(EraserError("a fault of this program stopped it", remedy="See the station's log."))
