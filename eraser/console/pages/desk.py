"""The desk's pages: lots and what arrives with them, labels, certificates, the public check, reports, audits."""

from fastapi import APIRouter

from eraser.console.desk import Desk
from eraser.console.pages.audits_page import add_audits
from eraser.console.pages.certificates_page import add_certificates
from eraser.console.pages.check_page import add_check
from eraser.console.pages.customers_page import add_customer_pages
from eraser.console.pages.labels_page import add_labels
from eraser.console.pages.lots_page import add_lots
from eraser.console.pages.present_page import Presence, add_present
from eraser.console.pages.reports_page import add_reports
from eraser.console.pages.specifications_page import add_specifications
from eraser.console.public_check import PublicCheck
from eraser.rack.view import StationPort


def desk_pages(desk: Desk, station: StationPort) -> APIRouter:
    """All of them; those about certificates only where the desk has some."""
    router = APIRouter(include_in_schema=False)
    add_lots(router, desk, station)
    if desk.customers is not None:
        add_customer_pages(router, desk, desk.customers)
    if desk.filed is not None:
        add_labels(router, desk, desk.filed)
        add_certificates(router, desk.filed, desk.check_url)
        add_check(router, PublicCheck(desk.filed))
        add_reports(router, desk.filed.reports)
        if desk.audits is not None:
            add_audits(router, desk.audits, desk.controls)
        if desk.specified is not None:
            add_specifications(router, desk.specified, desk.filed.index)
        if desk.attendances is not None:
            add_present(router, Presence(desk.attendances, desk.filed, desk, station))
    return router
