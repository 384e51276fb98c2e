"""What a forger may try with a PDF, and by what name each try is refused; and that the verifier in one file, which looks at no
page, calls none of them genuine, nor the true one.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from eraser.certificates.attached import attached_document
from eraser.certificates.checking import Check, Held, check, check_all
from eraser.certificates.errors import AlteredError, ContradictoryError, KeyNotValidThenError, MalformedError
from eraser.certificates.holding import held
from eraser.certificates.keys import CurveKey
from eraser.certificates.lot_summary import LotSummary, read_summary
from eraser.certificates.lot_summary import Standing as InLot
from eraser.certificates.pdf.checking import open_pdf
from eraser.certificates.pdf.signing import public_pem
from eraser.certificates.pdf.words import Language
from eraser.certificates.pdf_signature import signer_of
from eraser.certificates.validity import Validity
from eraser.cli.certificate import certificate_group
from eraser.domain.events import Outcome
from tests.certificates.builders import a_certificate, a_document, a_failed_job, trusting
from tests.certificates.pdf.builders import a_lot, a_pdf_signer, a_renderer, another_pdf_signer, trusting_pdf
from tests.certificates.plant import ID_A, Plant, certificate_of, changed, entry_of

Forge = Callable[[Plant], bytes]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def page(document: bytes) -> bytes:
    return a_renderer()(document, Language.ENGLISH)


def genuine(plant: Plant) -> bytes:
    return a_pdf_signer()(page(plant.bundle()))


def added(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """An incremental update: everything that was there stays, and something is said anew behind it."""
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    change(writer)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def painted_over(writer: IncrementalPdfFileWriter) -> None:
    first = writer.root["/Pages"]["/Kids"][0].get_object()
    first["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"0 0 500 500 re f"))
    writer.update_container(first)


def lot_pages(lot: LotSummary) -> bytes:
    return a_renderer().lot(lot.dump(), Language.ENGLISH)


def lot_pdf(lot: LotSummary) -> bytes:
    return a_pdf_signer()(lot_pages(lot))


def counted_as(lot: LotSummary, outcome: Outcome, standing: InLot) -> LotSummary:
    first = replace(lot.certificates[0], outcome=outcome, standing=standing)
    return replace(lot, certificates=(first, *lot.certificates[1:]))


def attached_instead(document: bytes, name: str = "certificate.json") -> Callable[[IncrementalPdfFileWriter], None]:
    def change(writer: IncrementalPdfFileWriter) -> None:
        for item in writer.root["/AF"]:
            file = item.get_object()
            if file["/UF"] == name:
                file["/EF"]["/F"] = writer.add_object(generic.StreamObject(stream_data=document))
                writer.update_container(file)

    return change


def failed(plant: Plant) -> bytes:
    return a_document(plant.signer, a_certificate(a_failed_job()))


FORGERIES: dict[str, tuple[Forge, str]] = {
    "the page says something else, drawn over before the station signed": (
        lambda plant: a_pdf_signer()(added(page(failed(plant)), painted_over)),
        "pdf-differs",
    ),
    "the page of a passed one around a failed one": (
        lambda plant: a_pdf_signer()(added(page(plant.document), attached_instead(failed(plant)))),
        "pdf-differs",
    ),
    "the page was drawn over after the signature": (lambda plant: added(genuine(plant), painted_over), "altered"),
    "the attachment was replaced after the signature": (
        lambda plant: added(genuine(plant), attached_instead(plant.other)),
        "altered",
    ),
    "bytes behind the end": (lambda plant: genuine(plant) + b"\n% nothing to see\n", "altered"),
    "signed with a key of somebody else's": (
        lambda plant: another_pdf_signer()(page(plant.bundle())),
        "unknown-key",
    ),
    "the page replaced, and signed by somebody else": (
        lambda plant: another_pdf_signer()(added(page(plant.bundle()), painted_over)),
        "unknown-key",
    ),
    "without a signature": (lambda plant: page(plant.bundle()), "altered"),
    "signed by the station around an altered certificate": (
        lambda plant: a_pdf_signer()(
            page(changed(plant.document, lambda form: form["certificate"].update(operator="operator-8")))
        ),
        "altered",
    ),
    "a lot's pages drawn over before the station signed": (
        lambda plant: a_pdf_signer()(added(lot_pages(a_lot(3)), painted_over)),
        "pdf-differs",
    ),
    "a lot's pages around another summary": (
        lambda plant: a_pdf_signer()(added(lot_pages(a_lot(3)), attached_instead(a_lot(2).dump(), "lot.json"))),
        "pdf-differs",
    ),
    "a lot's summary replaced after the signature": (
        lambda plant: added(lot_pdf(a_lot(3)), attached_instead(a_lot(2).dump(), "lot.json")),
        "altered",
    ),
    "a lot's pages drawn over after the signature": (lambda plant: added(lot_pdf(a_lot(3)), painted_over), "altered"),
    "a lot's summary signed by somebody else": (lambda plant: another_pdf_signer()(lot_pages(a_lot(3))), "unknown-key"),
    "a lot's summary without a signature": (lambda plant: lot_pages(a_lot(3)), "altered"),
}


def asked(plant: Plant, pdf: bytes, tmp_path: Path) -> tuple[int, dict[str, Any]]:
    """The whole program, with the plant's keys of both kinds."""
    plant.file("plant.pem", plant.signer.public.pem() + public_pem(a_pdf_signer().public))
    words = ["verify", "--json", plant.file("page.pdf", pdf), *plant.options()]
    done = CliRunner().invoke(certificate_group, [str(word) for word in words], env={"HOME": str(tmp_path)})
    return done.exit_code, json.loads(done.stdout)


