"""Whether a station may sign: only while its log is shown to continue everything that it has signed before.

A certificate that is signed while the ledger stands at an old backup would get a place in the log that another one had.
"""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from eraser.errors import CertificateError, ExitStatus


class SigningSuspended(CertificateError):
    """Nothing is signed before the log is whole again. Whatever was to be signed stays due."""

    code = "signing-suspended"
    exit_status: ClassVar[ExitStatus] = ExitStatus.REFUSED


async def _never(_: str) -> str:
    return ""


class SigningGate:
    """One for a station; closed until somebody has looked. Threads may ask at any time."""

    def __init__(self) -> None:
        self._reason = "the log has not been looked at yet"
        self.why_withheld: Callable[[], str] = lambda: ""
        """Why certificates, and nothing else, are held back: what the positive control says, once there is one."""
        self.why_doubted: Callable[[str], Awaitable[str]] = _never
        """Why a job that ended at this moment (RFC 3339, UTC) is not believed to have passed, by the same controls."""

    @property
    def reason(self) -> str:
        """Why nothing is signed; empty when it is."""
        return self._reason

    def open(self) -> None:
        """The log continues what was signed last."""
        self._reason = ""

    def close(self, reason: str) -> None:
        """It does not, or nobody knows."""
        self._reason = reason

    def expect_open(self) -> None:
        """Raises SigningSuspended. Call it before each signature."""
        if reason := self._reason:
            raise SigningSuspended(f"nothing is signed: {reason}")
