"""`eraser serve`: this host as a station. It runs until it is told to stop, and then stops at checkpoints."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eraser import settings

if TYPE_CHECKING:  # loaded by the command itself, not by its help
    from eraser.certificates.destroying import Destroying
    from eraser.certificates.filed import FiledCertificates
    from eraser.certificates.withdrawing import Withdrawing
    from eraser.cli.notifying import Manager
    from eraser.configuration.model import Configuration
    from eraser.ledger.station_ledger import StationLedger
    from eraser.log.gate import SigningGate
    from eraser.privacy.expiring import Expiring
    from eraser.rack.erasing import Request, Station
    from eraser.rack.intake import LotIntake
    from eraser.rack.ledger_health import LedgerHealth
    from eraser.rack.leftovers import Leftovers
    from eraser.rack.log_keeping import LogKeeper
    from eraser.rack.simulated.shelf import SimulatedRack
    from eraser.rack.simulated.story import Story
    from eraser.rack.station import Rack
    from eraser.rack.watchdog import Thermometer, Watch

SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter while another waits for it; five times less than usual."""

END_SECONDS = 9.0
"""After the signal: then the process ends whatever hangs. What is on record is believed, the kernel holds the drive."""


@dataclass(frozen=True, slots=True)
class _Simulation:
    bays: int
    is_fast: bool
    seed: int
    over_zram: bool


@click.command("serve", short_help="Run the station: erase what is plugged into its bays.")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), metavar="FILE", help="Instead of $ERASER_CONFIG."
)
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Ledger, keys, certificates."
)
@click.option("--listen", metavar="HOST:PORT", help="Where to answer; the configuration says 127.0.0.1:8080.")
@click.option(
    "--simulate", type=click.IntRange(1, 200), metavar="N", help="A fictional rack of N bays; no drive is touched."
)
@click.option(
    "--simulate-devices",
    type=click.Choice(["image", "zram"]),
    default="image",
    help="What simulated drives are: files, or as root real block devices of compressed memory.",
)
@click.option("--fast", is_flag=True, help="Small drives, so that there is something to see within a minute.")
@click.option("--seed", type=int, default=1, help="Of the simulation's story.")
def serve_command(
    config_path: Path | None,
    data: Path | None,
    listen: str | None,
    simulate: int | None,
    simulate_devices: str,
    fast: bool,
    seed: int,
) -> None:
    """Watch the bays; identify, guard, plan and erase the drives that are plugged into them.

    Drives wait for somebody to start them unless the configuration says `start = "by-itself"`. SIGTERM, SIGINT: every job
    stops at a checkpoint, and goes on when the station runs again. SIGHUP: the configuration is read again.
    """
    simulation = _Simulation(simulate, fast, seed, simulate_devices == "zram") if simulate is not None else None
    # Of many threads that are busy with drives, the loop's waits for none longer than this.
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.run(_serve(lambda: _configuration(config_path, data, listen, simulation), simulation))


def _configuration(
    path: Path | None, data: Path | None, listen: str | None, simulation: _Simulation | None
) -> "Configuration":
    from eraser.configuration.reading import load
    from eraser.configuration.writing import exists

    overrides: dict[str, object] = {}
    if data is None and simulation is not None:
        data = settings.data_dir(os.environ) / "simulated"
    if data is not None:
        data = data.absolute()
        overrides["data"] = str(data)
    http = {"listen": listen} if listen else {}
    if simulation is not None and data is not None:
        http["socket"] = str(data / "eraser.sock")
    if http:
        overrides["http"] = http
    if simulation is not None:
        return load(path, os.environ, overrides)
    found = path or settings.config_file(os.environ)
    return load(found if path is not None or exists(found) else None, os.environ, overrides)


def _begin_log(configuration: "Configuration") -> None:
    from eraser import logging
    from eraser.configuration.model import LogFormat

    chosen = configuration.logging
    as_json = chosen.format is LogFormat.JSON or (chosen.format is LogFormat.AUTO and not sys.stderr.isatty())
    logging.configure(chosen.level, as_json=as_json, serials=chosen.serials.value)