def in_one_file(plant: Plant, pdf: bytes) -> Check:
    """What the verifier in one file holds: no reader of PDFs, and the plant's keys."""
    return check(plant.file("page.pdf", pdf), holding(plant))


def holding(plant: Plant) -> Held:
    known = held(trusting(plant.signer), (str(plant.log_key_file),), (), "", None, ())
    return replace(known, pdf_keys=trusting_pdf(a_pdf_signer()))


@pytest.mark.parametrize("name", FORGERIES)
def test_each_forgery_is_refused_by_its_own_name_and_nobody_calls_it_genuine(
    plant: Plant, tmp_path: Path, name: str
) -> None:
    forge, code = FORGERIES[name]
    pdf = forge(plant)
    status, answer = asked(plant, pdf, tmp_path)
    assert answer["result"] == code
    assert status == (5 if code == "unknown-key" else 4)
    assert answer["outcome"] is None
    without_reader = in_one_file(plant, pdf)
    # What the station itself signed around another page is seen by whoever draws it again alone.
    assert without_reader.result == {"pdf-differs": "page-not-checked"}.get(code, code)
    assert without_reader.exit_status in (4, 5)
    assert without_reader.summary()["outcome"] is None


def test_of_a_true_pdf_the_verifier_in_one_file_knows_the_certificate_and_says_that_it_saw_no_page(
    plant: Plant, tmp_path: Path
) -> None:
    pdf = genuine(plant)
    status, answer = asked(plant, pdf, tmp_path)
    assert (status, answer["result"], answer["pdf"]["redrawn"]) == (0, "genuine", True)
    found = in_one_file(plant, pdf)
    assert (found.result, found.exit_status) == ("page-not-checked", 5)
    assert f"the PDF is as key {a_pdf_signer().key_id} signed it" in found.sentence()
    assert found.summary()["pdf"] == {"key_id": a_pdf_signer().key_id, "redrawn": False, "checked": False}
    assert found.certificate is not None
    assert found.certificate.outcome is Outcome.PASSED


def test_a_lots_summary_is_genuine_in_its_pdf_however_long_it_is(plant: Plant, tmp_path: Path) -> None:
    for count in (0, 3, 200):
        status, answer = asked(plant, lot_pdf(a_lot(count)), tmp_path)
        assert (status, answer["result"], answer["pdf"]["redrawn"]) == (0, "genuine", True)
        assert (answer["lot"]["id"], answer["outcome"]) == (a_lot(count).lot_id, None)


def test_a_summary_that_counts_a_failed_drive_as_passed_is_neither_drawn_nor_read() -> None:
    lot = counted_as(a_lot(3), Outcome.FAILED, InLot.PASSED)
    for use in (read_summary, lambda document: a_renderer().lot(document, Language.ENGLISH)):
        with pytest.raises(ContradictoryError):
            use(lot.dump())


def of_the_plant(plant: Plant, **changes: Any) -> LotSummary:
    """Of a lot that has A alone."""
    entry, certificate = entry_of(plant.document), certificate_of(ID_A, "A1")
    told = {"certificate_id": ID_A, "digest": entry.digest, "serial": "A1", "standing": InLot.PASSED} | changes
    capacity = certificate.drive.geometry.capacity_bytes
    first = replace(a_lot(1).certificates[0], outcome=Outcome.PASSED, capacity_bytes=capacity, **told)
    return replace(a_lot(1), certificates=(first,), made_at="2026-06-01T00:00:00Z")


def beside_it(plant: Plant, lot: LotSummary, *others: bytes) -> list[str]:
    """What each of the files is found to be."""
    trusted = trusting_pdf(a_pdf_signer())
    known = replace(held(trusting(plant.signer), (), (), "", None, ()), open_pdf=lambda file: open_pdf(file, trusted))
    files = [plant.file(f"{number}", content) for number, content in enumerate([lot_pdf(lot), *others])]
    return [item.result for item in check_all(files, known)]


