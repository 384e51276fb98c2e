"""The rack: this host's bays, or a fictional one with the same station behind it."""

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from eraser.cli.serving.proving import parts_of
from eraser.cli.station import now_utc
from eraser.configuration.model import Configuration
from eraser.drives.discovery import LIVE
from eraser.engine.tuning import tuning_for
from eraser.ledger.attendances import Attendances
from eraser.ledger.station_ledger import StationLedger
from eraser.log.gate import SigningGate
from eraser.rack.erasing import Request
from eraser.rack.history import LedgerHistory
from eraser.rack.hotplug import Hotplug
from eraser.rack.intake import Intake, LotIntake
from eraser.rack.ledger_health import LedgerHealth
from eraser.rack.simulated import story
from eraser.rack.simulated.images import Images
from eraser.rack.simulated.shelf import SimulatedRack, rack_map
from eraser.rack.simulated.story import Story
from eraser.rack.simulated.zram import ZramDisks, ZramRack
from eraser.rack.station import HostDrives, Rack
from eraser.rack.watchdog import Thermometer, Watch, no_thermometer


def usual_request(configuration: Configuration) -> Request:
    """What is asked for drives of no lot."""
    lots = configuration.lots
    return Request(
        lots.standard,
        lots.level,
        lots.verification,
        operator=configuration.station.id,
        failure=lots.failure.criteria(),
    )


def watch_of(configuration: Configuration, thermometer: Thermometer) -> Watch:
    """What the watchdog goes by."""
    heat = configuration.temperature
    return Watch(configuration.watchdog.limits(), heat.heat(), heat.heat_of_flash(), thermometer)


def intake_of(configuration: Configuration, ledger: StationLedger, *, starts_by_itself: bool) -> LotIntake:
    """How drives that arrive are received."""
    usual = Intake(usual_request(configuration), starts_by_itself)
    attendances = Attendances(ledger.store, now_utc)
    return LotIntake(ledger.intake, attendances, usual, configuration.station.id, now_utc)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What kind of fictional rack."""

    bays: int
    is_fast: bool
    seed: int
    over_zram: bool


async def real_rack(
    configuration: Configuration,
    ledger: StationLedger,
    health: LedgerHealth,
    gate: SigningGate,
    stack: AsyncExitStack,
) -> Rack:
    """This host's bays, heard of through the kernel."""
    events = await stack.enter_async_context(Hotplug(LIVE))
    intake = intake_of(configuration, ledger, starts_by_itself=configuration.lots.start == "by-itself")
    parts = parts_of(configuration, ledger, gate)
    history = LedgerHistory(ledger.journal)
    drives = HostDrives(LIVE, now_utc)
    watch = watch_of(configuration, drives.celsius)
    return Rack(parts, drives, events, configuration.bay_map(), intake, history, health, watch)


async def simulated_rack(
    configuration: Configuration,
    simulation: Simulation,
    ledger: StationLedger,
    health: LedgerHealth,
    gate: SigningGate,
    stack: AsyncExitStack,
) -> tuple[Rack, Story]:
    """A fictional rack, and the story that is played in it."""
    pace = story.FAST if simulation.is_fast else story.NORMAL
    shelf = SimulatedRack(Images(configuration.data / "drives"))
    if simulation.over_zram:
        shelf, most_bytes = await _zram_rack(configuration, simulation.bays, pace.least_bytes, stack)
        pace = pace.within(most_bytes)
    bay_map = rack_map(simulation.bays)
    parts = replace(
        parts_of(configuration, ledger, gate),
        hold=shelf.hold,
        tune=lambda drive: replace(
            tuning_for(drive), no_progress_seconds=pace.no_progress_seconds, checkpoint_seconds=5.0
        ),
    )
    intake = intake_of(configuration, ledger, starts_by_itself=True)
    watch = watch_of(configuration, no_thermometer)
    # Here drives that hang are given up early: what there is to see is seen before.
    limits = replace(watch.limits, io_seconds=min(watch.limits.io_seconds, pace.no_progress_seconds / 2))
    watch = replace(watch, limits=limits)
    rack = Rack(parts, shelf, shelf, bay_map, intake, LedgerHistory(ledger.journal), health, watch)
    chance = random.Random(simulation.seed)
    return rack, Story(shelf, bay_map, rack.snapshot, chance, pace, keeps_departed=not simulation.over_zram)


async def _zram_rack(
    configuration: Configuration, bays: int, least_bytes: int, stack: AsyncExitStack
) -> tuple[SimulatedRack, int]:
    """A rack over zram disks, which go when the station ends, and the bytes that each may have. Raises Refused."""
    disks = ZramDisks(configuration.data / "zram", LIVE)
    most_bytes = disks.refuse_if_lacking(bays, least_bytes)
    stack.callback(disks.close)
    rack = ZramRack(disks, LIVE)
    await stack.enter_async_context(rack.hotplug)
    return rack, most_bytes