async def _serve(read: "Callable[[], Configuration]", simulation: _Simulation | None) -> None:
    from eraser.cli.asking import summary_words
    from eraser.cli.notifying import Manager, keep_told
    from eraser.cli.reloading import Reload
    from eraser.cli.station import now_utc
    from eraser.log.gate import SigningGate
    from eraser.rack.ledger_health import LedgerHealth, keep_lease
    from eraser.rack.leftovers import Leftovers
    from eraser.rack.routine_keeping import keep_routine

    configuration = read()
    _begin_log(configuration)
    health, gate, manager = LedgerHealth(), SigningGate(), Manager(os.environ)
    async with AsyncExitStack() as stack:
        ledger = await _ledger(configuration, health, stack)
        story = None
        if simulation is not None:
            rack, story = await _simulated(configuration, simulation, ledger, health, gate, stack)
        else:
            rack = await _real(configuration, ledger, health, gate, stack)
        keeper = await _log(configuration, ledger, health, gate)
        await keeper.look()  # before anything is signed
        reload = Reload(rack, manager, configuration, read, lambda new: _reconfigure(rack, new, ledger, simulation))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _stop, rack, manager)
        if not sys.stderr.isatty():  # on a terminal it means that the terminal is gone
            loop.add_signal_handler(signal.SIGHUP, reload.ask)
        leftovers = Leftovers(rack.parts, ledger.journal, rack.trouble)
        await _answer(rack, configuration, ledger, leftovers, gate, stack, is_demo=simulation is not None)
        await leftovers.first()
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(keep_lease(ledger.journal, rack.trouble)),
                tasks.create_task(keeper.run()),
                tasks.create_task(keep_routine(ledger.store, now_utc, health)),
                tasks.create_task(leftovers.run()),
                tasks.create_task(reload.run()),
                tasks.create_task(_expiring(configuration, rack).run()),
                tasks.create_task(keep_told(manager, rack, lambda: summary_words(rack.snapshot()))),
            ]
            if story is not None:
                beside.append(tasks.create_task(story.play()))
            await rack.run()
            for task in beside:
                task.cancel()


def _stop(rack: "Rack", manager: "Manager") -> None:
    manager.stopping()
    rack.stop()
    # Not the loop's: whatever holds the loop up must not hold this up.
    end = threading.Timer(END_SECONDS, os._exit, (0,))
    end.daemon = True
    end.start()


def _reconfigure(
    rack: "Rack", configuration: "Configuration", ledger: "StationLedger", simulation: _Simulation | None
) -> None:
    """What can be taken up while it runs. The fictional rack keeps its own bays and starts by itself."""
    _begin_log(configuration)
    by_itself = simulation is not None or configuration.lots.start == "by-itself"
    intake = _intake(configuration, ledger, starts_by_itself=by_itself)
    bay_map = configuration.bay_map() if simulation is None else rack.map
    rack.reconfigure(bay_map, intake, _watch(configuration, rack.watch.thermometer))


async def _answer(
    rack: "Rack",
    configuration: "Configuration",
    ledger: "StationLedger",
    leftovers: "Leftovers",
    gate: "SigningGate",
    stack: AsyncExitStack,
    *,
    is_demo: bool,
) -> None:
    import time

    from eraser.cli.station import now_utc
    from eraser.console.desk import Desk
    from eraser.console.orders import Books
    from eraser.console.pages import pages_router
    from eraser.console.pages.desk import desk_pages
    from eraser.console.server import serve_http
    from eraser.console.wall import Wall
    from eraser.ledger.accounts import Accounts
    from eraser.ledger.answers import Answers
    from eraser.ledger.attendances import Attendances
    from eraser.ledger.specifications import Specifications
    from eraser.ledger.trail import Trail

    http = configuration.http
    accounts = Accounts(ledger.store, now_utc, time.time)
    books = Books(Trail(ledger.store), Answers(ledger.store), now_utc, time.time)
    station_id, (withdraw, destroy) = configuration.station.id, _taking_back(configuration, ledger, gate)
    await leftovers.finish_documents(withdraw, destroy)
    filed = _filed(configuration, ledger)
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
        Attendances(ledger.store, now_utc),
    )
    wall = Wall(rack.snapshot, now_utc)
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
        )
    )
    if not is_demo and not await accounts.any():
        link = await accounts.set_up_link()
        click.echo(
            f"Nobody has an account yet. Whoever opens this first, within 24 h, is the administrator:\n"
            f"  {_address(http.listen)}/set-up?link={link}",
            err=True,
        )


