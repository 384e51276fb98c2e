"""One pass over one drive, in a process of its own: started, watched and ended from here.

The process (`eraser-transfer`) holds the drive's descriptor; if the drive hangs, it hangs, and nobody else does. The parent
never waits for it without a limit: it reads the counters in the shared page and, at the end, leaves a process that cannot die
to the kernel, which keeps the drive's claim until the last I/O has returned.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from eraser.domain.evidence import Access, BadExtent, EndReason, Extent, FlushProof, Operation, TransferReport
from eraser.domain.json_form import Nanoseconds
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.engine import _native
from eraser.engine.page import Page, Tables
from eraser.engine.tuning import Tuning
from eraser.errors import TransferError

EXECUTABLE = Path(_native.__file__).with_name("eraser-transfer")
BAD_CAPACITY = 4096
"""Bad extents listed one by one; what is beyond counts in bytes only."""

EXIT_GRACE_SECONDS = 1.0
"""How long a transfer that has ended, or was killed, is waited for before it is left to the kernel."""
HANG_GRACE_SECONDS = 2.0
"""How much later than the transfer itself the parent notices that nothing comes back."""

_IDLE_TICK_SECONDS = 0.02
"""How often the kernel is asked whether the last I/O has returned."""

_CONSTANT, _AES_256_CTR = 1, 2
_COMMANDS = {"run": 0, "pause": 1, "cancel": 2}
_PAUSED, _ENDED = 2, 3
_ENDS = {
    1: EndReason.COMPLETED,
    2: EndReason.CANCELLED,
    3: EndReason.GONE,
    4: EndReason.TOO_MANY_ERRORS,
    5: EndReason.NO_PROGRESS,
    6: EndReason.FLUSH_FAILED,
    7: EndReason.CACHE_KEPT,
    8: EndReason.INTERNAL,
}
_ACCESS = {
    0: Access.NONE,
    1: Access.URING_DIRECT_REGISTERED,
    2: Access.URING_DIRECT,
    3: Access.PREAD_DIRECT,
    4: Access.BUFFERED,
}


@dataclass(frozen=True, slots=True)
class Target:
    """The drive as the transfer sees it: an open descriptor (read and write) with its sizes in bytes."""

    fd: int
    drive_bytes: int
    logical_sector_bytes: int
    physical_sector_bytes: int
    is_block_device: bool
    flush_trust: FlushProof
    """What a flush is worth here. `COMMAND_SENT` means that the transfer has to send the command itself."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do. `ranges` ascend without overlap; positions count through them, backwards when `reverse`."""

    operation: Operation
    pattern: Pattern | None
    ranges: tuple[Extent, ...]
    reverse: bool = False
    start_position_bytes: int = 0
    hash_extent_bytes: int = 0
    """0: nothing is hashed. Else the ranges are of whole extents; the drive's last one may be short."""

    @property
    def hashed_extents(self) -> int:
        """How many hashes come out when all of it is read."""
        size = self.hash_extent_bytes
        return sum(-(-item.length_bytes // size) for item in self.ranges) if size else 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters at one moment."""

    is_paused: bool
    position_bytes: int
    bytes_done: int
    retries: int
    bad_bytes: int
    mismatched_sectors: int
    checkpoint_position_bytes: int
    checkpoints: int
    in_flight: int
    oldest_io_seconds: float
    """Age of the oldest I/O that has not come back, 0 when none is out."""
    first_byte: Nanoseconds
    """CLOCK_MONOTONIC of the first I/O, 0 before it."""


_starter = ThreadPoolExecutor(1, thread_name_prefix="transfer-starter")
"""Starts the processes one after another, since each takes milliseconds for which the loop must not wait. The kernel ends a
process with the *thread* that started it (prctl(2), PR_SET_PDEATHSIG): this one lives as long as the program.
"""


@dataclass(frozen=True, slots=True)
class _Started:
    page: Page
    event_fd: int
    process: subprocess.Popen[bytes]

    def put_down(self) -> None:
        """Ends a process that nobody will watch. If it does not die, its drive hangs, and is held for that."""
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(EXIT_GRACE_SECONDS)
        os.close(self.event_fd)
        self.page.close()


class Transfer:
    """A running pass. Create it with `start`."""

    def __init__(
        self,
        page: Page,
        event_fd: int,
        process: subprocess.Popen[bytes],
        target: Target,
        tuning: Tuning,
        started_at: str,
    ) -> None:
        self._page = page
        self._event_fd = event_fd
        self._process = process
        self._target = target
        self._tuning = tuning
        self._started_at = started_at
        self._killed_as: EndReason | None = None
        self._changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._pid_fd = os.pidfd_open(process.pid)
        loop.add_reader(event_fd, self._on_event)
        loop.add_reader(self._pid_fd, self._on_exit)
        self._loop = loop

    @classmethod
    async def start(
        cls, target: Target, order: Order, tuning: Tuning, *, now_utc: Callable[[], str], rate_limit: int = 0
    ) -> "Transfer":
        """Starts the process, while the loop goes on; it inherits the drive's descriptor. Raises TransferError when it cannot
        be started: then nothing of it is left, and nothing was written.
        """
        starting = _starter.submit(_start, target, order, tuning, rate_limit, now_utc)
        try:
            started, started_at = await asyncio.wrap_future(starting)
        except asyncio.CancelledError:
            if not starting.cancelled() and starting.exception() is None:
                starting.result()[0].put_down()
            raise
        except OSError as error:
            raise _not_started(error) from error
        try:
            return cls(started.page, started.event_fd, started.process, target, tuning, started_at)
        except OSError as error:
            started.put_down()
            raise _not_started(error) from error

    def _on_event(self) -> None:
        os.eventfd_read(self._event_fd)
        self._changed.set()

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pid_fd)
        self._process.poll()
        self._changed.set()

    # ---- what it does

    def snapshot(self) -> Snapshot:
        """The counters now."""
        page = self._page
        oldest = page["oldest_io_ns"]
        # Before their position: a position that is newer than the count is on record early, an older one never again.
        checkpoints = page["checkpoints"]
        return Snapshot(
            is_paused=page["state"] == _PAUSED,
            position_bytes=page["position"],
            bytes_done=page["bytes_done"],
            retries=page["retries"],
            bad_bytes=page["bad_bytes"],
            mismatched_sectors=page["mismatched_sectors"],
            checkpoint_position_bytes=page["checkpoint_position"],
            checkpoints=checkpoints,
            in_flight=page["in_flight"],
            oldest_io_seconds=max(0.0, (time.monotonic_ns() - oldest) / 1e9) if oldest else 0.0,
            first_byte=Nanoseconds(page["first_io_ns"]),
        )

    def latency_us_buckets(self) -> tuple[int, ...]:
        """Count of I/Os by latency: bucket *k* holds those of 2^k to 2^(k+1) microseconds."""
        return self._page.latency_us_buckets()

    def bad_extents(self, first: int = 0) -> tuple[BadExtent, ...]:
        """Bad extents found so far, from the numbered one on."""
        return self._page.bad_extents(first)

    def leaves(self) -> tuple[bytes, ...]:
        """Hashes of the extents that were read whole."""
        return self._page.leaves()

    @property
    def flush_proof(self) -> FlushProof:
        """What stands behind the last flush."""
        return _flush_proof(self._page["flush_proof"], self._target.flush_trust)

    @property
    def pid(self) -> int:
        """The process that shares the drive's descriptor."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen: it said so, it is gone, or it was given up."""
        return self._page["state"] == _ENDED or self._process.returncode is not None or self._killed_as is not None

    # ---- what it is told

    def pause(self) -> None:
        """Finish what is out, flush, and wait."""
        self._page["command"] = _COMMANDS["pause"]

    def resume(self) -> None:
        """Go on."""
        self._page["command"] = _COMMANDS["run"]

    def cancel(self) -> None:
        """Finish what is out, flush, and end."""
        self._page["command"] = _COMMANDS["cancel"]

    def acknowledge(self, checkpoints: int) -> None:
        """So many checkpoints are on record: the transfer runs at most one ahead."""
        self._page["acknowledged"] = checkpoints

    def set_rate_limit(self, bytes_per_second: int) -> None:
        """At most so much from now on; 0 for no limit."""
        self._page["rate_limit"] = bytes_per_second

    # ---- how it is waited for

    async def changed(self, timeout_seconds: float) -> None:
        """Returns when the transfer has something to tell (a checkpoint, a fault, its end), or after the time given."""
        if not self.has_ended:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._changed.wait()
            except TimeoutError:
                self._give_up_if_hung()
        self._changed.clear()

    def _give_up_if_hung(self) -> None:
        # The process itself notices too, unless it sits in the kernel with the drive.
        if self.snapshot().oldest_io_seconds > self._tuning.no_progress_seconds + HANG_GRACE_SECONDS:
            self.kill(EndReason.NO_PROGRESS)

    def kill(self, reason: EndReason) -> None:
        """Ends the process now, as far as the kernel lets it; the report says `reason`."""
        if not self.has_ended:
            self._killed_as = reason
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    async def finish(self) -> tuple[TransferReport, bool]:
        """The report, after the end, and whether the drive is free of it: if not, an I/O is still out, and the kernel holds the
        drive for it, whether the process is gone (io_uring) or not (all else). Waits a moment, never longer.
        """
        deadline = self._loop.time() + EXIT_GRACE_SECONDS
        while self._process.poll() is None and self._loop.time() < deadline:
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                break
        # Asked again and again: the kernel tells nobody when a drive becomes idle.
        while (is_held := self._is_held()) and self._loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_IDLE_TICK_SECONDS)
        return self._report(), not is_held

    def _is_held(self) -> bool:
        """Whether an I/O of ours may still be out."""
        if self._process.poll() is None:
            return True
        # A killed process could not count down any more: the kernel knows. We hold the drive, so what is out is ours.
        return bool(self._page["in_flight"]) and _has_io_out(self._target)

    def close(self) -> None:
        """Gives back descriptors and memory; kills a process that still runs."""
        self.kill(EndReason.CANCELLED)
        self._loop.remove_reader(self._event_fd)
        self._loop.remove_reader(self._pid_fd)
        self._process.poll()
        os.close(self._event_fd)
        os.close(self._pid_fd)
        self._page.close()

    def _report(self) -> TransferReport:
        page = self._page
        end = _ENDS.get(page["end"], EndReason.INTERNAL) if page["state"] == _ENDED else EndReason.PROCESS_DIED
        return TransferReport(
            end=self._killed_as or end,
            errno=page["end_errno"],
            start_position_bytes=page["start_position"],
            end_position_bytes=page["position"],
            bytes_done=page["bytes_done"],
            bytes_sent=page["bytes_sent"],
            failed_bytes_sent=page["failed_bytes_sent"],
            bad_extents=page.bad_extents(),
            bad_bytes=page["bad_bytes"],
            retries=page["retries"],
            flushes=page["flushes"],
            flush_proof=self.flush_proof,
            mismatched_sectors=page["mismatched_sectors"],
            first_mismatches=page.mismatch_places(),
            access=_ACCESS[page["access"]],
            block_bytes=page["block_bytes"],
            queue_depth=page["queue_depth"],
            started_at=self._started_at,
            first_byte=Nanoseconds(page["first_io_ns"]),
            last_byte=Nanoseconds(page["last_io_ns"]),
        )


