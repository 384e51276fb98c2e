"""Runs the erasure of many drives at once for a person or a program: live lines, signals, results, exit status.

Shared by `erase` and `resume`, which differ only in how each drive's work begins.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

import click

from eraser.domain.sayings import Code, say, say_error
from eraser.errors import EraserError, ExitStatus
from eraser.rack.erasing import Ended, Erasing, Result

LOOK_SECONDS = 0.25
"""How often the live lines are drawn anew."""
JSON_SECONDS = 1.0
"""How often `--json` prints progress."""

_STATUS = {
    Ended.PASSED: ExitStatus.PASSED,
    Ended.INTERRUPTED: ExitStatus.INTERRUPTED,
    Ended.REFUSED: ExitStatus.REFUSED,
    Ended.FAILED: ExitStatus.FAILED,
}

Start = Callable[[], Awaitable[Result]]
Work = tuple[Erasing, Start]
"""A drive, and how its work begins."""


def run_all(work: Sequence[Work], *, refused: Sequence[Result], as_json: bool) -> ExitStatus:
    """Runs all of it at once, reports, and gives the status: of several drives the highest counts."""
    results = [*refused, *asyncio.run(_run(work, as_json))] if work else list(refused)
    for result in results:
        _say(json.dumps(_form(result))) if as_json else _tell(result)
    return max((_STATUS[result.outcome] for result in results), default=ExitStatus.PASSED)


def refusal(path: str, error: EraserError) -> Result:
    """The result for a drive that was turned down before anything began."""
    return Result(path, Ended.REFUSED, (say_error(error),))


async def _run(work: Sequence[Work], as_json: bool) -> list[Result]:
    erasings = [erasing for erasing, _ in work]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for erasing in erasings:
            erasing.cancel()
        if not sys.stderr.isatty():  # the live lines say it themselves
            _say("Stopping at a checkpoint; what was done is kept.", err=True)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_guarded(erasing, start)) for erasing, start in work]
        watcher = tasks.create_task(_print_progress(erasings) if as_json else _draw(erasings))
        results = [await task for task in running]
        watcher.cancel()
    return results


async def _guarded(erasing: Erasing, start: Start) -> Result:
    """One drive's fault is its own: the others go on. A job that had begun stays open, so that nothing of it is lost."""
    try:
        return await start()
    except Exception as error:
        reason = say_error(error)
        if not isinstance(error, (EraserError, OSError)):
            traceback.print_exc()
            reason = say(Code.FAULT, detail=repr(error))
        return Result(erasing.path, Ended.REFUSED if erasing.job is None else Ended.INTERRUPTED, (reason,))


def _say(line: str, *, err: bool = False) -> None:
    """Prints a line to whoever still reads. A pipe or terminal that was closed meanwhile stops no erasure."""
    try:
        click.echo(line, err=err)
    except OSError:
        # Else what could not be printed is tried again at the end, and its failure becomes the status.
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2 if err else 1)
        os.close(silence)


async def _print_progress(erasings: Sequence[Erasing]) -> None:
    while True:
        await asyncio.sleep(JSON_SECONDS)
        for erasing in erasings:
            if erasing.job is not None:
                now = erasing.job.progress()
                line = {
                    "device": erasing.path,
                    "stage": now.stage.value,
                    "pass": now.pass_number,
                    "passes": now.passes,
                    "done_bytes": now.done_bytes,
                    "total_bytes": now.total_bytes,
                    "retries": now.retries,
                    "bad_bytes": now.bad_bytes,
                    "mismatched_sectors": now.mismatched_sectors,
                }
                _say(json.dumps(line))


async def _draw(erasings: Sequence[Erasing]) -> None:
    with suppress(OSError):  # the terminal is gone
        await _draw_to_the_end(erasings)


async def _draw_to_the_end(erasings: Sequence[Erasing]) -> None:
    # Rich takes a tenth of a second to load: not before bytes are on their way.
    while not any(erasing.job is not None and erasing.job.first_byte_ns for erasing in erasings):
        await asyncio.sleep(LOOK_SECONDS / 10)
        if any(erasing.job is not None and erasing.job.progress().done_bytes for erasing in erasings):
            break
    display: AbstractContextManager[Callable[[], None]] = nullcontext(lambda: None)
    if sys.stderr.isatty():
        from eraser.cli.live import live_lines

        display = live_lines(erasings)
    with display as draw:
        while True:
            draw()
            await asyncio.sleep(LOOK_SECONDS)


def _form(result: Result) -> dict[str, object]:
    return {
        "device": result.device,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "certificate": str(result.certificate) if result.certificate is not None else None,
        "bytes_written": result.bytes_written,
        "bytes_verified": result.bytes_verified,
        "seconds": result.seconds,
    }


def _tell(result: Result) -> None:
    colours = {Ended.PASSED: "green", Ended.FAILED: "red", Ended.REFUSED: "yellow", Ended.INTERRUPTED: "yellow"}
    word = click.style(result.outcome.value.upper(), fg=colours[result.outcome], bold=True)
    _say(f"{word}  {result.device}" + (f"  {result.reason}" if result.reason else ""))
    if result.bytes_written or result.bytes_verified:
        written, verified = result.bytes_written, result.bytes_verified
        _say(f"        {written:,} bytes written, {verified:,} read back, {result.seconds:.1f} s")
    if result.certificate is not None:
        _say(f"        certificate {result.certificate}")
    if result.is_held:
        _say("        An I/O of the drive has not returned, so the system still holds it: power-cycle it.")
    if result.outcome is Ended.INTERRUPTED:
        _say(f"        Go on with: eraser resume {result.device}")
