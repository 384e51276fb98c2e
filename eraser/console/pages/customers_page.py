"""Customers' details for people: the clerk writes them down and hands out the receipt; the privacy officer finds, reads with a
reason, exports and erases. They need no script.
"""

import json
from dataclasses import fields
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from eraser.console.access import form_fields
from eraser.console.certificates import attachment
from eraser.console.customers import (
    MAX_LISTED,
    TO_ENTER,
    TO_ERASE,
    TO_LOOK,
    Customers,
    RecordId,
    begin,
    expect_known,
)
from eraser.console.desk import Desk
from eraser.console.orders import keep_no_answer, note
from eraser.console.pages.labels_page import qr_svg
from eraser.console.pages.language import N_
from eraser.console.pages.rendering import render_form
from eraser.domain.account import Permission
from eraser.domain.commitment import BEARER, CustomerDetails
from eraser.errors import EraserError
from eraser.ledger.vault import Action
from eraser.privacy.vault import Receipt, Scope

SHOWN_READS = 20
SHOWN_LOTS = 20

DETAIL_WORDS = {
    "name": N_("Name of the customer"),
    "contact": N_("Contact person"),
    "phone": N_("Phone"),
    "address": N_("Address"),
    "id_note": N_("How they were identified"),
    "reference": N_("Their own reference"),
}
ACTION_WORDS = {
    Action.ADDED: N_("entered"),
    Action.CHANGED: N_("put right"),
    Action.READ: N_("read"),
    Action.SEARCHED: N_("searched"),
    Action.EXPORTED: N_("exported"),
    Action.RECEIPT: N_("receipt printed"),
    Action.COMMITTED: N_("certificate committed"),
    Action.RETENTION: N_("time of keeping set"),
    Action.ERASING: N_("erasure begun"),
    Action.ERASED: N_("keys destroyed"),
    Action.EXPIRING: N_("end of keeping begun"),
    Action.EXPIRED: N_("keys destroyed at the end of keeping"),
}
"""What the vault's log says of a record, for people."""

Text = Annotated[str, Query(max_length=128)]


def add_customer_pages(router: APIRouter, desk: Desk, customers: Customers) -> None:
    """All of them."""
    _add_list(router, customers)
    _add_entering(router, desk, customers)
    _add_record(router, desk, customers)


def _add_list(router: APIRouter, customers: Customers) -> None:
    async def page(
        request: Request, lot: str = "", drive: str = "", found: Any = None, error: EraserError | None = None
    ) -> Response:
        records = found if found is not None else await customers.records(lot, drive)
        context = {
            "asked": {"lot": lot, "drive": drive},
            "is_search": found is not None,
            "records": records[:MAX_LISTED],
            "omitted": max(0, len(records) - MAX_LISTED),
            "kept": (await customers.ask(lambda vault: vault.kept()))[:SHOWN_LOTS],
            "reads": await customers.reads(most=SHOWN_READS),
        }
        return render_form(request, "customers.html", context, error)

    @router.get("/customers")
    async def show_customers(request: Request, viewer: TO_LOOK, lot: Text = "", drive: Text = "") -> Response:
        return await page(request, lot.strip(), drive.strip())

    @router.post("/customers")
    async def search(request: Request, viewer: TO_LOOK) -> Response:
        """By what they say of themselves, or by their receipt's code: neither may stand in an address."""
        asked = await _asked(request)
        begin(request, "searched")
        try:
            found = await customers.ask(
                lambda vault: vault.find(asked.get("text", ""), viewer.name, asked.get("reason", ""))
            )
        except EraserError as error:
            return await page(request, error=error)
        return await page(request, found=found)


def _add_entering(router: APIRouter, desk: Desk, customers: Customers) -> None:
    def page(request: Request, asked: dict[str, str], error: EraserError | None = None) -> Response:
        names = ("lot_id", "serial", "asset_tag", *DETAIL_WORDS)
        context = {"asked": {name: asked.get(name, "") for name in names}, "words": DETAIL_WORDS}
        return render_form(request, "customer_new.html", context, error)

    @router.get("/customers/new")
    async def show_form(
        request: Request, viewer: TO_ENTER, lot: Text = "", serial: Text = "", tag: Text = ""
    ) -> Response:
        return page(request, {"lot_id": lot, "serial": serial, "asset_tag": tag})

    @router.post("/customers/new")
    async def enter(request: Request, viewer: TO_ENTER) -> Response:
        """The answer is the receipt: who entered it sees it once."""
        asked = {name: text.strip() for name, text in (await _asked(request)).items()}
        note(request, "customer: entered", f"lot {asked.get('lot_id', '')}")
        keep_no_answer(request)
        try:
            scope = Scope(asked.get("lot_id", ""), asked.get("serial", ""), asked.get("asset_tag", ""))
            details = CustomerDetails(**{item.name: asked.get(item.name, "") for item in fields(CustomerDetails)})
            record_id, receipt = await customers.enter(scope, details, viewer.name)
        except EraserError as error:
            return page(request, asked, error)
        note(request, "customer: entered", f"record {record_id}")
        return _receiptrender_form(request, desk, receipt, record_id)


