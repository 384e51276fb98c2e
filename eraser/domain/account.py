"""People and programs that the station knows, and what each role may do: one table, asked everywhere. Values and rules only."""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from eraser.errors import Refused, UsageError


class Permission(StrEnum):
    """One thing that may be done. The values are also the scopes of API tokens."""

    VIEW_RACK = "view-rack"
    """Bays, their drives and live progress."""
    OPERATE = "operate"
    """Start, pause, resume, cancel and retry jobs; acknowledge alarms."""
    MAINTAIN = "maintain"
    """Take bays out of use; drain the station."""
    VIEW_LOTS = "view-lots"
    MANAGE_LOTS = "manage-lots"
    """Make, change, import, open and close lots."""
    BIND_TAGS = "bind-tags"
    """Asset tags and labels."""
    VIEW_CUSTODY = "view-custody"
    RECORD_CUSTODY = "record-custody"
    """What happens to a drive: received, quarantined, released, destroyed, handed over."""
    VIEW_CERTIFICATES = "view-certificates"
    """Search and download certificates; the log and its checkpoints."""
    WITHDRAW_CERTIFICATES = "withdraw-certificates"
    VIEW_FAILURES = "view-failures"
    VIEW_REPORTS = "view-reports"
    VIEW_AUDITS = "view-audits"
    RUN_AUDITS = "run-audits"
    """Draw samples; record what they showed."""
    ATTEND_CUSTOMERS = "attend-customers"
    """Begin a job that a customer watches; take their consent and confirmation."""
    ENTER_PERSONAL_DATA = "enter-personal-data"
    VIEW_PERSONAL_DATA = "view-personal-data"
    ERASE_PERSONAL_DATA = "erase-personal-data"
    VIEW_TRAIL = "view-trail"
    """What people did, and when."""
    MANAGE_ACCOUNTS = "manage-accounts"
    """Make and disable accounts, change roles, make and end API tokens."""


class Role(StrEnum):
    """Who somebody is to the station. Those below PEOPLE are given to nobody: how somebody came in makes them so."""

    OPERATOR = "operator"
    CLERK = "clerk"
    OPS = "ops"
    AUDITOR = "auditor"
    PRIVACY_OFFICER = "privacy-officer"
    ADMINISTRATOR = "administrator"
    WALL = "wall"
    """Whoever holds the wall's token: looks at the rack and does nothing."""
    PROGRAM = "program"
    """An API token: exactly its scopes."""
    DEMO = "demo"
    """Whoever looks at a simulated rack from its own host."""
    HOST_USER = "host-user"
    """A user of the station's host at its Unix socket: looks."""
    MASTER = "master"
    """Root, or the station's own user, at its Unix socket: they could change every file anyway."""


PEOPLE = (Role.OPERATOR, Role.CLERK, Role.OPS, Role.AUDITOR, Role.PRIVACY_OFFICER, Role.ADMINISTRATOR)
"""Roles that an account may have."""

_P = Permission
_LOOKS = frozenset({_P.VIEW_RACK, _P.VIEW_LOTS, _P.VIEW_CUSTODY, _P.VIEW_CERTIFICATES})
_PERSONAL = frozenset({_P.ENTER_PERSONAL_DATA, _P.VIEW_PERSONAL_DATA, _P.ERASE_PERSONAL_DATA})
_ALL = frozenset(Permission)

PERMISSIONS = MappingProxyType(
    {
        Role.OPERATOR: _LOOKS | {_P.OPERATE, _P.BIND_TAGS, _P.RECORD_CUSTODY, _P.VIEW_FAILURES},
        Role.CLERK: _LOOKS
        | {
            _P.OPERATE,
            _P.MANAGE_LOTS,
            _P.BIND_TAGS,
            _P.RECORD_CUSTODY,
            _P.ATTEND_CUSTOMERS,
            # What they take in they write down, and do not look at again.
            _P.ENTER_PERSONAL_DATA,
        },
        Role.OPS: _LOOKS
        | {
            _P.OPERATE,
            _P.MAINTAIN,
            _P.MANAGE_LOTS,
            _P.BIND_TAGS,
            _P.RECORD_CUSTODY,
            _P.WITHDRAW_CERTIFICATES,
            _P.VIEW_FAILURES,
            _P.VIEW_REPORTS,
            # Whoever runs the plant does not draw what it is judged by.
            _P.VIEW_AUDITS,
        },
        # All but personal data; an auditor changes nothing but audits.
        Role.AUDITOR: _LOOKS | {_P.VIEW_FAILURES, _P.VIEW_REPORTS, _P.VIEW_AUDITS, _P.RUN_AUDITS, _P.VIEW_TRAIL},
        Role.PRIVACY_OFFICER: _LOOKS | {_P.VIEW_PERSONAL_DATA, _P.ERASE_PERSONAL_DATA, _P.VIEW_TRAIL},
        # Who may let people in need not see what customers said of themselves.
        Role.ADMINISTRATOR: _LOOKS
        | {
            _P.MAINTAIN,
            _P.VIEW_FAILURES,
            _P.VIEW_REPORTS,
            _P.VIEW_AUDITS,
            _P.VIEW_TRAIL,
            _P.MANAGE_ACCOUNTS,
        },
        Role.WALL: frozenset({_P.VIEW_RACK}),
        Role.PROGRAM: frozenset(),
        # Not accounts: those made in a fictional rack would be in its ledger for good.
        Role.DEMO: _ALL - {_P.MANAGE_ACCOUNTS},
        Role.HOST_USER: _LOOKS,
        Role.MASTER: _ALL,
    }
)
"""What each role may do; who has several may do what any of them may."""


