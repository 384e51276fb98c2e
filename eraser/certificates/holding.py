"""From what somebody gives on a command line to what they hold: keys, checkpoint, updates."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from eraser.certificates.bundle import is_bundle, load
from eraser.certificates.checking import Held, read_document
from eraser.certificates.keys import TrustedKeys
from eraser.certificates.receipt import held_in, read_file
from eraser.errors import CertificateError, UsageError
from eraser.log import note
from eraser.log.note import given_keys
from eraser.log.witnessing import parse_update

T = TypeVar("T")


def held(
    keys: TrustedKeys,
    log_keys: Sequence[str],
    witness_keys: Sequence[str],
    drive: str,
    checkpoint: Path | None,
    updates: Sequence[Path],
    restarts: Sequence[Path] = (),
    receipt: Path | None = None,
    code: str = "",
    audit_keys: TrustedKeys = MappingProxyType({}),
) -> Held:
    """Raises UsageError for a file that is not what it was given as, and where what was given needs something more."""
    if checkpoint is not None and not log_keys:
        raise UsageError("a checkpoint says nothing without its log's key", remedy="Give the key with --log-key.")
    if updates and checkpoint is None:
        raise UsageError(
            "an update leads from one checkpoint to another", remedy="Give the one held with --checkpoint."
        )
    if restarts and not log_keys:
        raise UsageError("a log's record says nothing without its key", remedy="Give the key with --log-key.")
    return Held(
        keys,
        tuple(key for item in log_keys for key in given_keys(item)),
        tuple(key for item in witness_keys for key in given_keys(item)),
        drive=drive,
        checkpoint=_given(checkpoint, note.parse) if checkpoint is not None else None,
        updates=tuple(_given(item, parse_update) for item in updates),
        restarts=tuple(_given(item, _restart) for item in restarts),
        audit_keys=audit_keys,
        receipt=held_in(read_file(receipt), code) if receipt is not None else None,
    )


def _restart(content: bytes) -> bytes:
    """What is a bundle of a record at all; whose it is is known with the keys."""
    if not is_bundle(content):
        raise UsageError(
            "it is no bundle: whether the log has the record is not to be seen",
            remedy="Ask the plant for `eraser log bundle` of its record.",
        )
    load(content)
    return content


def _given(path: Path, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(read_document(path))
    except UsageError as error:
        raise UsageError(error.what, subject=str(path), remedy=error.remedy) from error
    except CertificateError as error:
        raise UsageError(error.what, subject=str(path), remedy=error.remedy) from error
