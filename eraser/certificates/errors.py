"""The ways in which a certificate or a key fails, each with its own stable code."""

from typing import ClassVar

from eraser.errors import CertificateError, ExitStatus


class MalformedError(CertificateError):
    """The file is no certificate in its one strict form: what is read twice must be read the same way by everybody."""

    code = "malformed"


class UnsupportedError(CertificateError):
    """Its format, version or algorithm is none that this program knows."""

    code = "unsupported"


class AlteredError(CertificateError):
    """The signature does not belong to these bytes: the certificate or the signature was changed."""

    code = "altered"


class UnknownKeyError(CertificateError):
    """It names a key that is not trusted here; without that key nothing can be said about the signature."""

    code = "unknown-key"
    exit_status: ClassVar[ExitStatus] = ExitStatus.UNKNOWN_KEY


class KeyNotValidThenError(CertificateError):
    """A trusted key signed it, and it says that it was issued at a time in which that key did not sign."""

    code = "key-not-valid-then"


class AnotherDriveError(CertificateError):
    """It is genuine, and of another drive than the one in the hand."""

    code = "another-drive"


class ContradictoryError(CertificateError):
    """It is well signed and its own facts contradict its outcome."""

    code = "contradictory"


class UnfoundedClaimError(CertificateError):
    """It is well signed, and its claims per rulebook are not those that its evidence bears."""

    code = "unfounded-claim"


class RecordError(CertificateError):
    """The record of an audit contradicts itself, or is not of the audit that somebody asked for."""

    code = "audit-record"


class DuplicateError(CertificateError):
    """A job has one certificate, and here is another one; or two that differ bear one id."""

    code = "duplicate"


class WithdrawnError(CertificateError):
    """The plant took it back; the log says so."""

    code = "withdrawn"


class WithheldError(CertificateError):
    """The station's positive control is not as it must be: until it is, nothing is certified, and what is due waits."""

    code = "withheld"


class NotTheirsError(CertificateError):
    """It is genuine, and its commitment was not made with the receipt's code to the details given."""

    code = "not-theirs"


class NoCommitmentError(CertificateError):
    """It is genuine and holds no commitment: nobody was known as its drive's customer when it was issued."""

    code = "no-commitment"


class PdfDiffersError(CertificateError):
    """The page of a PDF is not the one that its certificate gives."""

    code = "pdf-differs"


class LotDiffersError(CertificateError):
    """The summary of a lot says something else of a certificate than that certificate, or its withdrawal, does."""

    code = "lot-differs"


class PageNotCheckedError(CertificateError):
    """The certificate in a PDF is genuine; whether the page says the same, and who signed it, was not looked at."""

    code = "page-not-checked"
    exit_status: ClassVar[ExitStatus] = ExitStatus.UNKNOWN_KEY


class KeyFileError(CertificateError):
    """A key file that cannot be used: its mode, its place or its content is wrong."""

    code = "key"
    exit_status: ClassVar[ExitStatus] = ExitStatus.USAGE
