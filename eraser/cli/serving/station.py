"""The station from its start to its end: what is put together in which order, what runs beside the rack, and what ends it."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack

from eraser import logging
from eraser.cli.asking import summary_words
from eraser.cli.notifying import Manager, keep_told
from eraser.cli.reloading import Reload
from eraser.cli.serving.answering import answer
from eraser.cli.serving.proving import (
    control_terms,
    expiring,
    log_keeper,
    open_station_ledger,
    positive_control,
    routine_terms,
)
from eraser.cli.serving.racks import Simulation, intake_of, real_rack, simulated_rack, watch_of
from eraser.cli.station import new_id, now_utc
from eraser.configuration.model import Configuration, LogFormat
from eraser.console.wall import Wall
from eraser.domain.shift import shifts_of
from eraser.ledger.station_ledger import StationLedger
from eraser.log.gate import SigningGate
from eraser.rack.ledger_health import LedgerHealth, keep_lease
from eraser.rack.leftovers import Leftovers
from eraser.rack.routine_keeping import RoutineKeeper
from eraser.rack.station import Rack

END_SECONDS = 9.0
"""After the signal: then the process ends whatever hangs. What is on record is believed, the kernel holds the drive."""


def _begin_log(configuration: Configuration) -> None:
    chosen = configuration.logging
    as_json = chosen.format is LogFormat.JSON or (chosen.format is LogFormat.AUTO and not sys.stderr.isatty())
    logging.configure(chosen.level, as_json=as_json, serials=chosen.serials.value)


async def serve(read: Callable[[], Configuration], simulation: Simulation | None) -> None:
    """Runs the station until a signal ends it. Raises UsageError, ConfigurationError or LedgerError before anything begins."""
    configuration = read()
    _begin_log(configuration)
    health, gate, manager = LedgerHealth(), SigningGate(), Manager(os.environ)
    async with AsyncExitStack() as stack:
        ledger = await open_station_ledger(configuration, health, stack)
        story = None
        if simulation is not None:
            rack, story = await simulated_rack(configuration, simulation, ledger, health, gate, stack)
        else:
            rack = await real_rack(configuration, ledger, health, gate, stack)
        keeper = await log_keeper(configuration, ledger, health, gate)
        await keeper.look()  # before anything is signed
        controls = positive_control(configuration, ledger, rack, gate)
        await controls.load()
        gate.why_withheld = controls.why_withheld
        gate.why_doubted = controls.why_doubted
        routine = RoutineKeeper(
            ledger.store, routine_terms(configuration), now_utc, new_id, os.urandom, health, rack.trouble
        )

        walls: list[Wall] = []

        def take_up(new: Configuration) -> None:
            _reconfigure(rack, new, ledger, simulation)
            for wall in walls:
                wall.set_shifts(shifts_of(new.shifts))
            controls.reconfigure(*control_terms(new, ledger, rack))
            routine.reconfigure(routine_terms(new))

        reload = Reload(rack, manager, configuration, read, take_up)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _stop, rack, manager)
        if not sys.stderr.isatty():  # on a terminal it means that the terminal is gone
            loop.add_signal_handler(signal.SIGHUP, reload.ask)
        leftovers = Leftovers(rack.parts, ledger.journal, rack.trouble, rack.certified)
        is_demo = simulation is not None
        walls.append(await answer(rack, configuration, ledger, leftovers, controls, gate, stack, is_demo=is_demo))
        await leftovers.first()
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(keep_lease(ledger.journal, rack.trouble)),
                tasks.create_task(keeper.run()),
                tasks.create_task(routine.run()),
                tasks.create_task(leftovers.run()),
                tasks.create_task(reload.run()),
                tasks.create_task(expiring(configuration, rack).run()),
                tasks.create_task(keep_told(manager, rack, lambda: summary_words(rack.snapshot()))),
                tasks.create_task(controls.run()),
            ]
            if story is not None:
                beside.append(tasks.create_task(story.play()))
            await rack.run()
            for task in beside:
                task.cancel()


def _stop(rack: Rack, manager: Manager) -> None:
    manager.stopping()
    rack.stop()
    # Not the loop's: whatever holds the loop up must not hold this up.
    end = threading.Timer(END_SECONDS, os._exit, (0,))
    end.daemon = True
    end.start()


def _reconfigure(
    rack: Rack, configuration: Configuration, ledger: StationLedger, simulation: Simulation | None
) -> None:
    """What can be taken up while it runs. The fictional rack keeps its own bays and starts by itself."""
    _begin_log(configuration)
    by_itself = simulation is not None or configuration.lots.start == "by-itself"
    intake = intake_of(configuration, ledger, starts_by_itself=by_itself)
    bay_map = configuration.bay_map() if simulation is None else rack.map
    rack.reconfigure(bay_map, intake, watch_of(configuration, rack.watch.thermometer))
