"""The ways in which the vault fails. None of their messages holds a customer's detail, a key or a receipt's code."""

from typing import ClassVar

from eraser.errors import EraserError, ExitStatus


class VaultError(EraserError):
    """The vault cannot be used, or cannot be believed."""

    code = "vault"


class VaultAlteredError(VaultError):
    """What is sealed was changed, or stands in another one's place, or is opened with another one's key."""

    code = "vault-altered"


class VaultDestroyedError(VaultError):
    """The record's keys were destroyed, and with them what it said."""

    code = "vault-destroyed"
    exit_status: ClassVar[ExitStatus] = ExitStatus.REFUSED


class VaultKeyError(VaultError):
    """A key is not there, or its file cannot be used."""

    code = "vault-key"
