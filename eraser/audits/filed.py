"""The station's audits for whoever asks by id: planned, looked through, ended with a signed record, and found again.

An audit has one id from its plan to its record. A plan that was drawn stays on record whether or not it came to a record, so
that nobody draws until the sample is to their liking. What is shown follows from plans and records, which never change.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Connection

from eraser.audits.at_station import drawn_here, looked_at_here
from eraser.audits.ordering import PlanOrder
from eraser.audits.planning import confirmed, draw_plan, dump, head_of, load
from eraser.audits.population import Population
from eraser.audits.records import open_audit_signer, readable, sign, trusted_audit_keys, verify
from eraser.audits.reporting import csv_report, json_report
from eraser.audits.running import check_documents, record, refuse_own_work
from eraser.certificates.canonical import parse
from eraser.certificates.checking import Held
from eraser.certificates.filed import Folders
from eraser.certificates.issuer import tool
from eraser.certificates.keys import station_keys
from eraser.certificates.verifying import entry_of
from eraser.domain.audit import Criterion, Item, LogHead, Member, Plan, Record
from eraser.domain.json_form import from_json
from eraser.domain.routine_control import Draw, RoutineState
from eraser.errors import CertificateError, Refused, UsageError
from eraser.ledger import audit_plans, audits, log, routine
from eraser.ledger.audit_plans import KeptPlan
from eraser.ledger.certificate_index import CertificateIndex, Indexed
from eraser.ledger.store import Store
from eraser.log.note import given_keys

MAX_PAGE = 200


class UnknownAudit(UsageError):
    """No audit has this id."""


class State(StrEnum):
    """How far an audit has come."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class AuditLine:
    """An audit as the list shows it. `found` and `critical` are 0 while it is open."""

    audit_id: str
    at: str
    """When it was planned, or done."""
    auditor: str
    state: State
    issued_from: str
    issued_before: str
    criterion: Criterion
    population: int
    n: int
    ac: int
    re: int
    found: int
    critical: int
    drives_read: int
    seed: str
    key_ids: tuple[str, ...]
    """Of the record's signature; empty while it is open, and where this station does not know the key."""


@dataclass(frozen=True, slots=True)
class AuditView:
    """One audit as a whole."""

    line: AuditLine
    plan: Plan
    record: Record | None
    looked_at: frozenset[str]
    others: tuple[AuditLine, ...]
    """Records of the same draw under other ids: made with the plan's file, elsewhere or with drives at hand."""


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """What is asked for; what is empty is not asked. Days are of planning or doing, UTC, both included."""

    state: str = ""
    auditor: str = ""
    since: str = ""
    until: str = ""

    def finds(self, line: AuditLine) -> bool:
        """Whether the line is asked for."""
        return (
            self.state in ("", line.state.value)
            and self.auditor.strip().casefold() in line.auditor.casefold()
            and (not self.since or line.at[:10] >= self.since)
            and (not self.until or line.at[:10] <= self.until)
        )


