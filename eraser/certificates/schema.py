"""The files of certificates and other records as JSON Schema (2020-12), made from the dataclasses that read and write it.

A schema says what shape a file has, not whether it may be believed: signature, log and contradictions are `verifying`'s.
"""

import types
from dataclasses import is_dataclass
from enum import Enum
from inspect import getdoc
from typing import Any, Union, get_args, get_origin, get_type_hints

from eraser.certificates.envelope import ALGORITHM, MAX_SIGNATURES
from eraser.domain import audit, commitment, control, destruction, withdrawal
from eraser.domain.certificate import FORMAT, ID_FORM, UTC_FORM, VERSION, Certificate, Times
from eraser.domain.commitment import Commitment
from eraser.domain.control import Control
from eraser.domain.destruction import Destruction
from eraser.domain.json_form import MAX_INTEGER, Nanoseconds, kept_fields, later_fields
from eraser.domain.printable import FORBIDDEN
from eraser.domain.withdrawal import Withdrawal

Schema = dict[str, Any]

_UTC: Schema = {"type": "string", "pattern": f"^({UTC_FORM.pattern})$"}
_ID: Schema = {"type": "string", "pattern": f"^({ID_FORM.pattern})$"}
_NARROWER: dict[tuple[type, str], Schema] = {
    (Certificate, "format"): {"const": FORMAT},
    (Certificate, "version"): {"const": VERSION},
    (Certificate, "certificate_id"): _ID,
    (Certificate, "issued_at"): _UTC,
    (Destruction, "format"): {"const": destruction.FORMAT},
    (Destruction, "version"): {"const": destruction.VERSION},
    (Destruction, "outcome"): {"const": destruction.OUTCOME},
    (Destruction, "destruction_id"): _ID,
    (Destruction, "destroyed_at"): _UTC,
    (Control, "format"): {"const": control.FORMAT},
    (Control, "version"): {"const": control.VERSION},
    (Control, "control_id"): _ID,
    (Control, "started_at"): _UTC,
    (Control, "ended_at"): _UTC,
    (audit.Record, "format"): {"const": audit.FORMAT},
    (audit.Record, "version"): {"const": audit.VERSION},
    (audit.Record, "audit_id"): _ID,
    (audit.Record, "done_at"): _UTC,
    (audit.Plan, "format"): {"const": audit.PLAN_FORMAT},
    (audit.Plan, "version"): {"const": audit.VERSION},
    (Withdrawal, "format"): {"const": withdrawal.FORMAT},
    (Withdrawal, "version"): {"const": withdrawal.VERSION},
    (Withdrawal, "withdrawal_id"): _ID,
    (Withdrawal, "certificate_id"): _ID,
    (Withdrawal, "withdrawn_at"): _UTC,
    (Times, "started_at"): _UTC,
    (Times, "finished_at"): _UTC,
    (Commitment, "scheme"): {"const": commitment.SCHEME},
    (Commitment, "mac"): {"type": "string", "pattern": f"^[0-9a-f]{{{2 * commitment.MAC_BYTES}}}$"},
}
_SHARED: dict[str, Schema] = {
    "text": {"type": "string", "not": {"pattern": FORBIDDEN}},
    "count": {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER},
    "bytes": {"type": "string", "pattern": "^([0-9a-f]{2})*$"},
    "nanoseconds": {"type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$"},
}
_SHARED_NAMES: dict[Any, str] = {str: "text", int: "count", bytes: "bytes", Nanoseconds: "nanoseconds"}


_RECORDS: dict[str, tuple[type, str]] = {
    "certificate": (Certificate, f"{FORMAT} v{VERSION}"),
    "withdrawal": (Withdrawal, f"{withdrawal.FORMAT} v{withdrawal.VERSION}"),
    "destruction": (Destruction, f"{destruction.FORMAT} v{destruction.VERSION}"),
    "control": (Control, f"{control.FORMAT} v{control.VERSION}"),
    "audit": (audit.Record, f"{audit.FORMAT} v{audit.VERSION}"),
}
DOCUMENTS = tuple(_RECORDS)
"""The documents that have a schema, by the member that holds what is signed."""


def document_schema(member: str = "certificate") -> Schema:
    """Of the whole file: what is signed, and its signatures."""
    parts = dict(_SHARED)
    cls, title = _RECORDS[member]
    certificate = _schema(cls, parts)
    signature = _object(
        {
            "key_id": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
            "algorithm": {"const": ALGORITHM},
            "signature": {"type": "string", "pattern": "^[A-Za-z0-9+/]{85}[AQgw]==$"},
        }
    )
    signatures = {"type": "array", "minItems": 1, "maxItems": MAX_SIGNATURES, "items": signature}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **_object({member: certificate, "signatures": signatures}),
        "$defs": dict(sorted(parts.items())),
    }


def _schema(hint: Any, parts: dict[str, Schema]) -> Schema:
    """Of one type; what has a name goes into `parts` and is referred to."""
    if hint in _SHARED_NAMES:
        return _reference(_SHARED_NAMES[hint])
    if hint is bool:
        return {"type": "boolean"}
    if hint is type(None):
        return {"type": "null"}
    if get_origin(hint) in (Union, types.UnionType):
        return {"anyOf": [_schema(option, parts) for option in get_args(hint)]}
    if get_origin(hint) is tuple:
        item, rest = get_args(hint)
        assert rest is Ellipsis, hint
        return {"type": "array", "items": _schema(item, parts)}
    name: str = hint.__name__
    if issubclass(hint, Enum):
        parts[name] = {"enum": [item.value for item in hint]}
    elif name not in parts:
        assert is_dataclass(hint), hint
        parts[name] = _dataclass(hint, parts)
    return _reference(name)


def _dataclass(cls: Any, parts: dict[str, Schema]) -> Schema:
    hints = get_type_hints(cls)
    kind = getattr(cls, "kind", None)
    members: dict[str, Schema] = {"kind": {"const": kind}} if isinstance(kind, str) else {}
    later = later_fields(cls)
    for item in kept_fields(cls):
        hint = _without_none(hints[item.name]) if item.name in later else hints[item.name]
        members[item.name] = _NARROWER.get((cls, item.name)) or _schema(hint, parts)
    return {"description": " ".join((getdoc(cls) or "").split())} | _object(members, later)


def _without_none(hint: Any) -> Any:
    """Of `X | None`: what is None is left out of the file."""
    (only,) = (option for option in get_args(hint) if option is not type(None))
    return only


def _object(members: dict[str, Schema], later: frozenset[str] = frozenset()) -> Schema:
    required = [name for name in members if name not in later]
    return {"type": "object", "required": required, "additionalProperties": False, "properties": members}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
