"""What an audit at the station itself draws from and looks at: by the ledger, without a million files being read.

The log's tree is the one that the ledger keeps, held against the checkpoint; of each sampled entry its proof is checked. When a
certificate was issued, the index tells: it knows when its job had ended and when it went on record, and its own word lies
between. Only where a day's end does, the certificate is read.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select

from eraser.audits.errors import PlanNotFairError
from eraser.audits.planning import expect_fair
from eraser.audits.population import (
    Documents,
    Logged,
    Population,
    is_within,
    population,
    read_documents,
    whole_log,
)
from eraser.certificates.issuing import document_names
from eraser.domain.audit import Member, Plan
from eraser.domain.log_entry import EntryKind
from eraser.domain.merkle import is_included
from eraser.ledger import log
from eraser.ledger.certificate_index import Indexed, indexed
from eraser.ledger.schema import certificate_index as index
from eraser.ledger.schema import log_entries as entries
from eraser.log.checkpoint import Checkpoint, Withdrawals
from eraser.log.errors import RewrittenLogError

MOST_READ = 10_000
"""Certificates that are read for their own word on when they were issued; where there are more, all are."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class StationLog:
    """The log under one checkpoint, while one transaction lasts."""

    connection: Connection
    head: Checkpoint
    withdrawn: frozenset[str]
    folder: Path
    """Of the certificates."""

    def population(self, days: tuple[str, str]) -> Population | None:
        """As `population.population` finds it; None where the index doesn't know all that it takes."""
        if not self._is_indexed():
            return None
        marked = self._read_between(days)
        if marked is None:
            return None
        inside, outside, undated = marked
        own = self._span(days, inside, outside)
        kept = self._numbers(own, days)
        spoilt = outside | self._withdrawn_numbers()
        indexes = [number for number in kept if number not in spoilt] if spoilt else kept
        return Population(indexes, self.member, self._unknown(own) + len(undated.intersection(indexes)))

    def member(self, number: int) -> Member:
        """An entry of the sample. Raises RewrittenLogError where the tree does not have it."""
        entry = log.entry_at(self.connection, number)
        proof = log.tree(self.connection, self.head.size).inclusion_proof(number)
        if not is_included(entry.leaf(), number, self.head.size, proof, self.head.root):
            raise RewrittenLogError(f"entry {number} is not the one that the checkpoint is over")
        return Member(number, entry.subject, entry.digest)

    def expect_fair(self, plan: Plan) -> bool:
        """Raises PlanNotFairError, as `planning.expect_fair`. False where the index doesn't know all that it takes."""
        found = self.population((plan.issued_from, plan.issued_before))
        if found is None:
            return False
        if against := next(self._against(plan, found.indexes), None):
            raise PlanNotFairError(against, remedy="Draw a plan of your own: `eraser audit plan`.")
        return True

    def _against(self, plan: Plan, indexes: Sequence[int]) -> Iterator[str]:
        for item in plan.sample:
            if (
                self.member(item.index) != item
                or log.entry_at(self.connection, item.index).kind is not EntryKind.CERTIFICATE
            ):
                yield f"entry {item.index} of the log is not the certificate that its sample names"
        planned = {number for piece in plan.members for number in range(piece.first, piece.behind)}
        if left_out := next((number for number in indexes if number not in planned), None):
            name = log.entry_at(self.connection, left_out).subject
            yield f"certificate {name} (entry {left_out}) was left out of its population, and nothing shows why"
        gone = self._withdrawn_numbers()
        for piece in plan.members:
            here = and_(entries.c.number >= piece.first, entries.c.number < piece.behind)
            query = select(func.count()).select_from(entries).where(here, _IS_CERTIFICATE)
            is_whole = self.connection.execute(query).scalar() == piece.behind - piece.first
            if not is_whole or any(piece.first <= number < piece.behind for number in gone):
                yield f"entries from {piece.first} of the log are in its population and do not belong there"

    def documents(self, plan: Plan, *, with_later: bool = False) -> tuple[Documents, Logged]:
        """The sampled certificates that are in the folder, and what the log has of them. `with_later`: with those of the same
        drives since.
        """
        items = list(self._indexed([item.certificate_id for item in plan.sample]))
        if with_later:
            items += [later for item in items for later in self._of_same_drive(item)]
        known = {item.number: log.entry_at(self.connection, item.number) for item in items}
        found = read_documents(path for item in items for path in self._paths(item))
        return found, Logged(self.head, known, self.withdrawn)

    def _is_indexed(self) -> bool:
        """Whether the index reaches as far as the checkpoint, and knows of each when it was issued."""
        certified = select(func.max(entries.c.number)).where(_IS_CERTIFICATE, entries.c.number < self.head.size)
        newest = self.connection.execute(certified).scalar()
        reached = self.connection.execute(select(func.max(index.c.number))).scalar()
        unknown = select(index.c.number).where(or_(index.c.issued_at == "", index.c.finished_at == ""))
        is_known = self.connection.execute(unknown.where(index.c.number < self.head.size).limit(1)).first() is None
        return is_known and (newest is None or (reached is not None and reached >= newest))

    def _read_between(self, days: tuple[str, str]) -> tuple[set[int], set[int], set[int]] | None:
        """Of those whose day the index does not tell: the numbers of the ones inside, of the ones outside, and of those inside
        that are not at hand. None where there are too many.
        """
        either = and_(index.c.number < self.head.size, not_(_inside(days)), not_(_outside(days)))
        items = indexed(select(index).where(either).limit(MOST_READ + 1), self.connection)
        if len(items) > MOST_READ:
            return None
        found = read_documents(path for item in items for path in self._paths(item))
        inside, outside, undated = set[int](), set[int](), set[int]()
        for item in items:
            document = found.by_digest.get(item.digest)
            is_inside = document is None or is_within(document.issued_at, days)
            (inside if is_inside else outside).add(item.number)
            if document is None:
                undated.add(item.number)
        return inside - undated, outside, undated

    def _span(self, days: tuple[str, str], inside: set[int], outside: set[int]) -> range:
        """As `population.span`."""
        within, without = and_(_inside(days), index.c.number < self.head.size), _outside(days)
        low, high = self.connection.execute(
            select(func.min(index.c.number), func.max(index.c.number)).where(within)
        ).one()
        own = [number for number in (low, high, *inside) if number is not None]
        if not own:
            return range(0)
        below = self.connection.execute(select(func.max(index.c.number)).where(without, index.c.number < min(own)))
        above = self.connection.execute(
            select(func.min(index.c.number)).where(without, index.c.number > max(own), index.c.number < self.head.size)
        )
        first = max(
            (number for number in (below.scalar(), *outside) if number is not None and number < min(own)), default=-1
        )
        behind = min(
            (number for number in (above.scalar(), *outside) if number is not None and number > max(own)),
            default=self.head.size,
        )
        return range(first + 1, behind)

    def _numbers(self, own: range, days: tuple[str, str]) -> list[int]:
        """Certificates of the span of which nothing shows that they are of another day."""
        joined = entries.outerjoin(index, index.c.number == entries.c.number)
        is_possible = or_(index.c.number.is_(None), not_(_outside(days)))
        query = select(entries.c.number).select_from(joined).where(*_in(own), _IS_CERTIFICATE, is_possible)
        return list(self.connection.execute(query.order_by(entries.c.number)).scalars())

    def _unknown(self, own: range) -> int:
        """Those that were removed from the ledger since."""
        joined = entries.outerjoin(index, index.c.number == entries.c.number)
        query = select(func.count()).select_from(joined).where(*_in(own), _IS_CERTIFICATE, index.c.number.is_(None))
        return int(self.connection.execute(query).scalar() or 0)

    def _withdrawn_numbers(self) -> set[int]:
        names = sorted(self.withdrawn)
        numbers = set[int]()
        for start in range(0, len(names), _AT_ONCE):
            query = select(entries.c.number).where(
                entries.c.subject.in_(names[start : start + _AT_ONCE]), _IS_CERTIFICATE
            )
            numbers.update(self.connection.execute(query).scalars())
        return numbers

    def _indexed(self, ids: Sequence[str]) -> Iterator[Indexed]:
        for start in range(0, len(ids), _AT_ONCE):
            names = index.c.certificate_id.in_(ids[start : start + _AT_ONCE])
            yield from indexed(select(index).where(names, index.c.number < self.head.size), self.connection)

    def _of_same_drive(self, item: Indexed) -> Iterable[Indexed]:
        names = [index.c.serial == item.serial] if item.serial else []
        names += [index.c.world_wide_name == item.world_wide_name] if item.world_wide_name else []
        if not names:
            return ()
        return indexed(select(index).where(or_(*names), index.c.number > item.number), self.connection)

    def _paths(self, item: Indexed) -> Iterator[Path]:
        for name in document_names(item.serial, item.device, item.job_id):
            if (path := self.folder / name).exists():
                yield path


