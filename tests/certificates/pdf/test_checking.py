from __future__ import annotations

import json
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers

from eraser.certificates.errors import (
    AlteredError,
    KeyFileError,
    KeyNotValidThenError,
    MalformedError,
    PdfDiffersError,
    UnknownKeyError,
)
from eraser.certificates.keys import curve_key_id, load_keys, load_pdf_keys
from eraser.certificates.pdf import checking, signing
from eraser.certificates.pdf.checking import open_pdf
from eraser.certificates.pdf.signing import (
    open_pdf_signer,
    public_pem,
    rotate_pdf_key,
    station_pdf_keys,
)
from eraser.certificates.pdf.words import Language
from eraser.durable import write_over
from tests.certificates.builders import a_certificate, a_document, a_failed_job, a_signer
from tests.certificates.pdf.builders import a_pdf_signer, a_renderer, another_pdf_signer, trusting_pdf

SIGNER = a_signer()
DOCUMENT = a_document(SIGNER)
PDF_SIGNER = a_pdf_signer()
PAGE = a_renderer()(DOCUMENT, Language.CHINESE)
PDF = PDF_SIGNER(PAGE)
TRUSTED = trusting_pdf(PDF_SIGNER)


def test_what_a_station_made_is_opened_and_its_page_drawn_once_more() -> None:
    opened = open_pdf(PDF, TRUSTED)
    assert opened.document == DOCUMENT
    assert (opened.key_id, opened.is_redrawn) == (PDF_SIGNER.key_id, True)


