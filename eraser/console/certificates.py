"""Certificates over the API: found among very many, given as JSON, bundle or PDF, many as one archive; and the log's
checkpoint. What is given away is what the ledger has on record.
"""

import re
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from eraser.certificates.filed import FiledCertificates
from eraser.console.identity import require
from eraser.console.problems import NotFound
from eraser.domain.account import Permission
from eraser.domain.lot import MAX_NAME_CHARACTERS
from eraser.errors import CertificateError, Refused
from eraser.ledger.certificate_index import MAX_PAGE, Indexed, Search
from eraser.ledger.withdrawals import UnknownCertificate

T = TypeVar("T")

ZIP = "application/zip"
PDF = "application/pdf"
NOTE = "text/plain; charset=utf-8"
_VIEW = [Depends(require(Permission.VIEW_CERTIFICATES))]
_FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
"""A certificate never changes; whether it was withdrawn, its page and its list say."""
_NO_STORE = {"cache-control": "no-store"}

Id = Annotated[str, Field(max_length=128, pattern=r"^[\x21-\x7e]+$")]


class CertificateSearch(BaseModel):
    """What is asked for. Days are UTC, both included."""

    model_config = ConfigDict(extra="forbid")
    drive: Annotated[
        str, Field(max_length=MAX_NAME_CHARACTERS, description="Beginning of a serial number, or a world-wide name")
    ] = ""
    lot: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""
    outcome: Literal["", "passed", "failed", "withdrawn"] = ""
    standard: Annotated[str, Field(max_length=64)] = ""
    since: date | None = None
    until: date | None = None

    def search(self) -> Search:
        """As the index takes it."""
        return Search(self.drive, self.lot, self.outcome, self.standard, self.since, self.until)


class CertificatePage(CertificateSearch):
    """A page of what is asked for: `cursor` is what the page before gave as `next`."""

    cursor: Annotated[int, Field(ge=0, lt=1 << 53)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50


class CertificateForm(BaseModel):
    """A certificate as the list shows it. `level` is what was reached, empty if it failed; `reason` is a code."""

    certificate_id: str
    job_id: str
    digest: Annotated[str, Field(description="SHA-256 of its signed bytes")]
    issued_at: str
    finished_at: str
    outcome: str
    reason: str
    serial: str
    is_serial_own: bool
    world_wide_name: str
    model: str
    lot: str
    standard: str
    level: str
    verification: str
    capacity_bytes: int
    bytes_done: int
    busy_seconds: float
    is_withdrawn: bool


class CertificateList(BaseModel):
    """A page, the newest first."""

    certificates: list[CertificateForm]
    next: int | None


def certificate_form(item: Indexed) -> CertificateForm:
    """As the API shows it."""
    told = {name: getattr(item, name) for name in CertificateForm.model_fields if hasattr(item, name)}
    return CertificateForm(
        **{**told, "digest": item.digest.hex(), "lot": item.lot_id, "is_withdrawn": item.withdrawn is not None}
    )


def certificates_router(filed: FiledCertificates, check_url: str = "") -> APIRouter:
    """What the API has about certificates, below its own prefix; `check_url` begins the address in PDFs' QR codes."""
    router = APIRouter()

    @router.get("/certificates", dependencies=_VIEW)
    async def list_certificates(asked: Annotated[CertificatePage, Query()]) -> CertificateList:
        await filed.index.refresh()
        page = await filed.index.search(asked.search(), after=asked.cursor, limit=asked.limit)
        return CertificateList(certificates=[certificate_form(item) for item in page.found], next=page.after)

    @router.get(
        "/certificates.zip", dependencies=_VIEW, response_class=Response, responses={200: {"content": {ZIP: {}}}}
    )
    async def show_archive(asked: Annotated[CertificateSearch, Query()]) -> StreamingResponse:
        pieces = filed.archive(asked.search())
        return StreamingResponse(_begun(pieces), media_type=ZIP, headers=attachment(_archive_name()) | _NO_STORE)

    @router.get(
        "/certificates/{certificate_id}.pdf",
        dependencies=_VIEW,
        response_class=Response,
        responses={200: {"content": {PDF: {}}}},
    )
    async def show_page(certificate_id: Id, lang: Literal["zh-CN", "en"] = "zh-CN") -> Response:
        item = await known_certificate(filed, certificate_id)
        pdf = await _given(filed.pdf(certificate_id, lang, address_to_check(check_url, item)))
        return Response(pdf, media_type=PDF, headers=attachment(f"{certificate_id}.pdf") | _NO_STORE)

    @router.get("/certificates/{certificate_id}.bundle", dependencies=_VIEW)
    async def show_bundle(certificate_id: Id) -> Response:
        await known_certificate(filed, certificate_id)
        bundle = await _given(filed.bundle(certificate_id))
        return Response(
            bundle, media_type="application/json", headers=attachment(f"{certificate_id}.bundle") | _NO_STORE
        )

    @router.get("/certificates/{certificate_id}", dependencies=_VIEW)
    async def show_certificate(request: Request, certificate_id: Id) -> Response:
        item = await known_certificate(filed, certificate_id)
        tag = {"etag": f'"{item.digest.hex()}"'}
        if request.headers.get("if-none-match") == tag["etag"]:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=tag | _FOR_EVER)
        document = await _given(filed.document(certificate_id))
        headers = attachment(f"{certificate_id}.json") | tag | _FOR_EVER
        return Response(document, media_type="application/json", headers=headers)

    _add_log(router, filed)
    return router