def _address(listen: str) -> str:
    """Where a browser finds what listens there."""
    import socket

    host, _, port = listen.rpartition(":")
    return f"http://{socket.gethostname() if host in ('0.0.0.0', '[::]') else host}:{port}"


def _expiring(configuration: "Configuration", rack: "Rack") -> "Expiring":
    from eraser.cli.station import new_id, now_utc
    from eraser.privacy.expiring import Expiring

    url, station_id = configuration.ledger_url, configuration.station.id
    return Expiring(configuration.data, url, station_id, rack.trouble, now_utc=now_utc, new_id=new_id)


def _taking_back(
    configuration: "Configuration", ledger: "StationLedger", gate: "SigningGate"
) -> "tuple[Withdrawing, Destroying]":
    from eraser.certificates.destroying import Destroying
    from eraser.certificates.withdrawing import Withdrawing
    from eraser.cli.station import new_id, now_utc
    from eraser.domain.certificate import Station as CertifiedStation

    data = configuration.data
    station = CertifiedStation(configuration.station.id, configuration.station.location)
    certificates, keys = data / "certificates", data / "keys"
    may_sign = gate.expect_open
    return (
        Withdrawing(ledger.store, certificates, keys, station, now_utc=now_utc, new_id=new_id, expect_open=may_sign),
        Destroying(ledger.store, certificates, keys, station, now_utc=now_utc, new_id=new_id, expect_open=may_sign),
    )


def _filed(configuration: "Configuration", ledger: "StationLedger") -> "FiledCertificates":
    from eraser.certificates.filed import FiledCertificates, Folders

    data = configuration.data
    return FiledCertificates(ledger.store, Folders(data / "certificates", data / "keys", data / "log"))


async def _ledger(configuration: "Configuration", health: "LedgerHealth", stack: AsyncExitStack) -> "StationLedger":
    """The one that the configuration names, held for this station until the stack ends."""
    from eraser.cli.station import now_utc
    from eraser.ledger.station_ledger import open_ledger

    opened = open_ledger(configuration.ledger_url, configuration.station.id, now_utc, on_commit=health.committed)
    return await stack.enter_async_context(opened)


async def _log(
    configuration: "Configuration", ledger: "StationLedger", health: "LedgerHealth", gate: "SigningGate"
) -> "LogKeeper":
    """Its key is not the certificates': what one signs must not pass for what the other does."""
    from eraser.certificates.log_keys import StationLogKeys
    from eraser.cli.station import now_utc
    from eraser.rack.log_keeping import LogFolder, LogKeeper

    keys = StationLogKeys(configuration.data / "keys" / "log", configuration.log_origin)
    await asyncio.to_thread(keys.known)  # makes the first one
    folder = LogFolder(configuration.data / "log")
    certificates = configuration.data / "certificates"
    return LogKeeper(
        ledger.store, configuration.log_origin, keys, folder, now_utc, health, gate, certificates=certificates
    )


def _parts(configuration: "Configuration", ledger: "StationLedger", gate: "SigningGate") -> "Station":
    from eraser.certificates.issuer import StationIssuer
    from eraser.cli.station import new_id, now_utc
    from eraser.domain.certificate import Station as CertifiedStation
    from eraser.ledger.journal import FileJournal
    from eraser.privacy.opening import Committing
    from eraser.rack.blocking import in_own_thread
    from eraser.rack.erasing import Station
    from eraser.rack.leftovers import BesideFiles

    data = configuration.data
    issuer = StationIssuer(
        data / "certificates",
        data / "keys",
        now_utc=now_utc,
        new_id=new_id,
        station=CertifiedStation(configuration.station.id, configuration.station.location),
        commit=Committing(data, configuration.ledger_url, configuration.station.id, now_utc=now_utc, new_id=new_id),
        expect_open=gate.expect_open,
    )
    journal = BesideFiles(ledger.journal, FileJournal(data / "journal", now_utc), in_own_thread)
    return Station(journal, issuer, now_utc, os.urandom, new_id, waits_for_room=True)


