"""How the station answers: the API over TCP and its Unix socket, and the pages."""

import socket
import time
from contextlib import AsyncExitStack

import click

from eraser.audits.filed import FiledAudits
from eraser.cli.serving.proving import filed_certificates, taking_back
from eraser.cli.station import new_id, now_utc
from eraser.configuration.model import Configuration
from eraser.console.customers import Customers
from eraser.console.desk import Desk
from eraser.console.orders import Books
from eraser.console.pages import pages_router
from eraser.console.pages.desk import desk_pages
from eraser.console.server import serve_http
from eraser.console.wall import Records, Wall
from eraser.domain.shift import shifts_of
from eraser.ledger.accounts import Accounts
from eraser.ledger.alarms import AlarmBook
from eraser.ledger.answers import Answers
from eraser.ledger.attendances import Attendances
from eraser.ledger.ended_jobs import EndedJobs
from eraser.ledger.specifications import Specifications
from eraser.ledger.station_ledger import StationLedger
from eraser.ledger.trail import Trail
from eraser.log.gate import SigningGate
from eraser.privacy.opening import OpensLate
from eraser.rack.controls import Controls
from eraser.rack.leftovers import Leftovers
from eraser.rack.station import Rack


async def answer(
    rack: Rack,
    configuration: Configuration,
    ledger: StationLedger,
    leftovers: Leftovers,
    controls: Controls,
    gate: SigningGate,
    stack: AsyncExitStack,
    *,
    is_demo: bool,
) -> Wall:
    """Serves until the stack ends, and gives the wall; at the first start it says how the first account is made."""
    http = configuration.http
    accounts = Accounts(ledger.store, now_utc, time.time)
    books = Books(Trail(ledger.store), Answers(ledger.store), now_utc, time.time)
    station_id, (withdraw, destroy) = configuration.station.id, taking_back(configuration, ledger, gate)
    await leftovers.finish_documents(withdraw, destroy)
    vault = OpensLate(configuration.data, configuration.ledger_url, now_utc=now_utc, new_id=new_id)
    stack.callback(vault.close)
    filed = filed_certificates(configuration, ledger)
    stack.push_async_callback(filed.close)
    desk = Desk(
        ledger.custody,
        ledger.lots,
        ledger.intake,
        station_id,
        now_utc,
        leftovers.end_jobs,
        withdraw,
        destroy,
        filed,
        http.public_url,
        Specifications(ledger.store, now_utc),
        controls,
        Attendances(ledger.store, now_utc),
        FiledAudits(ledger.store, filed.folders, now_utc, new_id, gate.expect_open),
        Customers(vault),
    )
    records = Records(
        AlarmBook(ledger.store, station_id, now_utc), EndedJobs(ledger.store, station_id), ledger.journal.entries
    )
    wall = Wall(rack.snapshot, now_utc, records=records, shifts=shifts_of(configuration.shifts))
    pages = pages_router(rack, wall, entries=ledger.journal.entries, custody=ledger.custody)
    pages.include_router(desk_pages(desk, rack))
    await stack.enter_async_context(
        serve_http(
            rack,
            listen=http.listen,
            socket=http.socket,
            desk=desk,
            accounts=accounts,
            books=books,
            pages=pages,
            wall=wall,
            is_demo=is_demo,
            trusted_proxies=configuration.console.trusted_proxies,
        )
    )
    if not is_demo and not await accounts.any():
        link = await accounts.set_up_link()
        click.echo(
            f"Nobody has an account yet. Whoever opens this first, within 24 h, is the administrator:\n"
            f"  {_address(http.listen)}/set-up?link={link}",
            err=True,
        )
    return wall


def _address(listen: str) -> str:
    """Where a browser finds what listens there."""
    host, _, port = listen.rpartition(":")
    return f"http://{socket.gethostname() if host in ('0.0.0.0', '[::]') else host}:{port}"