class FiledAudits:
    """Of one station."""

    def __init__(
        self,
        store: Store,
        folders: Folders,
        now_utc: Callable[[], str],
        new_id: Callable[[], str],
        expect_open: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._folders = folders
        self._index = CertificateIndex(store)
        self._now_utc = now_utc
        self._new_id = new_id
        self._expect_open = expect_open
        self._lines: dict[str, AuditLine] = {}
        """Of plans and records, neither of which ever changes. A record's replaces its plan's."""
        self._drawing = asyncio.Lock()

    # ---- what there is

    async def newest_head(self) -> LogHead:
        """The log's newest checkpoint. Raises UsageError before the first."""
        return head_of(confirmed(await asyncio.to_thread(self._signed), self._log_keys()))

    async def search(self, search: AuditSearch, *, after: str = "", limit: int = 50) -> tuple[list[AuditLine], str]:
        """A page, the newest first, and the id to go on after; empty at the end."""
        lines = [line for line in await self._all() if search.finds(line)]
        places = [place for place, line in enumerate(lines) if line.audit_id == after]
        start = places[0] + 1 if places else 0
        end = start + min(limit, MAX_PAGE)
        return lines[start:end], lines[end - 1].audit_id if end < len(lines) else ""

    async def one(self, audit_id: str) -> AuditView:
        """Raises UnknownAudit."""
        lines = {line.audit_id: line for line in await self._all()}
        if (line := lines.get(audit_id)) is None:
            raise UnknownAudit("this station's ledger has no such audit", subject=audit_id)
        return await asyncio.to_thread(
            partial(self._view, line, await self._store.read(partial(_kept, audit_id)), lines)
        )

    async def sampled(self, members: Iterable[Member]) -> dict[str, Indexed]:
        """What the index has of these certificates, by their ids."""
        await self._index.refresh()
        found = [await self._index.one(item.certificate_id) for item in members]
        return {item.certificate_id: item for item in found if item is not None}

    async def document(self, audit_id: str) -> bytes:
        """The signed record. Raises UnknownAudit."""
        found = await self._store.read(partial(audits.document, audit_id))
        if found is None:
            raise UnknownAudit("no record of this audit is in the ledger", subject=audit_id)
        return found

    async def plan_file(self, audit_id: str) -> bytes:
        """As `eraser audit run` takes it. Raises UnknownAudit."""
        kept = await self._store.read(partial(audit_plans.get, audit_id))
        return kept.body if kept is not None else dump((await self.one(audit_id)).plan)

    async def report(self, audit_id: str, form: str, language: str = "zh-CN") -> bytes:
        """`json`, `csv` or `pdf`. Raises CertificateError for a record that this station can't believe."""
        document = await self.document(audit_id)
        async with self._drawing:  # one at a time: a page is a tenth of a second of one core
            return await asyncio.to_thread(self._reported, document, form, language)

    # ---- what is done

    async def plan(self, order: PlanOrder, auditor: str) -> str:
        """Draws, keeps, and gives the id. Raises UsageError, CertificateError."""
        signed = await self._store.read(partial(self._signed_then, order.checkpoint_size))
        head = confirmed(signed, self._log_keys())
        await self._index.refresh()

        def draw(found: Population) -> Plan:
            return draw_plan(head, found, signed, order.nonce, order.days, order.criterion, order.confidence_ppm)

        plan = await self._store.read(partial(drawn_here, head, self._folders.certificates, order.days, draw))
        kept = KeptPlan(self._new_id(), self._now_utc(), auditor, dump(plan))
        await self._store.write(partial(audit_plans.put, kept))
        return kept.plan_id

    async def mark(self, audit_id: str, certificate_ids: Iterable[str], operator: str, *, is_looked_at: bool) -> None:
        """Notes that somebody has looked at these, or has not after all. Raises UnknownAudit, Refused, UsageError."""
        view = await self.one(audit_id)
        wanted = set(certificate_ids)
        if view.record is not None:
            raise Refused("audit-ended", "it has its record, which never changes", subject=audit_id)
        if strange := wanted - {item.certificate_id for item in view.plan.sample}:
            raise UsageError("it is not in the sample", subject=min(strange))
        changed = sorted(wanted - view.looked_at if is_looked_at else wanted & view.looked_at)
        at = self._now_utc()
        await self._store.write(partial(audit_plans.mark, audit_id, changed, at, operator, is_looked_at))

    async def end(self, audit_id: str, auditor: str) -> None:
        """Checks the sample's certificates, signs what was found and enters it into the log.

        Raises UnknownAudit, Refused for one that has ended or is the auditor's own work, PlanNotFairError, SigningSuspended.
        """
        view = await self.one(audit_id)
        if view.record is not None:
            raise Refused("audit-ended", "it has its record already", subject=audit_id)
        self._expect_open()
        document = await self._recorded(audit_id, view.plan, auditor)
        await self._store.write(partial(audits.enter, entry_of(document), self._now_utc(), document))
        self._lines.pop(audit_id, None)

    async def routine(self) -> RoutineState:
        """How the routine control stands."""
        return await self._store.read(partial(routine.state, self._now_utc()))

    async def draw_routine(self) -> Draw | None:
        """Draws now from what passed since the last draw; None where nothing did."""
        head, draw_id, at = await self.newest_head(), self._new_id(), self._now_utc()
        return await self._store.write(partial(routine.draw_next, draw_id, at, head, os.urandom))

    # ---- how

    async def _recorded(self, audit_id: str, plan: Plan, auditor: str) -> bytes:
        drawn_from = confirmed(plan.checkpoint, self._log_keys())
        newest = confirmed(await asyncio.to_thread(self._signed), self._log_keys())
        await self._index.refresh()
        look = partial(looked_at_here, plan, drawn_from, newest, self._folders.certificates, False)
        documents, now = await self._store.read(look)

        def check() -> bytes:
            held = Held(station_keys(self._folders.keys), self._log_keys())
            checked = check_documents(plan, documents, now, held)
            refuse_own_work(auditor, checked)
            done = record(
                plan,
                checked,
                {},
                audit_id=audit_id,
                done_at=self._now_utc(),
                auditor=auditor,
                as_of=head_of(newest),
                tool=tool(),
            )
            return sign(done, open_audit_signer(self._folders.keys))

        return await asyncio.to_thread(check)

    async def _all(self) -> list[AuditLine]:
        """The newest first."""
        return await self._store.read(self._read_lines)

    def _read_lines(self, connection: Connection) -> list[AuditLine]:
        recorded = audits.ids(connection)
        planned = audit_plans.ids(connection)
        for audit_id in recorded:
            if (line := self._lines.get(audit_id)) is None or line.state is State.OPEN:
                document = audits.document(audit_id, connection)
                assert document is not None  # its id was just read
                self._lines[audit_id] = self._line_of(document)
        for audit_id in planned:
            if audit_id not in self._lines and (kept := audit_plans.get(audit_id, connection)) is not None:
                self._lines[audit_id] = _open_line(kept)
        known = (self._lines[audit_id] for audit_id in {*recorded, *planned})
        return sorted(known, key=lambda line: (line.at, line.audit_id), reverse=True)

    def _line_of(self, document: bytes) -> AuditLine:
        try:
            found = verify(document, trusted_audit_keys(self._folders.keys))
        except CertificateError:
            # Whoever entered it held the auditor's key; the log has it. It is shown, and said to be of an unknown key.
            return _line(readable(document), ())
        return _line(found.record, found.key_ids)

    def _view(
        self, line: AuditLine, kept: tuple[KeptPlan | None, bytes | None, frozenset[str]], lines: dict[str, AuditLine]
    ) -> AuditView:
        plan, document, looked_at = kept
        done = readable(document) if document is not None else None
        others = tuple(item for item in lines.values() if item.seed == line.seed and item.audit_id != line.audit_id)
        if done is not None:
            return AuditView(line, done.plan, done, looked_at, others)
        assert plan is not None  # the line is of one or of the other
        return AuditView(line, load(plan.body), None, looked_at, others)

    def _reported(self, document: bytes, form: str, language: str) -> bytes:
        found = verify(document, trusted_audit_keys(self._folders.keys))
        if form == "json":
            return json_report(found)
        if form == "csv":
            return csv_report(found.record)
        from eraser.audits.page import signed_report  # 34 MB of Typst, and 0.6 s of pyHanko
        from eraser.certificates.pdf.words import Language

        return signed_report(found, document, Language(language), self._folders.keys, self._now_utc())

    def _signed_then(self, size: int | None, connection: Connection) -> bytes:
        newest = self._signed()
        if size is None:
            return newest
        head = confirmed(newest, self._log_keys())
        found = newest if head.size == size else log.note_of_size(connection, head.origin, size)
        if found is None:
            raise UsageError(f"the log never signed a checkpoint of {size} entries")
        return found

    def _signed(self) -> bytes:
        path = self._folders.log / "checkpoint"
        try:
            return path.read_bytes()
        except OSError:
            raise UsageError(
                "the log is not signed yet", remedy="The station signs it within a minute of its start."
            ) from None

    def _log_keys(self) -> Any:
        return tuple(given_keys(str(self._folders.log / "key")))


def items_of(view: AuditView) -> dict[str, Item]:
    """What was found, by the certificates' ids; empty while it is open."""
    return {item.certificate_id: item for item in view.record.items} if view.record is not None else {}


def _kept(audit_id: str, connection: Connection) -> tuple[KeptPlan | None, bytes | None, frozenset[str]]:
    plan, document = audit_plans.get(audit_id, connection), audits.document(audit_id, connection)
    return plan, document, audit_plans.looked_at(audit_id, connection)


def _open_line(kept: KeptPlan) -> AuditLine:
    plan = from_json(Plan, parse(kept.body))
    return _planned(plan, kept.plan_id, kept.at, kept.auditor)


def _planned(plan: Plan, audit_id: str, at: str, auditor: str) -> AuditLine:
    return AuditLine(
        audit_id,
        at,
        auditor,
        State.OPEN,
        plan.issued_from,
        plan.issued_before,
        plan.criterion,
        plan.population,
        plan.sample_size,
        plan.accepts,
        plan.accepts + 1,
        0,
        0,
        0,
        plan.seed.hex(),
        (),
    )


def _line(done: Record, key_ids: tuple[str, ...]) -> AuditLine:
    verdict = done.verdict
    return replace(
        _planned(done.plan, done.audit_id, done.done_at, done.auditor),
        state=State.ACCEPTED if verdict.is_accepted else State.REJECTED,
        found=verdict.found,
        critical=verdict.critical,
        drives_read=verdict.drives_read,
        key_ids=key_ids,
    )
