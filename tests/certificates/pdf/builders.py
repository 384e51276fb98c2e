"""Certificates that try the page, and PDFs as a station makes them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from eraser.certificates import lot_summary
from eraser.certificates.keys import PdfKeys
from eraser.certificates.lot_summary import Listed, LotSummary
from eraser.certificates.lot_summary import Standing as InLot
from eraser.certificates.pdf.rendering import Renderer
from eraser.certificates.pdf.signing import PdfSigner, open_pdf_signer
from eraser.domain.certificate import Certificate, Provenance, Station
from eraser.domain.events import Outcome
from eraser.domain.evidence import BadExtent, Extent, Operation
from eraser.domain.pattern import Constant
from eraser.domain.rulebook import Rulebook
from tests.certificates.builders import (
    CAPACITY_BYTES,
    RANDOM,
    a_certificate,
    a_drive,
    a_failed_job,
    a_job,
    a_job_with_everything,
    a_pass,
    a_report,
)

LONGEST = 128
MARKUP = "#panic() *b* _i_ $x$ `c` <l> @r \\ // [c] #{1+1} = h"


@cache
def a_renderer() -> Renderer:
    return Renderer()


class SignerNow:
    """Signs at one moment in its key's time."""

    def __init__(self, signer: PdfSigner) -> None:
        self._station, self._signer = signer, signer._signer
        self.public, self.trusted, self.key_id = signer.public, signer.trusted, signer.key_id

    def __call__(self, pdf: bytes) -> bytes:
        return self._station(pdf, "2026-11-24T08:00:00Z")


@cache
def a_pdf_signer() -> SignerNow:
    return another_pdf_signer()


def another_pdf_signer() -> SignerNow:
    return SignerNow(open_pdf_signer(Path(mkdtemp()) / "keys"))


def trusting_pdf(*signers: SignerNow) -> PdfKeys:
    return {signer.key_id: signer.trusted for signer in signers}


def named(model: str, serial: str = "ZX001B82", **changes: str) -> Certificate:
    """With what the drive says of itself."""
    identity = replace(a_drive().identity, model=model, serial=serial, **changes)
    return a_certificate(a_job(drive=a_drive(identity=identity)))


def with_the_longest_names() -> Certificate:
    """Every name at its longest, in words that cannot be broken at a blank, over a table with all kinds of rows."""
    identity = replace(
        a_drive().identity,
        manufacturer="M" * LONGEST,
        model="W" * LONGEST,
        serial="8B" * (LONGEST // 2),
        wwn="5" * 32,
        eui64="a" * 16,
        nguid="b" * 32,
        firmware="F" * LONGEST,
    )
    certificate = a_certificate(
        replace(a_job_with_everything(), drive=a_drive(identity=identity, bridge="B" * LONGEST))
    )
    return replace(
        certificate,
        operator="o" * LONGEST,
        witness="国" * LONGEST,
        station=Station("s" * LONGEST, "站" * LONGEST),
        provenance=Provenance(*["资产Tag龘" * 21] * 5),
    )


def failed_in_places() -> Certificate:
    """35 passes, of which sectors all over the drive were bad; many reasons."""
    patterns = tuple(RANDOM if number % 9 == 0 else Constant(bytes([number])) for number in range(35))
    places = [CAPACITY_BYTES // 4096 * share // 1000 * 4096 for share in (3, 250, 252, 254, 500, 731, 732, 980)]
    bad = tuple(BadExtent(Extent(place, 1 << 20), Operation.WRITE, 5) for place in places)
    failed = a_failed_job()
    report = a_report(bad_extents=bad, bad_bytes=len(bad) << 20)
    job = a_job(
        patterns,
        phase=failed.phase,
        passes=tuple(a_pass(number, runs=(report,)) for number in range(1, 36)),
        outcome=failed.outcome,
        reasons=failed.reasons * 7,
        final_verification=replace(failed.final_verification, pass_number=35),  # type: ignore[type-var]
    )
    return a_certificate(job)


def a_lot(drives: int = 60, lot_id: str = "2026-11 / 废旧硬盘 第三批") -> LotSummary:
    """Drives of all kinds: passed, failed, erased again, withdrawn; among them the longest names there are."""
    return LotSummary(
        format=lot_summary.FORMAT,
        version=lot_summary.VERSION,
        lot_id=lot_id,
        station="rack-3",
        made_at="2026-11-24T09:00:00Z",
        drives_received=drives,
        drives_without_certificate=2,
        certificates=tuple(_listed(number) for number in range(drives)),
    )


def _listed(number: int) -> Listed:
    standing = {5: InLot.FAILED, 11: InLot.REPLACED, 17: InLot.WITHDRAWN}.get(number % 20, InLot.PASSED)
    passed = standing is not InLot.FAILED
    return Listed(
        certificate_id=f"{number + 1:032x}",
        digest=number.to_bytes(32, "big"),
        index=1_000_000 + number,
        standing=standing,
        outcome=Outcome.PASSED if passed else Outcome.FAILED,
        serial="8B" * (LONGEST // 2) if number == 7 else f"ZX00{number:04d}",
        model="龘" * LONGEST if number == 8 else "ACME Längstdrive 20 TB",
        property_tag=f"资产-{number:04d}",
        capacity_bytes=CAPACITY_BYTES,
        standard="gb-46864-2025",
        level="clear" if passed else "",
        passes=3,
        verification="sampled",
        rulebooks=(Rulebook.GB_46864, Rulebook.NIST_CLEAR, Rulebook.IEEE_CLEAR) if passed else (),
        issued_at="2026-11-24T07:00:00Z",
    )
