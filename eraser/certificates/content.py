"""The certificate in an envelope: its form read, and held against its own facts. Whoever signed it is `verifying`'s to ask.

Apart from it, so that issuing, which ends every erasure, need not load what only reads withdrawals, destructions and controls.
"""

from eraser.certificates.envelope import Envelope
from eraser.certificates.errors import ContradictoryError, MalformedError, UnfoundedClaimError, UnsupportedError
from eraser.domain.certificate import FORMAT, VERSION, Certificate, read
from eraser.domain.certified import contradictions, unfounded
from eraser.errors import UsageError


def content(envelope: Envelope) -> Certificate:
    """The envelope's certificate, signatures aside.

    Raises UnsupportedError, MalformedError, ContradictoryError, UnfoundedClaimError.
    """
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
    try:
        without_evidence = unfounded(certificate)
    except UsageError as error:
        raise UnsupportedError(error.what, remedy="A newer Eraser may know it.") from None
    if without_evidence:
        raise UnfoundedClaimError("; ".join(without_evidence))
    return certificate
