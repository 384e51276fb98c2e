"""Rows and the values they stand for: bodies in the strict JSON form, events under a digest.

The digest finds what a disk or a hand changed, not who: a certificate's signature is the proof against people.
"""

import json
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from eraser.domain.events import Entry, JobEvent
from eraser.domain.json_form import from_json, to_json
from eraser.errors import EraserError
from eraser.ledger.errors import LedgerError

T = TypeVar("T")

_DIGEST_BYTES = 8

_decode = msgspec.json.Decoder().decode

EVENTS: dict[str, type[JobEvent]] = {event.kind: event for event in JobEvent.__args__}


def body_of(value: Any) -> bytes:
    """UTF-8 JSON of a domain's value."""
    return json.dumps(to_json(value), separators=(",", ":"), ensure_ascii=True).encode()


def value_of(cls: type[T], body: bytes, subject: str) -> T:
    """The value that the body stands for. Raises LedgerError naming the subject."""
    try:
        return from_json(cls, _decode(body))
    except (ValueError, EraserError) as error:
        raise corrupt(subject, str(error)) from error


def event_row(job_id: str, entry: Entry) -> dict[str, Any]:
    """For the table `job_events`."""
    body = body_of(entry.event)
    return {
        "job_id": job_id,
        "sequence": entry.sequence,
        "at": entry.at,
        "kind": entry.event.kind,
        "body": body,
        "digest": event_digest(job_id, entry.sequence, entry.at, entry.event.kind, body),
    }


def entry_of(job_id: str, sequence: int, at: str, kind: str, body: bytes, digest: bytes) -> Entry:
    """What the row says. Raises LedgerError if it can't be believed."""
    return Entry(sequence, at, event_of(job_id, sequence, at, kind, body, digest))


def event_of(job_id: str, sequence: int, at: str, kind: str, body: bytes, digest: bytes) -> JobEvent:
    """The row's event alone. Raises LedgerError if the row can't be believed."""
    if digest != event_digest(job_id, sequence, at, kind, body):
        raise corrupt(f"job {job_id}, event {sequence}", "its digest does not match")
    event = EVENTS.get(kind)
    if event is None:
        raise corrupt(f"job {job_id}, event {sequence}", f"its kind {kind!r} is not known")
    try:
        return from_json(event, _decode(body))
    except (ValueError, EraserError) as error:
        raise corrupt(f"job {job_id}, event {sequence}", str(error)) from error


def event_digest(job_id: str, sequence: int, at: str, kind: str, body: bytes) -> bytes:
    """The first 8 bytes of the SHA-256 of everything else in the row."""
    return sha256(b"%b%b" % (f"{job_id}\n{sequence}\n{at}\n{kind}\n".encode(), body)).digest()[:_DIGEST_BYTES]


def corrupt(subject: str, why: str) -> LedgerError:
    """Something in the ledger contradicts itself."""
    return LedgerError(
        f"the ledger can't be believed here: {why}",
        subject=subject,
        remedy="Keep the database: it is evidence. `eraser ledger check` names everything that is wrong.",
    )
