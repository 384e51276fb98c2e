"""The HTTP API: what can be asked of the station and what it can be told. Its shapes are in `forms`."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount

from eraser.console.access import Gate, problem_response
from eraser.console.accounts import Reception, accounts_router
from eraser.console.alarms import Alarm, Alarms, Kind
from eraser.console.desk import Desk, desk_router
from eraser.console.events import Broadcast, EventStream
from eraser.console.forms import StationForm, station_form
from eraser.console.identity import Recognise, Viewer, anyone, demand_of, require, signed_in, viewer_of
from eraser.console.metrics import MetricsPage, exposition_for
from eraser.console.orders import Orders
from eraser.console.pages.account_pages import account_pages, redirect_to_sign_in
from eraser.console.pages.rendering import render_problem
from eraser.console.problems import MEDIA_TYPE, NotFound, Unauthenticated, status_of
from eraser.domain.account import Permission
from eraser.errors import EraserError, UsageError
from eraser.rack.view import BaySnapshot, BayState, StationPort

STATIC = "/static"
"""Below it is what everybody may load: the pages' scripts, styles and pictures."""

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


class TakeOrder(BaseModel):
    """Which alarm somebody takes in hand: an entry of `GET /api/v1/alarms`; no bay: the station's."""

    model_config = ConfigDict(extra="forbid")
    bay: Annotated[str, Field(max_length=64)] = ""
    sighting: Annotated[str, Field(max_length=64)] = ""
    kind: Kind


class Switch(BaseModel):
    """On or off."""

    model_config = ConfigDict(extra="forbid")
    on: StrictBool


class Accepted(BaseModel):
    """The order was accepted; the station carries it out."""

    order: str
    bay: str = ""


def create_app(
    station: StationPort,
    metrics: MetricsPage,
    desk: Desk | None = None,
    *,
    recognise: Recognise,
    events: Broadcast | None = None,
    pages: APIRouter | None = None,
    reception: Reception | None = None,
    alarms: Alarms | None = None,
) -> FastAPI:
    """The application that answers for this station; without a desk it knows no lots and no custody, without `pages` it has an
    API only, without a reception it knows no accounts and writes nothing down.

    Raises AssertionError for a route that does not say for whom it is (`identity`).
    """
    app = FastAPI(
        title="Eraser",
        version=version("eraser"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
    )
    if reception is not None:
        app.add_middleware(Orders, books=reception.books)
    app.add_middleware(Gate, recognise=recognise)
    app.state.events = events = events or Broadcast(station.snapshot)
    _add_monitoring(app, station, metrics)
    _add_looks(app, station)
    _add_events(app, events, recognise)
    _add_orders(app, station)
    if desk is not None:
        app.include_router(desk_router(desk, station))
    if reception is not None:
        app.include_router(accounts_router(reception))
    if alarms is not None:
        _add_alarms(app, alarms)
    if pages is not None:
        app.include_router(pages)
    if reception is not None:
        app.include_router(account_pages(reception))
    _add_description(app)
    _add_errors(app)
    _require_demands(app)
    return app


def served_routes(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, BaseRoute]]:
    """All of them with their paths, also those of the routers that were included, which FastAPI keeps as they are."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            context = getattr(route, "include_context", None)
            yield from served_routes(included.routes, prefix + getattr(context, "prefix", ""))
        else:
            yield prefix + getattr(route, "path", ""), route


def _require_demands(app: FastAPI) -> None:
    for path, route in served_routes(app.routes):
        is_static = isinstance(route, Mount) and path == STATIC
        says = isinstance(route, APIRoute) and demand_of(route) is not None
        assert is_static or says, f"{path} does not say for whom it is: see eraser.console.identity"


def _add_monitoring(app: FastAPI, station: StationPort, metrics: MetricsPage) -> None:
    everybody = [Depends(anyone)]

    @app.get("/metrics", response_class=Response, dependencies=everybody)
    async def show_metrics(request: Request) -> Response:
        form = exposition_for(request.headers.get("accept", ""))
        return Response(await metrics.text(form), headers={"content-type": form.value})

    @app.get("/health/live", dependencies=everybody)
    async def is_live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/health/ready", dependencies=everybody)
    async def is_ready() -> JSONResponse:
        reasons = [trouble.brief for trouble in station.snapshot().troubles]
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=status)


def _add_looks(app: FastAPI, station: StationPort) -> None:
    to_look = [Depends(require(Permission.VIEW_RACK))]

    @app.get("/api/v1/station", dependencies=to_look)
    async def show_station() -> StationForm:
        return station_form(station.snapshot())

    @app.get("/api/v1/bays", dependencies=to_look)
    async def show_bays(state: Annotated[list[BayState] | None, Query()] = None) -> tuple[BaySnapshot, ...]:
        return tuple(bay for bay in station.snapshot().bays if not state or bay.state in state)

    @app.get("/api/v1/bays/{bay}", dependencies=to_look)
    async def show_bay(bay: str) -> BaySnapshot:
        return _bay(station, bay)


def _add_alarms(app: FastAPI, alarms: Alarms) -> None:
    @app.get("/api/v1/alarms", dependencies=[Depends(require(Permission.VIEW_RACK))])
    async def show_alarms() -> tuple[Alarm, ...]:
        return alarms.all()

    @app.post("/api/v1/alarms/taken")
    async def take(order: TakeOrder, viewer: Annotated[Viewer, Depends(require(Permission.OPERATE))]) -> Alarm:
        return await alarms.take(order.bay, order.sighting, order.kind, viewer.name)


def _add_events(app: FastAPI, events: Broadcast, recognise: Recognise) -> None:
    to_look = require(Permission.VIEW_RACK)

    @app.get(
        "/api/v1/events",
        dependencies=[Depends(to_look)],
        response_class=Response,
        responses={200: {"description": "Server-sent events, without end", "content": {"text/event-stream": {}}}},
    )
    async def listen(request: Request) -> Response:
        async def may_listen() -> bool:
            return (await recognise(request.scope)).may(Permission.VIEW_RACK)

        stream: EventStream = events.stream(request.headers.get("last-event-id", ""), may_listen)
        return _Answer(stream)


class _Answer(Response):
    """An answer that FastAPI passes on as it is."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._stream(scope, receive, send)


