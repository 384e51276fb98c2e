"""What the commands that ask a running station share: where it answers, and how a bay is put into words."""

import os
from collections import Counter
from pathlib import Path

import click

from eraser import settings
from eraser.cli.quantities import human_seconds, human_size
from eraser.console.client import StationClient
from eraser.domain.watchdog import Alarm
from eraser.rack.view import BaySnapshot, BayState, StationSnapshot

STUCK_SECONDS = 10.0
"""An I/O that is out longer is worth saying."""

COLOURS = {
    BayState.WRITING: "cyan",
    BayState.VERIFYING: "blue",
    BayState.PASSED: "green",
    BayState.FAILED: "red",
    BayState.HELD: "red",
    BayState.REFUSED: "yellow",
    BayState.INTERRUPTED: "yellow",
    BayState.ASKING: "magenta",
}
"""By Rich's and click's names; other states have none."""

socket_option = click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The station's socket, instead of $ERASER_HTTP__SOCKET, the configuration's or /run/eraser/eraser.sock.",
)


def client_at(socket_path: Path | None) -> StationClient:
    """The station at this socket, or at the usual one."""
    return StationClient(socket_path or settings.socket_file(os.environ))


def state_words(bay: BaySnapshot) -> str:
    """The state, with the pass where there are several: `writing 2/3`."""
    if bay.state is BayState.WRITING and bay.passes > 1:
        return f"{bay.state.value} {bay.pass_number}/{bay.passes}"
    return bay.state.value


def progress_words(bay: BaySnapshot) -> str:
    """How far and how fast: `25.0 % 210 MB/s 1 h 0 min left`; empty where nothing runs. Never 100 % before the end."""
    if bay.state not in (BayState.WRITING, BayState.VERIFYING, BayState.PAUSED) or not bay.total_bytes:
        return ""
    permille = bay.done_bytes * 1000 // bay.total_bytes
    words = [f"{permille // 10}.{permille % 10} %"]
    if bay.bytes_per_second:
        words.append(f"{human_size(int(bay.bytes_per_second))}/s")
    if bay.eta_seconds is not None:
        words.append(f"{human_seconds(bay.eta_seconds)} left")
    return " ".join(words)


def note_words(bay: BaySnapshot) -> str:
    """What somebody should know: why it waits or was refused, what is bad, what hangs."""
    words = [bay.reason] if bay.reason else []
    if bay.waits_for and bay.state in (BayState.WAITING, BayState.ASKING):
        words.append(bay.waits_for)
    words += [f"{alarm}: {why}" for alarm, why in zip(bay.alarms, bay.alarm_reasons, strict=True)]
    if bay.oldest_io_seconds > STUCK_SECONDS and Alarm.STUCK.value not in bay.alarms:
        words.append(f"no answer for {bay.oldest_io_seconds:.0f} s")
    counts = ((bay.bad_bytes, "bytes bad"), (bay.mismatched_sectors, "sectors differ"), (bay.retries, "retries"))
    words += [f"{count:,} {what}" for count, what in counts if count]
    return ", ".join(words)


def summary_words(snapshot: StationSnapshot) -> str:
    """The station in a line: `24 bays: 3 writing, 21 empty. Since the start: 5 passed, 1 failed.`"""
    states = Counter(bay.state.value for bay in snapshot.bays)
    outcomes: Counter[str] = Counter()
    for (outcome, _), count in snapshot.jobs.items():
        outcomes[outcome] += count
    words = f"{len(snapshot.bays)} bays: {_counted(states) or 'none'}."
    if outcomes:
        words += f" Since the start: {_counted(outcomes)}."
    if snapshot.is_draining:
        words += " Draining: no new job begins."
    return words


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())