def station_log(connection: Connection, head: Checkpoint, folder: Path) -> StationLog:
    """Raises RewrittenLogError where the ledger's log is not the one that the checkpoint is over."""
    if head.size > log.size(connection) or log.tree(connection, head.size).root() != head.root:
        raise RewrittenLogError(f"the ledger's log is not the one that the checkpoint of {head.size} is over")
    withdrawn = frozenset(log.withdrawn(connection, head.size))
    if Withdrawals.of(withdrawn) != head.withdrawn:
        raise RewrittenLogError("the checkpoint commits to other withdrawals than the ledger has")
    return StationLog(connection, head, withdrawn, folder)


def drawn_here(
    head: Checkpoint, folder: Path, days: tuple[str, str], draw: Callable[[Population], Plan], connection: Connection
) -> Plan:
    """The plan by the index, as far as that knows all that it takes; else by the files of all certificates. Blocks."""
    found = station_log(connection, head, folder).population(days)
    if found is not None:
        return draw(found)
    documents = read_documents([folder] if folder.is_dir() else [])
    return draw(population(whole_log(head, log.first_entries(connection, head.size)), documents, days))


def looked_at_here(
    plan: Plan, drawn_from: Checkpoint, newest: Checkpoint, folder: Path, with_later: bool, connection: Connection
) -> tuple[Documents, Logged]:
    """The certificates of a plan that is fair, and the log under the newest checkpoint. Raises PlanNotFairError. Blocks."""
    if station_log(connection, drawn_from, folder).expect_fair(plan):
        return station_log(connection, newest, folder).documents(plan, with_later=with_later)
    documents = read_documents([folder] if folder.is_dir() else [])
    expect_fair(plan, whole_log(drawn_from, log.first_entries(connection, drawn_from.size)), documents)
    return documents, whole_log(newest, log.first_entries(connection, newest.size))


_IS_CERTIFICATE = entries.c.kind == EntryKind.CERTIFICATE.value


def _in(own: range) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return entries.c.number >= own.start, entries.c.number < own.stop


def _inside(days: tuple[str, str]) -> ColumnElement[bool]:
    """Ended and on record within the days: so it was issued in them."""
    return and_(index.c.finished_at >= days[0][:10], index.c.issued_at < days[1][:10])


def _outside(days: tuple[str, str]) -> ColumnElement[bool]:
    """On record before them, or ended after them."""
    return or_(index.c.issued_at < days[0][:10], index.c.finished_at >= days[1][:10])
