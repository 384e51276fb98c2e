"""Plans: drawn from the log, and held against it again before anything is done by them."""

from collections.abc import Iterable, Iterator

from eraser.audits.errors import PlanNotFairError
from eraser.audits.population import Documents, Logged, Population, dated, is_member, span
from eraser.certificates.canonical import canonical, parse
from eraser.domain.audit import Criterion, LogHead, Plan, fixed_plan, read_plan
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind
from eraser.errors import UsageError
from eraser.log import note
from eraser.log.checkpoint import Checkpoint, confirm
from eraser.log.note import NoteKey


def head_of(checkpoint: Checkpoint) -> LogHead:
    """What a plan keeps of a checkpoint."""
    return LogHead(checkpoint.origin, checkpoint.size, checkpoint.root)


def draw_plan(
    head: Checkpoint,
    found: Population,
    signed: bytes,
    nonce: bytes,
    days: tuple[str, str],
    criterion: Criterion,
    confidence_ppm: int,
) -> Plan:
    """`signed` is the note of the checkpoint `head`. Raises UsageError where there is nothing to draw from."""
    return fixed_plan(
        head_of(head),
        signed,
        nonce,
        days,
        criterion,
        confidence_ppm,
        found.indexes,
        found.member,
        undated_members=found.undated,
    )


def dump(plan: Plan) -> bytes:
    """The plan's file: RFC 8785, one line."""
    return canonical(to_json(plan)) + b"\n"


def load(content: bytes) -> Plan:
    """Raises PlanNotFairError for one that contradicts itself, MalformedError and UsageError for what is none."""
    form = parse(content)
    try:
        return read_plan(form)
    except UsageError as error:
        if "contradicts itself" in error.what:
            raise PlanNotFairError(error.what, remedy="Draw it anew, with a nonce of your own.") from error
        raise


def confirmed(signed: bytes, keys: Iterable[NoteKey]) -> Checkpoint:
    """The checkpoint in a note that the log itself signed. Raises CertificateError, as `checkpoint.confirm` does."""
    return confirm(note.parse(signed), keys)[0]


def expect_fair(plan: Plan, logged: Logged, documents: Documents) -> None:
    """Raises PlanNotFairError unless the plan is drawn from just this log and leaves nobody out, as far as that can be seen.

    `logged` is the log under the plan's own checkpoint, whose signature is confirmed.
    """
    if head_of(logged.head) != plan.log:
        raise PlanNotFairError("its checkpoint is not the one that it says it was drawn from")
    if against := next(_against(plan, logged, documents), None):
        raise PlanNotFairError(against, remedy="Draw a plan of your own: `eraser audit plan`.")


def _against(plan: Plan, logged: Logged, documents: Documents) -> Iterator[str]:
    for item in plan.sample:
        entry = logged.entries.get(item.index)
        if entry is None:
            yield f"entry {item.index} of its sample is not known here: give the log's entries with --entries"
        elif (entry.kind, entry.subject, entry.digest) != (EntryKind.CERTIFICATE, item.certificate_id, item.digest):
            yield f"entry {item.index} of the log is not the certificate that its sample names"
    members = {index for piece in plan.members for index in range(piece.first, piece.behind)}
    days, dates = (plan.issued_from, plan.issued_before), dated(logged, documents)
    for index in sorted(members.union(span(logged, dates, days))):
        entry = logged.entries.get(index)
        if entry is None:
            yield f"entry {index} of the log is not known here: give the log's entries with --entries"
        elif index not in members and is_member(index, logged, dates, days):
            yield f"certificate {entry.subject} (entry {index}) was left out of its population, and nothing shows why"
        # What was not at hand when it was drawn may be so now, and of another day: it was drawn from all the same.
        elif index in members and not is_member(index, logged, {}, days):
            yield f"entry {index} of the log is in its population and does not belong there"
