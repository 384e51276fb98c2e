"""The public check: for each file and code, the one answer; nothing kept, nobody's data shown, nobody served too often."""

from __future__ import annotations

import json
import resource
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from eraser.certificates.filed import FiledCertificates
from eraser.console.problems import TooMany
from eraser.console.public_check import Allowance, Answer, Checked, PublicCheck
from eraser.domain.events import Outcome
from eraser.ledger.engine import sqlite_url
from eraser.ledger.station_ledger import StationLedger, open_ledger
from tests.certificates.builders import a_document, a_signer
from tests.certificates.plant import certificate_of
from tests.console.certified import erase, filed_in, sign_log
from tests.console.desks import STATION, now_utc, withdrawing
from tests.ledger.stories import drive_number


@dataclass(frozen=True)
class Plant:
    ledger: StationLedger
    data: Path
    filed: FiledCertificates
    check: PublicCheck

    async def erased(self, number: int = 1, outcome: Outcome = Outcome.PASSED) -> str:
        issued = await erase(self.ledger, self.data, drive_number(number), outcome=outcome)
        await sign_log(self.ledger, self.data)
        return issued.certificate_id

    async def withdraw(self, certificate_id: str) -> None:
        await withdrawing(self.ledger.store, self.data)(certificate_id, "the wrong drive", "operator-7")


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    async with open_ledger(sqlite_url(tmp_path / "ledger.db"), STATION, now_utc) as ledger:
        filed = filed_in(ledger, tmp_path)
        yield Plant(ledger, tmp_path, filed, PublicCheck(filed))
        await filed.close()


async def test_a_genuine_certificate_passes_as_json_as_bundle_and_as_pdf(plant: Plant) -> None:
    certificate_id = await plant.erased()
    for make in (plant.filed.document, plant.filed.bundle, lambda name: plant.filed.pdf(name, "zh-CN")):
        found = await plant.check.file(await make(certificate_id))
        assert (found.answer, found.is_good) == (Answer.PASSED, True)
        assert found.certificate is not None
        assert found.certificate.drive.identity.serial == "S0000001"
    assert found.is_page_redrawn


async def test_of_a_failed_one_it_is_said_that_the_drive_is_not_erased(plant: Plant) -> None:
    certificate_id = await plant.erased(outcome=Outcome.FAILED)
    for found in (
        await plant.check.file(await plant.filed.document(certificate_id)),
        await plant.check.code(certificate_id),
    ):
        assert (found.answer, found.is_good) == (Answer.FAILED, False)


async def test_a_withdrawn_one_is_withdrawn_whatever_the_old_file_says(plant: Plant) -> None:
    certificate_id = await plant.erased()
    document, bundle = await plant.filed.document(certificate_id), await plant.filed.bundle(certificate_id)
    page = await plant.filed.pdf(certificate_id, "en")
    await plant.withdraw(certificate_id)
    for file in (document, bundle, page):
        assert (await plant.check.file(file)).answer is Answer.WITHDRAWN
    assert (await plant.check.code(certificate_id)).answer is Answer.WITHDRAWN
    withdrawal = (plant.data / "certificates" / f"{certificate_id}.withdrawal").read_bytes()
    assert (await plant.check.file(withdrawal)).answer is Answer.WITHDRAWAL


async def test_a_later_failure_of_the_same_drive_spoils_an_earlier_pass(plant: Plant) -> None:
    certificate_id = await plant.erased()
    later = await plant.erased(outcome=Outcome.FAILED)
    found = await plant.check.code(certificate_id)
    assert (found.answer, found.is_good) == (Answer.PASSED, False)
    assert found.newer is not None
    assert found.newer.certificate_id == later