def _add_record(router: APIRouter, desk: Desk, customers: Customers) -> None:
    async def page(
        request: Request,
        record_id: str,
        details: CustomerDetails | None = None,
        error: EraserError | None = None,
    ) -> Response:
        record = await expect_known(customers, record_id)
        entries = await customers.ask(lambda vault: vault.log(record_id=record_id))
        kept = await customers.ask(lambda vault: vault.kept())
        context = {
            "record": record,
            "details": details,
            "words": DETAIL_WORDS,
            "entries": entries[::-1][:MAX_LISTED],
            "actions": ACTION_WORDS,
            "until": next((item.until for item in kept if item.lot_id == record.scope.lot_id), ""),
        }
        return render_form(request, "customer.html", context, error)

    @router.get("/customers/{record_id}")
    async def show_record(request: Request, record_id: RecordId, viewer: TO_LOOK) -> Response:
        return await page(request, record_id)

    @router.post("/customers/{record_id}/read")
    async def read(request: Request, record_id: RecordId, viewer: TO_LOOK) -> Response:
        reason = (await _asked(request)).get("reason", "")
        begin(request, "read", record_id)
        await expect_known(customers, record_id)
        try:
            details = await customers.ask(lambda vault: vault.read(record_id, viewer.name, reason))
        except EraserError as error:
            return await page(request, record_id, error=error)
        return await page(request, record_id, details)

    @router.post("/customers/{record_id}/receipt")
    async def print_receipt(request: Request, record_id: RecordId, viewer: TO_LOOK) -> Response:
        asked = await _asked(request)
        drive, reason = asked.get("drive", "").strip(), asked.get("reason", "")
        begin(request, "receipt", record_id)
        await expect_known(customers, record_id)
        try:
            receipt = await customers.ask(lambda vault: vault.receipt(record_id, drive, viewer.name, reason))
        except EraserError as error:
            return await page(request, record_id, error=error)
        return _receiptrender_form(request, desk, receipt, record_id)

    @router.post("/customers/{record_id}/export")
    async def export(request: Request, record_id: RecordId, viewer: TO_LOOK) -> Response:
        reason = (await _asked(request)).get("reason", "")
        begin(request, "exported", record_id)
        await expect_known(customers, record_id)
        try:
            form = await customers.ask(lambda vault: vault.export([record_id], viewer.name, reason))
        except EraserError as error:
            return await page(request, record_id, error=error)
        headers = attachment(f"customer-{record_id[:8]}.json") | {"cache-control": "no-store"}
        content = json.dumps(form, ensure_ascii=False, indent=1) + "\n"
        return Response(content, media_type="application/json", headers=headers)

    @router.post("/customers/{record_id}/erase")
    async def erase(request: Request, record_id: RecordId, viewer: TO_ERASE) -> Response:
        asked = await _asked(request)
        begin(request, "erased", record_id)
        await expect_known(customers, record_id)
        if "sure" not in asked:
            return await page(request, record_id)
        try:
            done = await customers.erase(record_id, viewer.name, asked.get("reason", ""))
        except EraserError as error:
            return await page(request, record_id, error=error)
        return render_form(
            request, "customer_erased.html", {"done": done, "may_look": viewer.may(Permission.VIEW_LOTS)}
        )


def _receiptrender_form(request: Request, desk: Desk, receipt: Receipt | None, record_id: str) -> Response:
    base = desk.check_url or str(request.base_url)
    context = {
        "receipt": receipt,
        "record_id": record_id,
        "details": receipt.details if receipt is not None and receipt.details != BEARER else None,
        "words": DETAIL_WORDS,
        "qr": qr_svg(receipt.code) if receipt is not None else "",
        "address": f"{base.rstrip('/')}/check",
    }
    return render_form(request, "customer_receipt.html", context)


async def _asked(request: Request) -> dict[str, str]:
    return dict(form_fields(await request.body()))