def _start(
    target: Target, order: Order, tuning: Tuning, rate_limit: int, now_utc: Callable[[], str]
) -> tuple[_Started, str]:
    """The process, and when it began."""
    leaf_count = order.hashed_extents
    with ExitStack() as undo:
        page = Page(Tables.lay(len(order.ranges), BAD_CAPACITY, leaf_count))
        undo.callback(page.close)
        _fill_plan(page, target, order, tuning, leaf_count)
        page["rate_limit"] = rate_limit
        event_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        undo.callback(os.close, event_fd)
        started_at = now_utc()
        started = _Started(page, event_fd, _spawn(target.fd, page.fd, event_fd))
        undo.pop_all()
    return started, started_at


def _not_started(error: OSError) -> TransferError:
    return TransferError(
        f"the transfer process could not be started ({error.strerror or error})",
        subject=str(EXECUTABLE),
        remedy="Install the package anew, and see that open files and processes are not limited too tightly.",
    )


def _spawn(drive_fd: int, page_fd: int, event_fd: int) -> subprocess.Popen[bytes]:
    # A signal for the whole group (Ctrl-C, a service that is stopped) is the parent's to answer. The process ignores them as
    # soon as it runs; until then they are blocked, which it inherits.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP, signal.SIGTERM})
    try:
        return subprocess.Popen(
            [EXECUTABLE, str(drive_fd), str(page_fd), str(event_fd)],
            pass_fds=(drive_fd, page_fd, event_fd),
            # Nor our output: whoever reads it through a pipe would wait for a hung transfer.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _has_io_out(target: Target) -> bool:
    """Whether the kernel waits for an answer of the drive (Documentation/block/stat.rst). Of an image nobody counts that, but
    there a process waits for its own I/O before it is gone.
    """
    if not target.is_block_device:
        return False
    number = os.fstat(target.fd).st_rdev
    try:
        counts = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/inflight").read_text()
    except OSError:
        return False  # the drive is gone, and its I/O with it
    return any(int(count) for count in counts.split())


def _flush_proof(seen: int, trust: FlushProof) -> FlushProof:
    by_kernel, by_command, command_refused = 1, 2, 3
    if seen == by_command:
        return FlushProof.COMMAND_SENT
    if seen == command_refused:
        return FlushProof.ASSUMED
    return trust if seen == by_kernel else FlushProof.NOT_FLUSHED


def _fill_plan(page: Page, target: Target, order: Order, tuning: Tuning, leaf_count: int) -> None:
    words = {
        "magic": _native.PAGE_MAGIC,
        "parent_pid": os.getpid(),
        "operation": 1 if order.operation is Operation.WRITE else 2,
        "reverse": order.reverse,
        "drive_bytes": target.drive_bytes,
        "logical_sector_bytes": target.logical_sector_bytes,
        "physical_sector_bytes": target.physical_sector_bytes,
        "is_block_device": target.is_block_device,
        "block_bytes": tuning.block_bytes,
        "queue_depth": tuning.queue_depth,
        "access_least": tuning.access_least,
        "start_position": order.start_position_bytes,
        "range_count": len(order.ranges),
        "ranges_offset": page.tables.ranges,
        "bad_capacity": BAD_CAPACITY,
        "bad_offset": page.tables.bad,
        "hash_extent_bytes": order.hash_extent_bytes,
        "leaves_offset": page.tables.leaves,
        "leaf_count": leaf_count,
        "checkpoint_ns": int(tuning.checkpoint_seconds * 1e9),
        "checkpoint_bytes": tuning.checkpoint_bytes,
        "retry_limit": tuning.retry_limit,
        "bad_bytes_limit": tuning.bad_bytes_limit,
        "no_progress_ns": int(tuning.no_progress_seconds * 1e9),
        "fruitless_ns": int(tuning.fruitless_seconds * 1e9),
        "flush": target.flush_trust is FlushProof.COMMAND_SENT,
    }
    for name, value in words.items():
        page[name] = int(value)
    page.set_ranges(order.ranges)
    match order.pattern:
        case Constant(data):
            page["pattern"] = _CONSTANT
        case AesCtrStream(seed):
            page["pattern"], data = _AES_256_CTR, seed
        case None:
            return
    page["pattern_bytes"] = len(data)
    page.set_pattern(data)
