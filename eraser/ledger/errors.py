"""The ways in which the ledger fails its caller. What matters to a job is whether the event may be there all the same."""

from eraser.errors import JournalError


class LedgerError(JournalError):
    """The database can't be used, can't be believed, or did not answer; whether the write is there is not known."""

    code = "ledger"


class LedgerFull(LedgerError):
    """There is no room. Nothing of the write is there; the same write succeeds once there is room again."""

    code = "ledger-full"


class AlreadyThere(LedgerError):
    """What must be there once would be there twice. Nothing of the write is there."""

    code = "ledger-duplicate"


class JobHeld(LedgerError):
    """Another process works on the job, or has taken it over. Nothing of the write is there."""

    code = "job-held"
