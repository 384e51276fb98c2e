"""The ways in which a log fails whoever checks it, each with its own stable code."""

from typing import ClassVar

from eraser.errors import CertificateError, ExitStatus


class NoteError(CertificateError):
    """It is no signed note, or no checkpoint, in its one strict form."""

    code = "malformed-checkpoint"


class UnknownLogError(CertificateError):
    """No signature on it is by a key that is trusted here."""

    code = "unknown-log"
    exit_status: ClassVar[ExitStatus] = ExitStatus.UNKNOWN_KEY


class ForgedNoteError(CertificateError):
    """It bears the name and key id of a trusted key, and the signature is not by that key."""

    code = "altered-checkpoint"


class LogKeyNotValidThenError(CertificateError):
    """A trusted key of the log signed it, and it is longer or shorter than the log was in that key's time."""

    code = "log-key-not-valid-then"


class RewrittenLogError(CertificateError):
    """Two checkpoints of one log do not belong to one history."""

    code = "log-rewritten"


class NotLoggedError(CertificateError):
    """The log of this checkpoint does not contain it."""

    code = "not-in-log"
