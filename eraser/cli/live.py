"""One live line for each drive, by Rich."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from eraser.rack.erasing import Erasing
from eraser.rack.job_run import Progress as Progressed
from eraser.rack.job_run import Stage

STUCK_SECONDS = 10.0
"""An I/O that is out longer is worth saying."""


@contextmanager
def live_lines(erasings: Sequence[Erasing]) -> Iterator[Callable[[], None]]:
    """Draws on standard error until it is left; call what it yields to bring the lines up to date."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", style="bold red"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        lines = [(erasing, progress.add_task(erasing.path, total=None, note="")) for erasing in erasings]
        stages: dict[TaskID, tuple[Stage, int]] = {}

        def draw() -> None:
            for erasing, task in lines:
                _draw_line(progress, erasing, task, stages)

        yield draw
        draw()


def _draw_line(progress: Progress, erasing: Erasing, task: TaskID, stages: dict[TaskID, tuple[Stage, int]]) -> None:
    if erasing.job is None:
        return
    now = erasing.job.progress()
    if now.stage is Stage.DONE:
        progress.update(task, description=f"{erasing.path} done", completed=progress.tasks[task].total, note="")
        return
    if stages.get(task) != (now.stage, now.pass_number):
        # A new stage has its own speed and its own end.
        stages[task] = (now.stage, now.pass_number)
        progress.reset(task, total=now.total_bytes or None)
    of = f" {now.pass_number}/{now.passes}" if now.stage is Stage.WRITING else ""
    progress.update(
        task, description=f"{erasing.path} {now.stage.value}{of}", completed=now.done_bytes, note=_note(now)
    )


def _note(now: Progressed) -> str:
    if now.oldest_io_seconds > STUCK_SECONDS:
        return f"no answer for {now.oldest_io_seconds:.0f} s"
    if now.is_stopping:
        return "stopping at a checkpoint"
    if now.is_paused:
        return "paused"
    counts = (
        (now.bad_bytes, "bytes bad"),
        (now.mismatched_sectors, "sectors differ"),
        (now.retries, "retries"),
    )
    return ", ".join(f"{count:,} {what}" for count, what in counts if count)
