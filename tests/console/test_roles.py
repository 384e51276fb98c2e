"""Each role at each route, as the application itself lists them: a route that is not in the table here fails."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from fastapi.routing import APIRoute

from eraser.console.app import create_app, served_routes
from eraser.console.identity import Required, anyone, demand_of, with_roles
from eraser.console.metrics import MetricsPage
from eraser.domain.account import PERMISSIONS, Permission, Role
from tests.console.people import Plant
from tests.console.serving import ask
from tests.console.stations import FakeStation

P = Permission
EVERYBODY = "anyone"
SIGNED_IN = "signed-in"

ROUTES: dict[tuple[str, str], Permission | str] = {
    ("GET", "/metrics"): EVERYBODY,
    ("GET", "/health/live"): EVERYBODY,
    ("GET", "/health/ready"): EVERYBODY,
    ("GET", "/sign-in"): EVERYBODY,
    ("POST", "/sign-in"): EVERYBODY,
    ("GET", "/account"): SIGNED_IN,
    ("POST", "/account/password"): SIGNED_IN,
    ("GET", "/accounts"): P.MANAGE_ACCOUNTS,
    ("POST", "/accounts"): P.MANAGE_ACCOUNTS,
    ("GET", "/trail"): P.VIEW_TRAIL,
    ("POST", "/sign-out"): SIGNED_IN,
    ("GET", "/set-up"): EVERYBODY,
    ("POST", "/set-up"): EVERYBODY,
    ("GET", "/wall-screen"): EVERYBODY,
    ("GET", "/api/v1/openapi.json"): SIGNED_IN,
    ("GET", "/api/v1/station"): P.VIEW_RACK,
    ("GET", "/api/v1/bays"): P.VIEW_RACK,
    ("GET", "/api/v1/bays/{bay}"): P.VIEW_RACK,
    ("GET", "/api/v1/events"): P.VIEW_RACK,
    ("POST", "/api/v1/bays/{bay}/start"): P.OPERATE,
    ("POST", "/api/v1/bays/{bay}/retry"): P.OPERATE,
    ("POST", "/api/v1/bays/{bay}/pause"): P.OPERATE,
    ("POST", "/api/v1/bays/{bay}/resume"): P.OPERATE,
    ("POST", "/api/v1/bays/{bay}/cancel"): P.OPERATE,
    ("POST", "/api/v1/bays/{bay}/locate"): P.OPERATE,
    ("POST", "/api/v1/bays/{bay}/maintenance"): P.MAINTAIN,
    ("POST", "/api/v1/drain"): P.MAINTAIN,
    ("GET", "/api/v1/lots"): P.VIEW_LOTS,
    ("GET", "/api/v1/lots/{lot_id}"): P.VIEW_LOTS,
    ("POST", "/api/v1/lots"): P.MANAGE_LOTS,
    ("PUT", "/api/v1/lots/{lot_id}"): P.MANAGE_LOTS,
    ("POST", "/api/v1/lots/{lot_id}/open"): P.MANAGE_LOTS,
    ("POST", "/api/v1/lots/{lot_id}/close"): P.MANAGE_LOTS,
    ("POST", "/api/v1/tags"): P.BIND_TAGS,
    ("GET", "/api/v1/custody"): P.VIEW_CUSTODY,
    ("POST", "/api/v1/custody"): P.RECORD_CUSTODY,
    ("POST", "/api/v1/certificates/{certificate_id}/withdrawal"): P.WITHDRAW_CERTIFICATES,
    ("POST", "/api/v1/session"): EVERYBODY,
    ("GET", "/api/v1/session"): SIGNED_IN,
    ("DELETE", "/api/v1/session"): SIGNED_IN,
    ("PUT", "/api/v1/session/language"): SIGNED_IN,
    ("PUT", "/api/v1/session/password"): SIGNED_IN,
    ("POST", "/api/v1/password"): EVERYBODY,
    ("GET", "/api/v1/accounts"): P.MANAGE_ACCOUNTS,
    ("POST", "/api/v1/accounts"): P.MANAGE_ACCOUNTS,
    ("PATCH", "/api/v1/accounts/{name}"): P.MANAGE_ACCOUNTS,
    ("POST", "/api/v1/accounts/{name}/reset"): P.MANAGE_ACCOUNTS,
    ("GET", "/api/v1/tokens"): P.MANAGE_ACCOUNTS,
    ("POST", "/api/v1/tokens"): P.MANAGE_ACCOUNTS,
    ("DELETE", "/api/v1/tokens/{token_id}"): P.MANAGE_ACCOUNTS,
    ("GET", "/api/v1/trail"): P.VIEW_TRAIL,
    ("GET", "/api/v1/reports"): P.VIEW_REPORTS,
    ("GET", "/api/v1/reports.csv"): P.VIEW_REPORTS,
    ("GET", "/reports"): P.VIEW_REPORTS,
    ("GET", "/api/v1/audits"): P.VIEW_AUDITS,
    ("POST", "/api/v1/audits"): P.RUN_AUDITS,
    ("GET", "/api/v1/audits/{audit_id}"): P.VIEW_AUDITS,
    ("GET", "/api/v1/audits/{audit_id}.pdf"): P.VIEW_AUDITS,
    ("GET", "/api/v1/audits/{audit_id}.csv"): P.VIEW_AUDITS,
    ("GET", "/api/v1/audits/{audit_id}.json"): P.VIEW_AUDITS,
    ("GET", "/api/v1/audits/{audit_id}.record"): P.VIEW_AUDITS,
    ("GET", "/api/v1/audits/{audit_id}.plan"): P.VIEW_AUDITS,
    ("POST", "/api/v1/audits/{audit_id}/marks"): P.RUN_AUDITS,
    ("POST", "/api/v1/audits/{audit_id}/record"): P.RUN_AUDITS,
    ("GET", "/api/v1/routine"): P.VIEW_AUDITS,
    ("POST", "/api/v1/routine/draws"): P.RUN_AUDITS,
    ("GET", "/audits"): P.VIEW_AUDITS,
    ("POST", "/audits/routine"): P.RUN_AUDITS,
    ("GET", "/audits/new"): P.RUN_AUDITS,
    ("POST", "/audits/new"): P.RUN_AUDITS,
    ("GET", "/audits/{audit_id}"): P.VIEW_AUDITS,
    ("POST", "/audits/{audit_id}/marks"): P.RUN_AUDITS,
    ("POST", "/audits/{audit_id}/record"): P.RUN_AUDITS,
    ("GET", "/api/v1/certificates"): P.VIEW_CERTIFICATES,
    ("GET", "/api/v1/certificates.zip"): P.VIEW_CERTIFICATES,
    ("GET", "/api/v1/certificates/{certificate_id}.pdf"): P.VIEW_CERTIFICATES,
    ("GET", "/api/v1/certificates/{certificate_id}.bundle"): P.VIEW_CERTIFICATES,
    ("GET", "/api/v1/certificates/{certificate_id}"): P.VIEW_CERTIFICATES,
    ("GET", "/api/v1/log/checkpoint"): P.VIEW_CERTIFICATES,
    ("GET", "/api/v1/log/key"): P.VIEW_CERTIFICATES,
    ("GET", "/api/v1/log/update"): P.VIEW_CERTIFICATES,
    ("POST", "/api/v1/lots/{lot_id}/expected/import"): P.MANAGE_LOTS,
    ("POST", "/api/v1/lots/{lot_id}/scan"): P.VIEW_LOTS,
    ("POST", "/api/v1/specifications"): P.MANAGE_LOTS,
    ("GET", "/api/v1/specifications"): P.VIEW_CERTIFICATES,
    ("GET", "/api/v1/specifications/{reference}"): P.VIEW_CERTIFICATES,
    ("GET", "/api/v1/customers"): P.VIEW_PERSONAL_DATA,
    ("POST", "/api/v1/customers"): P.ENTER_PERSONAL_DATA,
    ("GET", "/api/v1/customers/reads"): P.VIEW_PERSONAL_DATA,
    ("GET", "/api/v1/customers/retention"): P.VIEW_PERSONAL_DATA,
    ("POST", "/api/v1/customers/search"): P.VIEW_PERSONAL_DATA,
    ("POST", "/api/v1/customers/{record_id}/read"): P.VIEW_PERSONAL_DATA,
    ("POST", "/api/v1/customers/{record_id}/receipt"): P.VIEW_PERSONAL_DATA,
    ("POST", "/api/v1/customers/{record_id}/export"): P.VIEW_PERSONAL_DATA,
    ("POST", "/api/v1/customers/{record_id}/erase"): P.ERASE_PERSONAL_DATA,
    ("GET", "/customers"): P.VIEW_PERSONAL_DATA,
    ("POST", "/customers"): P.VIEW_PERSONAL_DATA,
    ("GET", "/customers/new"): P.ENTER_PERSONAL_DATA,
    ("POST", "/customers/new"): P.ENTER_PERSONAL_DATA,
    ("GET", "/customers/{record_id}"): P.VIEW_PERSONAL_DATA,
    ("POST", "/customers/{record_id}/read"): P.VIEW_PERSONAL_DATA,
    ("POST", "/customers/{record_id}/receipt"): P.VIEW_PERSONAL_DATA,
    ("POST", "/customers/{record_id}/export"): P.VIEW_PERSONAL_DATA,
    ("POST", "/customers/{record_id}/erase"): P.ERASE_PERSONAL_DATA,
    ("GET", "/api/v1/alarms"): P.VIEW_RACK,
    ("POST", "/api/v1/alarms/taken"): P.OPERATE,
    ("GET", "/static/{asked_version}/{name:path}"): EVERYBODY,
    ("GET", "/language/{language}"): EVERYBODY,
    ("GET", "/"): P.VIEW_RACK,
    ("GET", "/bays/{name}"): P.VIEW_RACK,
    ("GET", "/bays/{name}/record"): P.VIEW_RACK,
    ("GET", "/failures"): P.VIEW_FAILURES,
    ("GET", "/lots"): P.VIEW_LOTS,
    ("GET", "/labels/size/{size}"): P.VIEW_LOTS,
    ("GET", "/specifications"): P.VIEW_CERTIFICATES,
    ("GET", "/lots/new"): P.MANAGE_LOTS,
    ("POST", "/lots/new"): P.MANAGE_LOTS,
    ("GET", "/lots/{lot_id}"): P.VIEW_LOTS,
    ("GET", "/lots/{lot_id}/picture"): P.VIEW_LOTS,
    ("GET", "/labels"): P.VIEW_CERTIFICATES,
    ("GET", "/labels/result"): P.VIEW_CERTIFICATES,
    ("GET", "/labels/intake"): P.VIEW_LOTS,
    ("GET", "/certificates"): P.VIEW_CERTIFICATES,
    ("GET", "/certificates/{certificate_id}"): P.VIEW_CERTIFICATES,
    ("GET", "/check"): EVERYBODY,
    ("POST", "/check"): EVERYBODY,
    ("GET", "/check/{code}"): EVERYBODY,
    ("POST", "/check/{code}"): EVERYBODY,
    ("GET", "/present"): P.ATTEND_CUSTOMERS,
    ("POST", "/present"): P.ATTEND_CUSTOMERS,
    ("GET", "/present/{token}/code"): P.ATTEND_CUSTOMERS,
    ("POST", "/present/{token}/start"): P.ATTEND_CUSTOMERS,
    # The address is the secret.
    ("GET", "/present/{token}"): EVERYBODY,
    ("GET", "/present/{token}/picture"): EVERYBODY,
    ("POST", "/present/{token}/consent"): EVERYBODY,
    ("POST", "/present/{token}/confirmation"): EVERYBODY,
    ("GET", "/present/{token}/certificate.pdf"): EVERYBODY,
}

HAS_MORE_THAN_LOOKS = {
    Role.OPERATOR: {P.OPERATE, P.BIND_TAGS, P.RECORD_CUSTODY, P.VIEW_FAILURES},
    Role.AUDITOR: {P.VIEW_FAILURES, P.VIEW_REPORTS, P.VIEW_AUDITS, P.RUN_AUDITS, P.VIEW_TRAIL},
    Role.PRIVACY_OFFICER: {P.VIEW_PERSONAL_DATA, P.ERASE_PERSONAL_DATA, P.VIEW_TRAIL},
}
"""Of the roles where one permission too many would be worst."""


def routes_of(plant: Plant) -> dict[tuple[str, str], Permission | str]:
    """What the application serves, and to whom it says it does."""
    found = {}
    for path, route in served_routes(plant.app.routes):
        assert isinstance(route, APIRoute), route
        demand = demand_of(route)
        assert demand is not None
        for method in route.methods:
            assert (method, path) not in found, "the second one is never served"
            found[method, path] = demand.permission if isinstance(demand, Required) else demand
    return found


async def test_every_route_is_for_whom_the_table_says(plant: Plant) -> None:
    found = routes_of(plant)
    assert found == ROUTES


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.DEMO, Role.HOST_USER, Role.MASTER)])
async def test_each_role_gets_what_its_permissions_open_and_nothing_else(plant: Plant, role: Role) -> None:
    bearer = await plant.entry_of(role)
    for (method, path), demand in ROUTES.items():
        if demand == EVERYBODY or path in ("/api/v1/events", "/sign-out", "/api/v1/session"):
            continue  # asked for elsewhere
        target = path.replace("{bay}", "A1").replace("{", "no-such-").replace("}", "")
        answer = await ask(plant.port, method, target, None if method == "GET" else {}, **bearer)
        may = demand == SIGNED_IN or demand in PERMISSIONS[role]
        if may:
            refused = answer.status == HTTPStatus.FORBIDDEN and b'"no-permission"' in answer.body
            assert answer.status < 500 and answer.status != HTTPStatus.UNAUTHORIZED and not refused, (
                method,
                path,
                answer,
            )
        else:
            assert answer.status == HTTPStatus.FORBIDDEN, (method, path, answer)


async def test_nobody_gets_nothing(plant: Plant) -> None:
    for (method, path), demand in ROUTES.items():
        if demand == EVERYBODY:
            continue
        target = path.replace("{bay}", "A1").replace("{", "").replace("}", "")
        answer = await ask(plant.port, method, target, None if method == "GET" else {})
        assert answer.status == HTTPStatus.UNAUTHORIZED, (method, path, answer)
        assert b"A1" not in answer.body.replace(target.encode(), b"")
    assert plant.station.orders == []


def test_only_the_privacy_officer_sees_what_customers_said_of_themselves() -> None:
    see = {role for role in Role if P.VIEW_PERSONAL_DATA in PERMISSIONS[role]}
    assert see == {Role.PRIVACY_OFFICER, Role.DEMO, Role.MASTER}
    enter = {role for role in Role if P.ENTER_PERSONAL_DATA in PERMISSIONS[role]}
    assert enter == {Role.CLERK, Role.DEMO, Role.MASTER}
    looks = PERMISSIONS[Role.HOST_USER]
    for role, more in HAS_MORE_THAN_LOOKS.items():
        assert PERMISSIONS[role] == looks | more
    assert PERMISSIONS[Role.WALL] == {P.VIEW_RACK}
    assert P.MANAGE_ACCOUNTS not in PERMISSIONS[Role.DEMO]


def test_whoever_runs_the_plant_looks_at_audits_and_draws_none() -> None:
    runs = {role for role in Role if P.RUN_AUDITS in PERMISSIONS[role]}
    assert runs == {Role.AUDITOR, Role.DEMO, Role.MASTER}
    assert P.VIEW_AUDITS in PERMISSIONS[Role.OPS]


def test_a_route_that_does_not_say_for_whom_it_is_is_not_served() -> None:
    from fastapi import APIRouter, Depends

    async def recognise(scope):
        return with_roles("x", Role.OPERATOR)

    pages = APIRouter()

    @pages.get("/forgotten")
    async def forgotten() -> str:
        return "seen by everybody"

    station = FakeStation()
    with pytest.raises(AssertionError, match="/forgotten"):
        create_app(station, MetricsPage(station.snapshot), recognise=recognise, pages=pages)
    said = APIRouter()
    said.add_api_route("/said", forgotten, dependencies=[Depends(anyone)])
    create_app(station, MetricsPage(station.snapshot), recognise=recognise, pages=said)