def _request(configuration: "Configuration") -> "Request":
    from eraser.rack.erasing import Request

    lots = configuration.lots
    return Request(
        lots.standard,
        lots.level,
        lots.verification,
        operator=configuration.station.id,
        failure=lots.failure.criteria(),
    )


def _watch(configuration: "Configuration", thermometer: "Thermometer") -> "Watch":
    from eraser.rack.watchdog import Watch

    heat = configuration.temperature
    return Watch(configuration.watchdog.limits(), heat.heat(), heat.heat_of_flash(), thermometer)


def _intake(configuration: "Configuration", ledger: "StationLedger", *, starts_by_itself: bool) -> "LotIntake":
    from eraser.cli.station import now_utc
    from eraser.rack.intake import Intake, LotIntake

    usual = Intake(_request(configuration), starts_by_itself)
    return LotIntake(ledger.intake, usual, configuration.station.id, now_utc)


async def _real(
    configuration: "Configuration",
    ledger: "StationLedger",
    health: "LedgerHealth",
    gate: "SigningGate",
    stack: AsyncExitStack,
) -> "Rack":
    from eraser.drives.discovery import LIVE
    from eraser.rack.history import LedgerHistory
    from eraser.rack.hotplug import Hotplug
    from eraser.rack.station import HostDrives, Rack

    events = await stack.enter_async_context(Hotplug(LIVE))
    intake = _intake(configuration, ledger, starts_by_itself=configuration.lots.start == "by-itself")
    parts = _parts(configuration, ledger, gate)
    history = LedgerHistory(ledger.journal)
    drives = HostDrives(LIVE)
    watch = _watch(configuration, drives.celsius)
    return Rack(parts, drives, events, configuration.bay_map(), intake, history, health, watch)


async def _simulated(
    configuration: "Configuration",
    simulation: _Simulation,
    ledger: "StationLedger",
    health: "LedgerHealth",
    gate: "SigningGate",
    stack: AsyncExitStack,
) -> "tuple[Rack, Story]":
    import random
    from dataclasses import replace

    from eraser.engine.tuning import tuning_for
    from eraser.rack.history import LedgerHistory
    from eraser.rack.simulated import story
    from eraser.rack.simulated.images import Images
    from eraser.rack.simulated.shelf import SimulatedRack, rack_map
    from eraser.rack.station import Rack
    from eraser.rack.watchdog import no_thermometer

    pace = story.FAST if simulation.is_fast else story.NORMAL
    shelf = SimulatedRack(Images(configuration.data / "drives"))
    if simulation.over_zram:
        shelf, most_bytes = await _zram_rack(configuration, simulation.bays, pace.least_bytes, stack)
        pace = pace.within(most_bytes)
    bay_map = rack_map(simulation.bays)
    parts = replace(
        _parts(configuration, ledger, gate),
        hold=shelf.hold,
        tune=lambda drive: replace(
            tuning_for(drive), no_progress_seconds=pace.no_progress_seconds, checkpoint_seconds=5.0
        ),
    )
    intake = _intake(configuration, ledger, starts_by_itself=True)
    watch = _watch(configuration, no_thermometer)
    # Here drives that hang are given up early: what there is to see is seen before.
    limits = replace(watch.limits, io_seconds=min(watch.limits.io_seconds, pace.no_progress_seconds / 2))
    watch = replace(watch, limits=limits)
    rack = Rack(parts, shelf, shelf, bay_map, intake, LedgerHistory(ledger.journal), health, watch)
    chance = random.Random(simulation.seed)
    return rack, story.Story(shelf, bay_map, rack.snapshot, chance, pace, keeps_departed=not simulation.over_zram)


async def _zram_rack(
    configuration: "Configuration", bays: int, least_bytes: int, stack: AsyncExitStack
) -> "tuple[SimulatedRack, int]":
    """A rack over zram disks, which go when the station ends, and the bytes that each may have. Raises Refused."""
    from eraser.drives.discovery import LIVE
    from eraser.rack.simulated.zram import ZramDisks, ZramRack

    disks = ZramDisks(configuration.data / "zram", LIVE)
    most_bytes = disks.refuse_if_lacking(bays, least_bytes)
    stack.callback(disks.close)
    rack = ZramRack(disks, LIVE)
    await stack.enter_async_context(rack.hotplug)
    return rack, most_bytes
