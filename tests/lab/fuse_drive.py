"""A real block device that behaves as badly as told: a loop device over a FUSE file (see `fuse_server`)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from tests.lab.behaviours import Behaviour, vanishes_at
from tests.lab.content import MARKER
from tests.lab.controller import FILE_NAME, Ask, Become, Command, Counts, Release, Replug, Setup
from tests.lab.loop import LabError, LoopDrive, check_size, make_image, plugged_in, run, scratch_folder, wait_until
from tests.lab.recording import Pass, Recording, Request, passes, read_log
from tests.lab.requirements import Need, fuse_library, require

ROOT = Path(__file__).resolve().parents[2]
STARTUP_DEADLINE_S = 10.0


class FuseDrive(LoopDrive):
    """A bad drive. `medium` is the file with what is really on it, `device` what the kernel sees of it."""

    def __init__(self, setup: Setup, server: _Server, recorder: tuple[Recording, ...]) -> None:
        super().__init__(setup.mountpoint / FILE_NAME, setup.sector_bytes, setup.medium)
        self._server = server
        self._recorder = recorder

    def become(self, *behaviours: Behaviour) -> None:
        """Behave like this from the next request on, nearest to the kernel first; what hangs is let go."""
        self._server.tell(Become((*behaviours, *self._recorder)))

    def vanish(self) -> None:
        """Answer ENODEV to everything from now on, as a pulled drive does, until `replug` or `plug_in`."""
        self.become(vanishes_at(1))

    def release(self) -> None:
        """Let go of every request that hangs."""
        self._server.tell(Release())

    def kill(self) -> None:
        """End the process that plays the drive: the kernel fails all that waits for it, and all that comes."""
        self._server.kill()

    @property
    def counts(self) -> Counts:
        """What has reached the drive so far."""
        return self._server.tell(Ask())

    def wait_for(self, happened: Callable[[Counts], bool], what: str, *, deadline_s: float = 60.0) -> None:
        """Return once `happened` is true of the counts, e.g. `lambda counts: counts.held > 0`. LabError when not."""
        wait_until(lambda: happened(self.counts), what, deadline_s=deadline_s)

    def replug(self, *behaviours: Behaviour) -> None:
        """Pull the drive, let it forget what is volatile, and put it back, with other behaviours if some are named."""
        self.unplug()
        self._server.tell(Replug())
        if behaviours:
            self.become(*behaviours)
        self.plug_in()

    def recorded(self) -> list[Request]:
        """The requests so far, of a drive with `records=True` (of another: none)."""
        return [request for recorder in self._recorder for request in read_log(recorder.folder)]

    def passes(self) -> list[Pass]:
        """The recorded requests as whole passes. Raises NotWhole when they are not."""
        return passes(self.recorded(), self.size_bytes)


class _Server:
    """The process at the other end of a connection."""

    def __init__(self, setup: Setup) -> None:
        self.connection, theirs = Pipe()
        # The tests' own folder last: what is installed is tested, not the sources beside them.
        path = os.pathsep.join([*sys.path, str(ROOT)])
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.lab.fuse_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | {"FUSE_LIBRARY_PATH": fuse_library() or "", "PYTHONPATH": path},
                # A process group of its own: Ctrl-C at the terminal is for the test, which then ends this one.
                start_new_session=True,
            )
        finally:
            theirs.close()
        self.connection.send(setup)

    def wait_until_ready(self) -> None:
        """Raises LabError when the drive is not there within 10 s."""
        if not self.connection.poll(STARTUP_DEADLINE_S) or _receive(self.connection) != "ready":
            raise LabError("the process that plays the drive did not start")

    def tell(self, command: Command) -> Counts:
        self.connection.send(command)
        answer = _receive(self.connection)
        if isinstance(answer, Counts):
            return answer
        raise LabError(f"{command}: {answer}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()


def _receive(connection: Connection) -> object:
    try:
        return connection.recv()
    except (EOFError, OSError) as error:
        raise LabError("the process that plays the drive has ended") from error


@contextmanager
def fuse_drive(
    size_bytes: int,
    *behaviours: Behaviour,
    sector_bytes: int = 512,
    fill: bytes | None = MARKER,
    records: bool = False,
) -> Iterator[FuseDrive]:
    """A block device of `size_bytes` that behaves like `behaviours` (none: honest), nearest to the kernel first.

    With `records` every request is written down below them, as it reaches the medium, with a snapshot at each flush.
    It is taken down at the end also when requests hang in it: they fail then.
    """
    require(Need.FUSE)
    check_size(size_bytes, sector_bytes)
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(scratch_folder())
        mountpoint, recordings = folder / "mount", folder / "recordings"
        mountpoint.mkdir()
        recordings.mkdir()
        recorder = (Recording(recordings),) if records else ()
        medium = make_image(folder / "medium", size_bytes, fill)
        setup = Setup(medium, mountpoint, size_bytes, sector_bytes, (*behaviours, *recorder))
        server = cleanup.enter_context(_served(setup))
        drive = FuseDrive(setup, server, recorder)
        cleanup.enter_context(plugged_in(drive))
        # First of all at the end: a drive that hangs can only be unplugged once its requests have failed.
        cleanup.callback(server.kill)
        yield drive


@contextmanager
def _served(setup: Setup) -> Iterator[_Server]:
    server = _Server(setup)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.kill()
        if _is_listed_as_mounted(setup.mountpoint):
            # Lazily: the kernel lets go of the loop device's file a moment after the device is gone.
            run("umount", "--lazy", setup.mountpoint)


def _is_listed_as_mounted(path: Path) -> bool:
    """Whether `path` is a mount point; stat cannot tell once nobody serves it."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return any(line.split(" ")[1] == str(path) for line in mounts)
