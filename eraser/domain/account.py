"""People and programs that the station knows, and what each role may do: one table, asked everywhere. Values and rules only."""

from collections.abc import Collection
from enum import StrEnum
from types import MappingProxyType


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
            _P.ENTER_PERSONAL_DATA,
            _P.VIEW_PERSONAL_DATA,
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
            _P.VIEW_AUDITS,
            _P.RUN_AUDITS,
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