def test_a_lots_summary_is_held_against_the_certificates_beside_it(plant: Plant) -> None:
    assert beside_it(plant, of_the_plant(plant), plant.document, plant.other) == ["genuine"] * 3
    assert (
        beside_it(plant, of_the_plant(plant), plant.signed(outcome=Outcome.FAILED))[0] == "genuine"
    )  # not proved itself
    assert beside_it(plant, of_the_plant(plant, digest=bytes(32)), plant.document) == ["lot-differs", "genuine"]
    assert beside_it(plant, of_the_plant(plant, serial="A2"), plant.document) == ["lot-differs", "genuine"]
    of_another = plant.signed(job_id="d" * 32)
    assert beside_it(plant, of_the_plant(plant), of_another) == ["lot-differs", "genuine"]


def test_a_lots_summary_tells_of_the_withdrawals_before_it(plant: Plant) -> None:
    taken = plant.withdrawal(withdrawn_at="2026-05-01T00:00:00Z")
    assert beside_it(plant, of_the_plant(plant), taken) == ["lot-differs", "genuine"]
    assert beside_it(plant, of_the_plant(plant, standing=InLot.WITHDRAWN), taken) == ["genuine", "genuine"]
    later = plant.withdrawal(withdrawn_at="2026-07-01T00:00:00Z")
    assert beside_it(plant, of_the_plant(plant), later, plant.document) == ["genuine", "genuine", "withdrawn"]


def test_what_is_attached_is_found_as_it_was_put_in(plant: Plant) -> None:
    for document in (plant.document, plant.bundle()):
        assert attached_document(a_pdf_signer()(page(document))) == document


def test_a_withdrawal_beside_it_and_another_drive_in_the_hand_are_told_all_the_same(plant: Plant) -> None:
    pdf, taken = plant.file("page.pdf", genuine(plant)), plant.file("a.withdrawal", plant.withdrawal())
    known = holding(plant)
    assert [item.result for item in check_all([pdf, taken], known)] == ["withdrawn", "genuine"]
    other = replace(known, drive="C3")
    assert check(pdf, other).result == "another-drive"


BOMB = b"%%PDF-\n1 0 obj\n<</Length %d/Type/EmbeddedFile/Filter/FlateDecode/Subtype/application#2Fjson/Params<<>>>>\nstream\n%b"


def test_what_is_no_pdf_of_ours_is_malformed(plant: Plant) -> None:
    packed = zlib.compress(b" " * (64 << 20))
    true = genuine(plant)
    two = true + page(plant.other)
    for file in (b"%PDF-", BOMB % (len(packed), packed), BOMB % (9, b"no stream"), true[: len(true) // 3], two):
        with pytest.raises(MalformedError):
            attached_document(file)


def test_without_a_reader_of_pdfs_too_any_other_byte_is_altered(plant: Plant) -> None:
    true, keys = genuine(plant), trusting_pdf(a_pdf_signer())
    assert signer_of(true, keys) == a_pdf_signer().key_id
    begin, end = true.rindex(b"/Contents <"), true.rindex(b"/ByteRange")
    chance = random.Random(4)
    for place in [*chance.sample(range(begin), 100), begin, *range(end - 3, len(true))]:
        changed_byte = bytes([true[place] ^ (1 << chance.randrange(8))])
        with pytest.raises(AlteredError):
            signer_of(true[:place] + changed_byte + true[place + 1 :], keys)
    # In the signature itself some bytes tell nothing, such as its version: it is good, or refused.
    for place in chance.sample(range(begin + 10, begin + 10 + 2200), 300):
        changed_byte = bytes([true[place] ^ 1])
        with suppress(AlteredError):
            assert signer_of(true[:place] + changed_byte + true[place + 1 :], keys) == a_pdf_signer().key_id
    for other in (true[:-1], true + b" ", true[1:], true * 2):
        with pytest.raises(AlteredError):
            signer_of(other, keys)


def test_without_a_reader_of_pdfs_too_a_key_signs_in_its_time_alone(plant: Plant) -> None:
    signer = a_pdf_signer()
    ended = {signer.key_id: CurveKey(signer.public, Validity(until="2020-01-01T00:00:00Z"))}
    with pytest.raises(KeyNotValidThenError, match=signer.key_id):
        signer_of(genuine(plant), ended)
    open_still = {signer.key_id: CurveKey(signer.public, Validity(since="2020-01-01T00:00:00Z"))}
    assert signer_of(genuine(plant), open_still) == signer.key_id