CHANGES: list[Callable[[bytes], bytes]] = [
    lambda file: file.replace(b"S0000001", b"S0000009"),
    lambda file: file.replace(b'"outcome": "passed"', b'"outcome": "failed"'),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_document_is_altered_and_nothing_of_it_is_shown(
    plant: Plant, change: Callable[[bytes], bytes]
) -> None:
    document = await plant.filed.document(await plant.erased())
    changed = change(document)
    assert changed != document
    assert await plant.check.file(changed) == Checked(Answer.ALTERED)


async def test_a_changed_page_is_altered(plant: Plant) -> None:
    page = await plant.filed.pdf(await plant.erased(), "en")
    for changed in (page + b"\n% more", page.replace(b"/Count 1", b"/Count 2", 1)):
        assert (await plant.check.file(changed)).answer in (Answer.ALTERED, Answer.NO_CERTIFICATE)


async def test_another_plant_s_certificate_is_not_proved_here(plant: Plant) -> None:
    await plant.erased()
    found = await plant.check.file(a_document(a_signer(), certificate_of("c" * 32, "A1")))
    assert (found.answer, found.certificate) == (Answer.UNKNOWN_KEY, None)


@pytest.mark.parametrize(
    "file", [b"", b"hello", b"{}", b"%PDF-1.7 nothing", b"\x00" * 5000, b'{"bundle": 1}', b"[" * 50_000]
)
async def test_anything_else_is_no_certificate(plant: Plant, file: bytes) -> None:
    await plant.erased()
    assert (await plant.check.file(file)).answer is Answer.NO_CERTIFICATE


async def test_a_pdf_that_unfolds_to_gigabytes_costs_a_process_and_nothing_else(plant: Plant) -> None:
    await plant.erased()
    packed = _packed_zeros(1500)
    body = b"%PDF-1.7\n1 0 obj\n<</Type/Catalog/AF[2 0 R]>>\nendobj\n"
    body += b"2 0 obj\n<</UF(certificate.json)/EF<</F 3 0 R>>>>\nendobj\n"
    stream = b"3 0 obj\n<</Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream\nendobj\n" % (len(packed), packed)
    whole = body + stream
    places = [whole.index(b"%d 0 obj" % number) for number in (1, 2, 3)]
    table = b"xref\n0 4\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    file = whole + table + b"trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(whole)
    assert len(file) < 4 << 20
    assert (await plant.check.file(file)).answer is Answer.NO_CERTIFICATE
    # In kilobytes: the largest of all processes that ended here.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1_200_000


def _packed_zeros(mebibytes: int) -> bytes:
    """In the format of zlib, without packing each of them."""
    engine = zlib.compressobj(9)
    head, one = engine.compress(b"") + engine.flush(zlib.Z_FULL_FLUSH), engine.compress(bytes(1 << 20))
    one += engine.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, wbits=-15).flush()
    check = 1
    for _ in range(mebibytes):
        check = zlib.adler32(bytes(1 << 20), check)
    return head + one * mebibytes + end + check.to_bytes(4, "big")


async def test_the_code_on_the_paper_means_one_document_only(plant: Plant) -> None:
    certificate_id = await plant.erased()
    item = await plant.filed.known(certificate_id)
    digest = item.digest.hex()
    for code in (
        certificate_id,
        f"{certificate_id}.{digest[:16]}",
        f"eraser:{certificate_id}:{digest}",
        f" {certificate_id} ",
    ):
        assert (await plant.check.code(code)).answer is Answer.PASSED, code
    for code in (f"{certificate_id}.{'0' * 16}", f"eraser:{certificate_id}:{'0' * 64}"):
        assert (await plant.check.code(code)).answer is Answer.ANOTHER_DOCUMENT, code
    for code in ("", "x", "../../keys", certificate_id[:-1], f"{certificate_id}.12", "a" * 400, "\x00"):
        assert (await plant.check.code(code)).answer is Answer.NO_SUCH, code


async def test_a_certificate_whose_file_is_gone_is_not_called_passed(plant: Plant) -> None:
    certificate_id = await plant.erased()
    for path in (plant.data / "certificates").glob("*.json"):
        path.unlink()
    assert (await plant.check.code(certificate_id)).answer is Answer.UNREADABLE_HERE


async def test_one_that_is_well_signed_and_not_on_record_is_not_believed(plant: Plant) -> None:
    """As where somebody has got hold of the key."""
    from eraser.certificates.envelope import seal, unseal
    from eraser.certificates.keys import open_signer

    document = await plant.filed.document(await plant.erased())
    form = unseal(document).form
    form["certificate_id"] = "f" * 32
    forged = seal(form, open_signer(plant.data / "keys"))
    assert await plant.check.file(forged) == Checked(Answer.NOT_ON_RECORD)
    form["certificate_id"] = json.loads(document)["certificate"]["certificate_id"]
    form["operator"] = "somebody"
    assert await plant.check.file(seal(form, open_signer(plant.data / "keys"))) == Checked(Answer.NOT_ON_RECORD)


def test_whoever_asks_too_often_waits_and_nobody_else_does() -> None:
    now = 0.0
    allowance = Allowance(3, lambda: now)
    for _ in range(3):
        allowance.take("10.0.0.1")
    with pytest.raises(TooMany):
        allowance.take("10.0.0.1")
    allowance.take("10.0.0.2")
    now = 20.0
    allowance.take("10.0.0.1")
    with pytest.raises(TooMany):
        allowance.take("10.0.0.1")