@pytest.mark.lab("pdfsig", "pdfdetach")
def test_poppler_says_that_the_signature_is_valid_and_covers_everything(tmp_path: Path) -> None:
    path = tmp_path / "certificate.pdf"
    path.write_bytes(PDF)
    said = subprocess.run(["pdfsig", path], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in said
    assert "Total document signed" in said
    assert "ETSI.CAdES.detached" in said
    assert PDF_SIGNER.key_id in said
    subprocess.run(["pdfdetach", "-savefile", "certificate.json", "-o", tmp_path / "out.json", path], check=True)
    assert (tmp_path / "out.json").read_bytes() == DOCUMENT


def test_a_change_of_any_byte_is_found() -> None:
    for place in [*range(0, len(PDF), len(PDF) // 50), PDF.rindex(b"0000>"), PDF.rindex(b"000000000000>") - 100]:
        forged = bytearray(PDF)
        forged[place] ^= 1
        with pytest.raises((AlteredError, MalformedError, PdfDiffersError)):
            open_pdf(bytes(forged), TRUSTED)


def test_what_is_put_behind_the_signature_is_found() -> None:
    writer = IncrementalPdfFileWriter(BytesIO(PDF))
    page = writer.root["/Pages"]["/Kids"][0].get_object()
    page["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"0 0 500 500 re f"))
    writer.update_container(page)
    out = BytesIO()
    writer.write(out)
    for forged in (out.getvalue(), PDF + b"\n% more", PDF[:-1]):
        with pytest.raises((AlteredError, MalformedError)):
            open_pdf(forged, TRUSTED)


def test_a_page_without_a_signature_or_with_two_is_refused() -> None:
    with pytest.raises(AlteredError, match="0 signatures"):
        open_pdf(PAGE, TRUSTED)
    writer = IncrementalPdfFileWriter(BytesIO(PAGE))
    twice = PDF_SIGNER._signer
    first = signers.sign_pdf(writer, signers.PdfSignatureMetadata(field_name="A"), signer=twice).getvalue()
    second = signers.sign_pdf(
        IncrementalPdfFileWriter(BytesIO(first)), signers.PdfSignatureMetadata(field_name="B"), signer=twice
    )
    with pytest.raises(AlteredError, match="2 signatures"):
        open_pdf(second.getvalue(), TRUSTED)


def test_a_page_signed_by_a_strangers_key_is_of_unknown_origin() -> None:
    with pytest.raises(UnknownKeyError, match="page"):
        open_pdf(another_pdf_signer()(PAGE), TRUSTED)
    with pytest.raises(UnknownKeyError):
        open_pdf(PDF, {})


def test_a_well_signed_page_that_says_something_else_than_its_certificate_is_named() -> None:
    """The station's own key under another page: a failed certificate behind a page that says passed."""
    failed = a_document(SIGNER, a_certificate(a_failed_job()))
    page = a_renderer()(failed, Language.CHINESE)
    lying = IncrementalPdfFileWriter(BytesIO(page))
    form = lying.root["/Pages"]["/Kids"][0].get_object()
    form["/Contents"] = lying.add_object(generic.StreamObject(stream_data=b"0 0 500 500 re f"))
    lying.update_container(form)
    covered = BytesIO()
    lying.write(covered)
    drawn_over = BytesIO()
    annotated = IncrementalPdfFileWriter(BytesIO(page))
    annotated.root["/OpenAction"] = generic.NullObject()
    annotated.update_root()
    annotated.write(drawn_over)
    for forged in (covered.getvalue(), drawn_over.getvalue()):
        with pytest.raises(PdfDiffersError, match="believe the certificate"):
            open_pdf(PDF_SIGNER(forged), TRUSTED)


def test_a_revision_that_changes_the_page_together_with_the_signature_is_named() -> None:
    writer = IncrementalPdfFileWriter(BytesIO(PAGE))
    page = writer.root["/Pages"]["/Kids"][0].get_object()
    page["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"0 0 500 500 re f"))
    writer.update_container(page)
    metadata = signers.PdfSignatureMetadata(field_name="Eraser")
    signed = signers.sign_pdf(writer, metadata, signer=PDF_SIGNER._signer)
    with pytest.raises(PdfDiffersError):
        open_pdf(signed.getvalue(), TRUSTED)


def test_a_page_of_another_version_is_believed_for_its_signature_and_not_said_to_be_redrawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checking, "renderer", lambda: "eraser of next year")
    assert open_pdf(PDF, TRUSTED).is_redrawn is False


@pytest.mark.parametrize("file", [b"%PDF-", b"%PDF-1.7\n" + b"nonsense " * 50, PDF[:2000], PDF[: len(PDF) // 2]])
def test_what_is_no_pdf_of_ours_is_malformed(file: bytes) -> None:
    with pytest.raises(MalformedError):
        open_pdf(file, TRUSTED)


def test_the_key_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    first, second = (open_pdf_signer(tmp_path / "keys") for _ in range(2))
    assert first.key_id == second.key_id
    private = tmp_path / "keys" / "pdf" / "pdf.key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert set(station_pdf_keys(tmp_path / "keys")) == {first.key_id}
    private.chmod(0o644)
    with pytest.raises(KeyFileError, match="others"):
        open_pdf_signer(tmp_path / "keys")


def moment(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")


def test_after_a_change_of_keys_what_the_old_one_signed_in_its_time_is_still_good(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    old = open_pdf_signer(keys)
    before = old(PAGE, moment(0))
    ended, new = rotate_pdf_key(keys, moment(-1), moment(60))
    assert (curve_key_id(ended.key), new.key_id != old.key_id) == (old.key_id, True)
    trusted = station_pdf_keys(keys)
    assert open_pdf(before, trusted).key_id == old.key_id
    assert open_pdf(open_pdf_signer(keys)(PAGE, moment(0)), trusted).key_id == new.key_id
    plant = tmp_path / "plant.pem"
    plant.write_bytes(b"".join(public_pem(item.key, item.validity) for item in trusted.values()))
    assert load_pdf_keys([plant]) == trusted
    assert load_pem_public_key(public_pem(new.public, new.trusted.validity)) == new.public


def test_a_page_that_was_signed_out_of_its_keys_time_has_its_own_answer(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    old = open_pdf_signer(keys)
    _, new = rotate_pdf_key(keys, moment(3600), moment(-3600))
    for signer in (old, new):  # by a clock that is wrong: the signature itself says another time
        with pytest.raises(KeyNotValidThenError, match=signer.key_id):
            open_pdf(signer(PAGE, moment(7200)), station_pdf_keys(keys))


def test_a_key_out_of_its_time_signs_no_page(tmp_path: Path) -> None:
    rotate_pdf_key(tmp_path, moment(3600), moment(7200))
    with pytest.raises(KeyFileError, match="signs from"):
        open_pdf_signer(tmp_path)(PAGE, moment(0))


@pytest.mark.parametrize("step", [1, 2])
def test_after_a_crash_in_the_change_of_the_key_it_is_changed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    keys = tmp_path / "keys"
    before = open_pdf_signer(keys)(PAGE, moment(0))
    calls = iter(range(10))

    def crashes(path: Path, content: bytes, mode: int) -> None:
        if next(calls) == step - 1:
            raise OSError("killed here")
        write_over(path, content, mode)

    with monkeypatch.context() as crash:
        crash.setattr(signing, "write_over", crashes)
        with pytest.raises(KeyFileError, match="killed here"):
            rotate_pdf_key(keys, moment(-1), moment(60))
    _, new = rotate_pdf_key(keys, moment(-1), moment(60))
    trusted = station_pdf_keys(keys)
    assert open_pdf(before, trusted).document == open_pdf(open_pdf_signer(keys)(PAGE, moment(0)), trusted).document
    assert open_pdf_signer(keys).key_id == new.key_id


def test_both_kinds_of_keys_may_lie_in_one_file_and_each_finds_its_own(tmp_path: Path) -> None:
    plant = tmp_path / "plant.pem"
    plant.write_bytes(SIGNER.public.pem() + public_pem(PDF_SIGNER.public))
    assert set(load_keys(plant)) == {SIGNER.key_id}
    assert set(load_pdf_keys([plant])) == {PDF_SIGNER.key_id}
    assert load_pem_public_key(public_pem(PDF_SIGNER.public)) == PDF_SIGNER.public


def test_what_it_was_made_with_is_attached_beside_the_certificate() -> None:
    from pyhanko.pdf_utils.reader import PdfFileReader

    making = json.loads(checking._attached(PdfFileReader(BytesIO(PDF)), "page.json"))
    assert making["language"] == "zh-CN"
    assert "typst " in making["renderer"]
