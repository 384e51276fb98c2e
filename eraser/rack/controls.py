"""The positive control beside the bays: run on its schedule, put on record, and while it is not as it must be nothing is
certified. Rules are `domain/control.py`'s, one run is `control_run.py`'s.

Only drives that are named for it are touched: an image that the station made itself, or the one drive of this host that
bears the name, outside of all bays, which no record knows as a customer's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from eraser.certificates.controlling import ControlRecords
from eraser.certificates.errors import WithheldError
from eraser.domain.control import Control, ControlTest, is_due, next_at, why_closed, why_doubted
from eraser.domain.custody import drive_name, own_serial, world_wide_name
from eraser.domain.drive import Drive
from eraser.domain.job import JobState
from eraser.domain.sayings import Code, say
from eraser.drives.discovery import identify, list_drives
from eraser.durable import write_new
from eraser.errors import EraserError, Refused
from eraser.ledger.custody import Custody
from eraser.rack.control_run import ControlParts, ControlRun
from eraser.rack.erasing import Issuer
from eraser.rack.ledger_health import Trouble
from eraser.rack.station import CONTROL_TROUBLE
from eraser.rack.view import ControlForm, ControlLine

IMAGE = "image"
LOOK_SECONDS = 5.0
STOP_SECONDS = 3.0
"""How long a control may take to stop with the station."""


class FindDrive(Protocol):
    """The drive of a control, which may be erased. Raises Refused, DriveError or UsageError where there is none."""

    async def __call__(self, test: ControlTest) -> Drive: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """How often, and on which drives: `image`, or a serial number or world-wide name. Without drives there is no control."""

    interval_seconds: float
    drives: Mapping[ControlTest, str]

    @property
    def is_on(self) -> bool:
        """Whether there is one."""
        return bool(self.drives)


class Controls:
    """Runs while the station does. `why_withheld` may be asked from any thread."""

    def __init__(
        self, terms: Terms, parts: ControlParts, records: ControlRecords, find: FindDrive, trouble: Trouble
    ) -> None:
        self.terms = terms
        self.newest: dict[ControlTest, Control] = {}
        self.running: ControlTest | None = None
        self._parts = parts
        self._records = records
        self._find = find
        self._trouble = trouble
        self._asked: set[ControlTest] = set()
        self._wake = asyncio.Event()
        self._log: Any = structlog.get_logger()

    async def load(self) -> None:
        """Before the station begins: what is on record. What was not as it must be is run again: something may be mended."""
        try:
            self.newest = dict(await self._records.newest())
        except EraserError as error:
            self._trouble("control record", say(Code.TROUBLE_CONTROL_RECORD, detail=str(error)))
        self._asked = {test for test, last in self.newest.items() if not last.is_good}
        self._tell()

    def ask(self) -> None:
        """Both are run now, whatever the schedule says."""
        self._asked = set(ControlTest)
        self._wake.set()

    def reconfigure(self, terms: Terms, parts: ControlParts, find: FindDrive) -> None:
        """From now on these count; one that runs is ended by what it began with. A control whose drive or standard is another
        one now is run at once: what the old one showed says nothing of it.
        """
        is_other_standard = parts.standard != self._parts.standard
        changed = {test for test, name in terms.drives.items() if self.terms.drives.get(test) != name}
        self._asked |= set(terms.drives) if is_other_standard else changed
        self.terms, self._parts, self._find = terms, parts, find
        self._wake.set()
        self._tell()

    def form(self) -> ControlForm | None:
        """As it is now; None while there is none."""
        if not self.terms.is_on:
            return None
        lines = tuple(
            ControlLine(test, name, last, last is not None and last.is_good, self._next_at(test, last))
            for test, name in self.terms.drives.items()
            for last in [self.newest.get(test)]
        )
        running = self.running.value if self.running is not None else ""
        return ControlForm(self.why_withheld(), running, round(self.terms.interval_seconds), lines)

    def _next_at(self, test: ControlTest, last: Control | None) -> str:
        return "" if test in self._asked else next_at(last, self.terms.interval_seconds)

    def why_withheld(self) -> str:
        """Why nothing may be certified now; empty when all is as it must be, and where there is no control."""
        if not self.terms.is_on:
            return ""
        return why_closed(self.newest, self._parts.now_utc(), self.terms.interval_seconds)

    async def why_doubted(self, finished_at: str) -> str:
        """Why a job that was read back by then is not believed, by the controls around it; empty when it is. Raises
        JournalError.
        """
        # The newest counts also where it could not be put on record.
        blind = [item for item in self.newest.values() if item.is_blind]
        return why_doubted(blind, ()) or await self._records.why_doubted(finished_at)

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._parts.call(self._parts.tool)  # it reads the program's files, once
        while True:
            for test in ControlTest:
                if self._is_wanted(test):
                    self._asked.discard(test)
                    await self._control(test)
                self._tell()
            if not self._asked or not self.terms.is_on:
                await self._rest()
            self._wake.clear()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return

    def _is_wanted(self, test: ControlTest) -> bool:
        if not self.terms.is_on:
            return False
        if test in self._asked:
            return True
        return is_due(self.newest.get(test), self._parts.now_utc(), self.terms.interval_seconds)

    def _tell(self) -> None:
        why = self.why_withheld()
        self._trouble(CONTROL_TROUBLE, say(Code.TROUBLE_CONTROL, detail=why) if why else None)

    async def _control(self, test: ControlTest) -> None:
        self.running = test
        try:
            control = await self._run(test)
        finally:
            self.running = None
        self._log.info("control ended", test=test.value, outcome=control.outcome.value, as_expected=control.is_good)
        if not control.is_good:
            self.newest[test] = control  # before anything else can be certified
            self._tell()
        try:
            await self._records.put(control)
        except EraserError as error:
            # One that is not on record lets nothing be certified, and is run again.
            what = f"a control is not on record: {error}"
            self._trouble("control record", say(Code.TROUBLE_CONTROL_RECORD, detail=what))
            return
        self._trouble("control record", None)
        self.newest[test] = control

    async def _run(self, test: ControlTest) -> Control:
        """The edge: whatever goes wrong, the control was not as it must be, and the station goes on."""
        run = ControlRun(test, self._parts)
        try:
            return await self._on_its_drive(run, await self._find(test))
        except (EraserError, OSError) as error:
            return run.not_run(str(error))
        except Exception as error:
            self._log.exception("fault of this program", test=test.value)
            return run.not_run(f"a fault of this program: {error!r}")

    async def _on_its_drive(self, run: ControlRun, drive: Drive) -> Control:
        task = asyncio.ensure_future(run.run(drive))
        try:
            # A large drive takes hours, in which what is on record may become overdue.
            while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
                self._tell()
            return task.result()
        except asyncio.CancelledError:
            run.cancel()
            await asyncio.wait({task}, timeout=STOP_SECONDS)
            task.cancel()
            raise


class ControlledIssuer:
    """An issuer that issues only while the controls are as they must be. Hashes are kept all the same: nothing is lost."""

    def __init__(self, issuer: Issuer, why_withheld: Callable[[], str]) -> None:
        self._issuer = issuer
        self._why_withheld = why_withheld
        self.keep_hashes = issuer.keep_hashes

    def __call__(self, state: JobState) -> Any:
        """The certificate. Raises WithheldError, and what the issuer raises."""
        if why := self._why_withheld():
            raise WithheldError(why, remedy="It is issued when the control is as it must be: eraser control show.")
        return self._issuer(state)


class NamedDrives:
    """`FindDrive` on this host."""

    def __init__(
        self,
        names: Mapping[ControlTest, str],
        folder: Path,
        image_bytes: int,
        custody: Custody,
        bay_with: Callable[[str], str],
        call: Callable[..., Awaitable[Any]],
    ) -> None:
        self._names = names
        self._folder = folder
        self._image_bytes = image_bytes
        self._custody = custody
        self._bay_with = bay_with
        self._call = call

    async def __call__(self, test: ControlTest) -> Drive:
        """Identified just now. Raises Refused where it is not there alone, in a bay, or on record as somebody's."""
        name = self._names[test]
        if name == IMAGE:
            image: Drive = await self._call(self._image, test)
            return image
        drive: Drive = await self._call(named_drive, name)
        for path in (drive.path, *drive.other_paths):
            if bay := self._bay_with(Path(path).name):
                raise Refused(
                    "in-a-bay",
                    f"the drive of the {test.value} control is in bay {bay}, where customers' drives are",
                    subject=name,
                    remedy="Put it where no bay of the map is.",
                )
        known = drive_name(drive.identity)
        if known is None or (await self._custody.history(known)).gathered.records:
            raise Refused(
                "customers-drive",
                f"the drive of the {test.value} control has a chain of custody here: it is somebody's",
                subject=name,
                remedy="Name another drive, which was never received.",
            )
        return drive

    def _image(self, test: ControlTest) -> Drive:
        """Made by this station alone, in a folder of its own."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{test.value}.img"
        if not path.exists():
            write_new(path, bytes(self._image_bytes), 0o600)
        return identify(str(path))


def named_drive(name: str) -> Drive:
    """The one drive of this host that bears the serial number or world-wide name. May block. Raises Refused."""
    names = ((drive, {own_serial(drive.identity), world_wide_name(drive.identity)} - {""}) for drive in list_drives())
    found = [drive for drive, own in names if name in own]
    if len(found) != 1:
        what = "no drive of this host bears" if not found else f"{len(found)} drives of this host bear"
        raise Refused("no-such-drive", f"{what} the name of a control", subject=name)
    return found[0]