def _add_log(router: APIRouter, filed: FiledCertificates) -> None:
    @router.get(
        "/log/checkpoint", dependencies=_VIEW, response_class=Response, responses={200: {"content": {"text/plain": {}}}}
    )
    async def show_checkpoint() -> Response:
        return Response(_text_of(filed, "checkpoint"), media_type=NOTE, headers=_NO_STORE)

    @router.get(
        "/log/key", dependencies=_VIEW, response_class=Response, responses={200: {"content": {"text/plain": {}}}}
    )
    async def show_key() -> Response:
        return Response(_text_of(filed, "key"), media_type=NOTE, headers=_NO_STORE)

    @router.get(
        "/log/update", dependencies=_VIEW, response_class=Response, responses={200: {"content": {"text/plain": {}}}}
    )
    async def show_update(earlier: Annotated[int, Query(alias="from", ge=0, lt=1 << 53)] = 0) -> Response:
        """How the log grew since it had so many entries: for a witness."""
        return Response(await _given(filed.update(earlier)), media_type=NOTE, headers=_NO_STORE)


def address_to_check(check_url: str, item: Indexed) -> str:
    """What the QR code of a certificate's page leads to, with enough of the digest that no other document passes for it."""
    return f"{check_url.rstrip('/')}/check/{code_of(item.certificate_id, item.digest)}" if check_url else ""


def code_of(certificate_id: str, digest: bytes) -> str:
    """Names one document: its id and the first 16 hex digits of its digest."""
    return f"{certificate_id}.{digest.hex()[:16]}"


def attachment(name: str) -> dict[str, str]:
    """So that it is saved under this name and never shown as a page of this site."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return {"content-disposition": f'attachment; filename="{safe}"', "x-content-type-options": "nosniff"}


def _archive_name() -> str:
    return f"certificates-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.zip"


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        if piece:
            yield piece


def _text_of(filed: FiledCertificates, name: str) -> str:
    path = filed.folders.log / name
    try:
        return path.read_text()
    except OSError:
        raise NotFound(
            "the log is not signed yet", subject=name, remedy="The station does so within a minute."
        ) from None


async def _given(work: Awaitable[T]) -> T:
    """What can't be given, is refused with its reason: a file that is gone or another one, a log without a checkpoint yet."""
    try:
        return await work
    except CertificateError as error:
        raise Refused(error.code, error.what, subject=error.subject, remedy=error.remedy) from error


async def known_certificate(filed: FiledCertificates, certificate_id: str) -> Indexed:
    """Raises NotFound for one that is not on record."""
    try:
        return await filed.known(certificate_id)
    except UnknownCertificate as error:
        raise NotFound(error.what, subject=error.subject) from error