def _add_description(app: FastAPI) -> None:
    @app.get("/api/v1/openapi.json", dependencies=[Depends(signed_in)], include_in_schema=False)
    async def describe() -> JSONResponse:
        return JSONResponse(app.openapi())


def _add_orders(app: FastAPI, station: StationPort) -> None:
    operate, maintain_bays = require(Permission.OPERATE), require(Permission.MAINTAIN)

    @app.post("/api/v1/bays/{bay}/start", status_code=HTTPStatus.ACCEPTED)
    async def start(bay: str, order: StartOrder, viewer: Annotated[Viewer, Depends(operate)]) -> Accepted:
        _bay(station, bay)
        await station.start(bay, order.standard or "", order.sighting, operator=viewer.name)
        return Accepted(order="start", bay=bay)

    @app.post("/api/v1/bays/{bay}/retry", status_code=HTTPStatus.ACCEPTED)
    async def retry(bay: str, order: Seen, viewer: Annotated[Viewer, Depends(operate)]) -> Accepted:
        _bay(station, bay)
        await station.retry(bay, order.sighting, operator=viewer.name)
        return Accepted(order="retry", bay=bay)

    @app.post("/api/v1/bays/{bay}/maintenance", status_code=HTTPStatus.ACCEPTED, dependencies=[Depends(maintain_bays)])
    async def maintain(bay: str, switch: Switch) -> Accepted:
        _bay(station, bay)
        await station.maintain(bay, on=switch.on)
        return Accepted(order="maintenance", bay=bay)

    @app.post("/api/v1/drain", status_code=HTTPStatus.ACCEPTED, dependencies=[Depends(maintain_bays)])
    async def drain(switch: Switch) -> Accepted:
        await station.drain(on=switch.on)
        return Accepted(order="drain")

    for name, give in (
        ("pause", station.pause),
        ("resume", station.resume),
        ("cancel", station.cancel),
        ("locate", station.locate),
    ):
        _add_plain_order(app, station, name, give)


def _add_plain_order(
    app: FastAPI, station: StationPort, name: str, give: Callable[[str, str | None], Awaitable[None]]
) -> None:
    """One that begins nothing new, so that it may go without what was seen."""

    @app.post(
        f"/api/v1/bays/{{bay}}/{name}",
        name=name,
        status_code=HTTPStatus.ACCEPTED,
        dependencies=[Depends(require(Permission.OPERATE))],
    )
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
        return _told(request, error)

    @app.exception_handler(RequestValidationError)
    async def tell_invalid(request: Request, error: RequestValidationError) -> Response:
        first: dict[str, Any] = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        wrong = UsageError(f"the request is not in order: {first['msg']}", subject=place)
        return problem_response(wrong, HTTPStatus.UNPROCESSABLE_ENTITY)

    @app.exception_handler(HTTPException)
    async def tell_http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        if not viewer_of(request).is_signed_in:
            # What there is and is not is nobody's business who is not known.
            await_sign_in = Unauthenticated("you are not signed in", subject=request.url.path, remedy="Sign in.")
            return _told(request, await_sign_in)
        return _told(request, NotFound(str(error.detail), subject=request.url.path), status)

    @app.exception_handler(Exception)
    async def tell_fault(request: Request, error: Exception) -> Response:
        # What happened is in the log and no business of whoever asked.
        return problem_response(EraserError("a fault of this program stopped it", remedy="See the station's log."))


def _told(request: Request, error: EraserError, status: HTTPStatus | None = None) -> Response:
    """The error as a document; whoever only has to sign in for a page is led there, and back."""
    is_page = request.method in ("GET", "HEAD") and not request.url.path.startswith("/api/")
    if isinstance(error, Unauthenticated) and is_page and "text/html" in request.headers.get("accept", ""):
        return redirect_to_sign_in(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
    if is_page and "text/html" in request.headers.get("accept", ""):
        return render_problem(request, error, status or status_of(error))
    return problem_response(error, status)
