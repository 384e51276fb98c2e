"""Whether a document may be believed. Trust comes from the keys given, never from what the document brings."""

from dataclasses import dataclass

from eraser.certificates.envelope import ALGORITHM, Envelope, Signature, unseal
from eraser.certificates.errors import (
    AlteredError,
    ContradictoryError,
    KeyNotValidThenError,
    MalformedError,
    UnknownKeyError,
    UnsupportedError,
)
from eraser.certificates.keys import TrustedKeys
from eraser.domain.certificate import FORMAT, VERSION, Certificate, contradictions, read
from eraser.errors import UsageError


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate that one or more trusted keys signed, and whose facts agree with its outcome."""

    certificate: Certificate
    key_ids: tuple[str, ...]


def verify(document: bytes, trusted: TrustedKeys) -> Verified:
    """The certificate in the document, if it may be believed.

    Raises CertificateError otherwise, the first that applies: MalformedError for the file's form, UnsupportedError for
    its algorithm, AlteredError for a signature that a trusted key did not make, UnsupportedError for its version,
    MalformedError and ContradictoryError for its content, UnknownKeyError when everything else is right and no signer
    is trusted, KeyNotValidThenError when a trusted one signed outside its time.
    """
    envelope = unseal(document)
    key_ids = _good_signatures(envelope, trusted)
    certificate = content(envelope)
    if not key_ids:
        names = ", ".join(item.key_id for item in envelope.signatures)
        raise UnknownKeyError(
            f"it is signed with the key {names}, which is not trusted here; whether the signature is good is not known",
            remedy="Get the plant's public key by another way than this file, and give it with --keys.",
        )
    for key_id in key_ids:
        if not (validity := trusted[key_id].validity).covers(certificate.issued_at):
            raise KeyNotValidThenError(
                f"it says that it was issued at {certificate.issued_at}; its key {key_id} signs {validity}",
                remedy="Ask the plant what became of the key, and for a newer certificate.",
            )
    return Verified(certificate, key_ids)


def content(envelope: Envelope) -> Certificate:
    """The envelope's certificate, signatures aside. Raises UnsupportedError, MalformedError or ContradictoryError."""
    if envelope.form.get("format") != FORMAT:
        raise UnsupportedError(f"its format is not {FORMAT!r}")
    if envelope.form.get("version") != VERSION or isinstance(envelope.form["version"], bool):
        raise UnsupportedError(f"its version is not {VERSION}", remedy="A newer Eraser may know it.")
    try:
        certificate = read(envelope.form)
    except UsageError as error:
        raise MalformedError(error.what) from None
    if against := contradictions(certificate):
        raise ContradictoryError(f"it says {certificate.outcome.value}, but {'; '.join(against)}")
    return certificate


def _good_signatures(envelope: Envelope, trusted: TrustedKeys) -> tuple[str, ...]:
    for item in envelope.signatures:
        if item.algorithm != ALGORITHM:
            raise UnsupportedError(f"it is signed with {item.algorithm[:40]!r}, known is only {ALGORITHM}")
    known = [item for item in envelope.signatures if item.key_id in trusted]
    message = envelope.signed_bytes
    for item in known:
        _check(item, message, trusted)
    return tuple(item.key_id for item in known)


def _check(item: Signature, message: bytes, trusted: TrustedKeys) -> None:
    if not trusted[item.key_id].is_signature(item.signature, message):
        raise AlteredError(
            f"the signature of key {item.key_id} does not belong to it: the certificate or the signature was altered"
        )
