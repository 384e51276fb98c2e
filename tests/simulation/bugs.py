"""Bugs that were never made, planted on purpose: a simulation that does not find them would not find ours either.

Each is a change to the program, or to what it may rely on, for as long as its context lasts.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from eraser.domain import admission, job, verdict
from eraser.domain.drive import Drive
from eraser.domain.events import JobEvent, Outcome, PassStarted
from eraser.domain.evidence import DriveActivity, TransferReport
from eraser.domain.job import JobState
from eraser.engine.transfer import Snapshot
from eraser.rack import bay, erasing, job_run
from eraser.rack.history import LedgerHistory
from eraser.rack.job_run import JobRun
from eraser.rack.surroundings import Past
from tests.simulation.drives import Work
from tests.simulation.program import Papers, Program
from tests.simulation.world import Held, World

Bug = Callable[[], Any]


def _patched(*changes: tuple[Any, str, Any]) -> Bug:
    @contextmanager
    def planted() -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, new in changes:
                stack.enter_context(mock.patch.object(owner, name, new))
            yield

    return planted


def _keeping(field: str, *names: str) -> list[tuple[Any, str, Any]]:
    """The fold's functions of these names, which leave a field as it was."""

    def kept(original: Any) -> Any:
        def changed(state: JobState, *rest: Any, **more: Any) -> JobState:
            after: JobState = original(state, *rest, **more)
            return replace(after, **{field: getattr(state, field)})

        return changed

    return [(job, name, kept(getattr(job, name))) for name in names]


# ---- the order of things


async def _append_unawaited(self: JobRun, event: JobEvent) -> None:
    writing = asyncio.ensure_future(self._log.append(event))
    if not isinstance(event, PassStarted):
        await writing


_watch = JobRun._watch


async def _watch_what_is_not_flushed(self: JobRun, transfer: Work, record: Any, counted: Any) -> None:
    async def early(snapshot: Snapshot, transfer: Work, known_bad: int) -> Any:
        position = snapshot.position_bytes
        return await record(replace(snapshot, checkpoint_position_bytes=position), transfer, known_bad)

    await _watch(self, transfer, early if record is not None else None, counted)


_verify_last = JobRun._verify_last


async def _verify_if_it_never_was(self: JobRun) -> None:
    if self._state.final_verification is None:
        await _verify_last(self)


def _skip_the_second(state: JobState) -> Any:
    return next((item for item in state.passes if not item.is_complete and item.number != 2), None)


# ---- who has what


def _is_alike(planned: Drive, found: Drive) -> bool:
    return planned.identity.model == found.identity.model


_hold = World.hold


def _hold_past_the_claim(self: World, drive: Drive, *, now_utc: Any) -> Held:
    for plugging in self.slots.values():
        if plugging.disk.node == drive.path and plugging.claim is not None and plugging.claim.is_closed:
            plugging.claim = None
    return _hold(self, drive, now_utc=now_utc)


def _forget_cancel(self: erasing.Erasing, *args: Any, **options: Any) -> None:
    if self.job is not None:
        self.job.cancel(**options)


_of = LedgerHistory.of


async def _of_passed_ones(self: LedgerHistory, drive: Drive) -> Past | None:
    past = await _of(self, drive)
    return past if past is not None and past.outcome == Outcome.PASSED else None


async def _ask_nobody(self: Any, drive: Drive, *args: Any) -> str:
    return ""


async def _consent_of_nobody(self: Any, *args: Any) -> None:
    return None


# ---- who waits for whom

_changed, _call = Work.changed, Program.call


async def _changed_once_none_hangs(self: Work, timeout_seconds: float) -> None:
    others = [held.work for held in self._held.world.helds if held.work is not None and held.work is not self]
    if any(work.hung_seconds > 0 and not work.is_over for work in others):
        await asyncio.sleep(timeout_seconds)
    else:
        await _changed(self, timeout_seconds)


async def _call_after_the_one_before(self: Program, *call: Any, **options: Any) -> Any:
    """Also after one for which nobody waits any more."""
    before: asyncio.Task[Any] | None = getattr(self, "last_call", None)

    async def in_its_turn() -> Any:
        if before is not None:
            await asyncio.wait({before})
        return await _call(self, *call, **options)

    this = asyncio.ensure_future(in_its_turn())
    this.add_done_callback(lambda done: done.cancelled() or done.exception())
    self.last_call = this  # type: ignore[attr-defined]
    return await asyncio.shield(this)


# ---- what is seen

_snapshot, _finish = Work.snapshot, Work.finish


def _remember_snapshot(self: Any) -> Snapshot:
    now = _snapshot(self)
    self.stale, self.fresh = getattr(self, "fresh", now), now
    return now


async def _finish_as_it_was(self: Any) -> tuple[TransferReport, bool]:
    report, is_gone = await _finish(self)
    return replace(report, mismatched_sectors=self.stale.mismatched_sectors), is_gone


def _issue_again(self: Papers, state: JobState) -> Any:
    self.add(state)
    return _issue(self, state)


_issue = Papers.__call__


def _nothing(*_: Any) -> Iterator[Any]:
    return iter(())


BUGS: dict[str, Bug] = {
    "event-after-its-effect": _patched((JobRun, "_append", _append_unawaited)),
    "checkpoint-before-the-flush": _patched((JobRun, "_watch", _watch_what_is_not_flushed)),
    "resume-without-identity": _patched((erasing, "_is_same", _is_alike), (job_run, "same_drive", lambda *_: "")),
    "two-jobs-on-one-drive": _patched((bay, "open_job", lambda *_: None)),
    "verification-before-the-last-write": _patched(
        (JobRun, "_verify_last", _verify_if_it_never_was),
        *_keeping("final_verification", "_written_to", "_sight_began", "_interrupted", "_restarted"),
    ),
    "lost-cancel": _patched((erasing.Erasing, "cancel", _forget_cancel)),
    "wrong-pass-count": _patched((JobState, "next_pass", property(_skip_the_second)), (verdict, "_passes", _nothing)),
    "late-write-counted": _patched((World, "hold", _hold_past_the_claim)),
    "stale-snapshot-taken-as-final": _patched(
        (Work, "snapshot", _remember_snapshot), (Work, "finish", _finish_as_it_was)
    ),
    "second-certificate": _patched((Papers, "__call__", _issue_again)),
    "quarantine-left-silently": _patched((LedgerHistory, "of", _of_passed_ones)),
    "starvation-by-priority": _patched((admission, "MAX_OVERTAKEN", 10**9)),
    "all-transfers-wait-for-the-hung-one": _patched((Work, "changed", _changed_once_none_hangs)),
    "one-thread-for-all-calls": _patched((Program, "call", _call_after_the_one_before)),
    "foreign-write-ignored": _patched((DriveActivity, "has_foreign_writes", False)),
    "markers-ignored": _patched((verdict, "_markers", _nothing), (JobRun, "_raise_if_markers_differ", lambda *_: None)),
    "begin-before-consent": _patched((bay.BayRun, "_until_consent", _consent_of_nobody)),
    "start-unasked": _patched((bay.BayRun, "_question", _ask_nobody)),
}
