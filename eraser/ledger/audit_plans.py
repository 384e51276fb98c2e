"""Audits that are under way: the plan as it was drawn, for good, and which of its sample somebody has looked at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from eraser.ledger.schema import audit_marks, audit_plans


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """`body` is the plan's file; `auditor` whoever drew it."""

    plan_id: str
    at: str
    auditor: str
    body: bytes


def put(plan: KeptPlan, connection: Connection) -> None:
    """Within a transaction that writes."""
    row = {"plan_id": plan.plan_id, "at": plan.at, "auditor": plan.auditor, "body": plan.body}
    connection.execute(insert(audit_plans).values(row))


def ids(connection: Connection) -> list[str]:
    """All, in no order."""
    return list(connection.execute(select(audit_plans.c.plan_id)).scalars())


def get(plan_id: str, connection: Connection) -> KeptPlan | None:
    """None where there is none of this id."""
    row = connection.execute(select(audit_plans).where(audit_plans.c.plan_id == plan_id)).first()
    return None if row is None else KeptPlan(row.plan_id, row.at, row.auditor, bytes(row.body))


def mark(
    plan_id: str, certificate_ids: Iterable[str], at: str, operator: str, is_looked_at: bool, connection: Connection
) -> None:
    """Within a transaction that writes."""
    common = {"plan_id": plan_id, "at": at, "operator": operator, "is_looked_at": is_looked_at}
    if rows := [{**common, "certificate_id": name} for name in certificate_ids]:
        connection.execute(insert(audit_marks), rows)


def looked_at(plan_id: str, connection: Connection) -> frozenset[str]:
    """Ids of the certificates that are marked now."""
    query = select(audit_marks.c.certificate_id, audit_marks.c.is_looked_at).where(audit_marks.c.plan_id == plan_id)
    newest: Mapping[str, bool] = {
        row[0]: bool(row[1]) for row in connection.execute(query.order_by(audit_marks.c.number))
    }
    return frozenset(name for name, is_marked in newest.items() if is_marked)
