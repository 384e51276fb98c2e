"""Certificates that try the page, and PDFs as a station makes them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from eraser.certificates.pdf.rendering import Renderer
from eraser.certificates.pdf.signing import PdfKeys, PdfSigner, open_pdf_signer
from eraser.domain.certificate import Certificate, Provenance, Station
from eraser.domain.evidence import BadExtent, Extent, Operation
from eraser.domain.pattern import Constant
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


@cache
def a_pdf_signer() -> PdfSigner:
    return open_pdf_signer(Path(mkdtemp()) / "keys")


def another_pdf_signer() -> PdfSigner:
    return open_pdf_signer(Path(mkdtemp()) / "keys")


def trusting_pdf(*signers: PdfSigner) -> PdfKeys:
    return {signer.key_id: signer.public for signer in signers}


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