def permissions_of(roles: Collection[Role]) -> frozenset[Permission]:
    """What somebody with these roles may do."""
    return frozenset[Permission]().union(*(PERMISSIONS[role] for role in roles))


MAX_NAME_CHARACTERS = 64
MIN_PASSWORD_CHARACTERS = 12
"""NIST SP 800-63B asks for length, and for nothing else: rules of composition make passwords worse."""
MAX_PASSWORD_CHARACTERS = 256
LANGUAGES = ("en", "zh-CN")
RESERVED_NAMES = frozenset({"root", "demo", "wall", "eraser", ".", ".."})
"""What others than people are written down as; and what an address can't end with."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person. `roles` are of PEOPLE; whoever has no password yet has a one-time link for setting one."""

    name: str
    roles: tuple[Role, ...]
    language: str = ""
    """One of LANGUAGES; empty: the browser's."""
    is_disabled: bool = False
    has_password: bool = False
    made_at: str = ""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A program's way in, or the wall's. `expires_at`: seconds since 1970."""

    token_id: str
    label: str
    scopes: tuple[Permission, ...]
    is_wall: bool
    made_by: str
    made_at: str
    expires_at: float
    is_ended: bool = False


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that somebody did. `way` is how they came in, `place` from where, `status` what it was answered (HTTP)."""

    at: str
    name: str
    way: str
    place: str
    action: str
    subject: str
    status: int


class NoAccount(UsageError):
    """There is no such account or token."""

    code = "no-account"


class BadLink(Refused):
    """A one-time link that is used, has expired, or never was."""

    def __init__(self) -> None:
        super().__init__(
            "bad-link",
            "this link was used already, or has expired",
            remedy="Ask an administrator for another; root makes one with `eraser account reset`.",
        )


def account_name(text: str) -> str:
    """The name, if it may be one. Raises UsageError: two names must not look alike."""
    name = unicodedata.normalize("NFKC", text)
    is_short = 0 < len(name) <= MAX_NAME_CHARACTERS
    if not is_short or name != text or not name.isprintable() or name != name.strip() or set(name) & set("/\\:,?#%"):
        raise UsageError(
            f"it is no name for an account: 1 to {MAX_NAME_CHARACTERS} characters, without spaces at its ends, "
            "without / \\ : , ? # %, and no form of a character for which there is a plainer one",
            subject=ascii(text)[:80],
            remedy="Choose another.",
        )
    if name.casefold() in RESERVED_NAMES:
        raise UsageError("this name means somebody else", subject=name, remedy="Choose another.")
    return name


def roles_of(names: Collection[str]) -> tuple[Role, ...]:
    """The roles of these names, each once, in the order of PEOPLE. Raises UsageError for none and for one that nobody has."""
    known = {role.value: role for role in PEOPLE}
    unknown = sorted(set(names) - known.keys())
    if unknown or not names:
        raise UsageError(
            "an account has at least one role" if not names else "there is no such role",
            subject=", ".join(unknown),
            remedy=f"Roles are {', '.join(known)}.",
        )
    return tuple(role for role in PEOPLE if role.value in set(names))


def refuse_weak(password: str, name: str) -> None:
    """Raises UsageError for a password that is too easily guessed."""
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise UsageError(
            f"a password has {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters",
            remedy="Take four words that have nothing to do with each other.",
        )
    holds_name = len(name) > 3 and name.casefold() in password.casefold()
    if holds_name or len(set(password)) < 5:
        raise UsageError(
            "this password is guessed at once", remedy="Take four words that have nothing to do with each other."
        )
