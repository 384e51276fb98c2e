from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.drive import Drive, Geometry, SerialSource, Transport
from eraser.domain.events import Outcome
from eraser.domain.evidence import EndReason, Extent, HashTree
from eraser.domain.program import Verification
from eraser.errors import CertificateError, Refused
from eraser.rack.rereading import Finding, Rereading, _without, last_pattern, refuse_another
from tests.certificates.builders import CAPACITY_BYTES, RANDOM, a_certificate, a_drive, a_failed_job, a_report

NAMELESS = replace(a_drive().identity, serial="BRIDGE 01", serial_source=SerialSource.ENCLOSURE, wwn="")


def with_identity(**changes: Any) -> Drive:
    return a_drive(identity=replace(a_drive().identity, **changes))


def sized(capacity: int) -> Drive:
    return a_drive(geometry=Geometry(capacity, 512, 4096, capacity))


@pytest.mark.parametrize(
    ("certified", "found"),
    [
        (a_drive(), a_drive(path="/dev/sdq", transport=Transport.SAS)),
        (a_drive(), with_identity(firmware="SN05")),
        (a_drive(), with_identity(wwn="")),
        (a_drive(), with_identity(serial="BRIDGE 01", serial_source=SerialSource.ENCLOSURE)),
        (a_drive(identity=NAMELESS), a_drive()),
        (a_drive(identity=NAMELESS), a_drive(identity=replace(NAMELESS, serial="BRIDGE 02", model="another bridge"))),
    ],
)
def test_what_does_not_contradict_the_certificate_may_be_its_drive(certified: Drive, found: Drive) -> None:
    refuse_another(certified, found)


@pytest.mark.parametrize(
    "found",
    [
        sized(CAPACITY_BYTES - 512),
        sized(2 * CAPACITY_BYTES),
        with_identity(serial="ZX00 1882"),
        with_identity(wwn="5000c500a1b2c3d5"),
        with_identity(model="Längstdrive 18 TB"),
        a_drive(identity=NAMELESS),
        with_identity(serial="", serial_source=SerialSource.NONE, wwn=""),
    ],
)
def test_what_contradicts_the_certificate_or_shows_no_name_is_refused(found: Drive) -> None:
    with pytest.raises(Refused) as refusal:
        refuse_another(a_drive(), found)
    assert refusal.value.reason == "another-drive"


def test_a_nameless_drive_of_another_size_is_refused() -> None:
    with pytest.raises(Refused):
        refuse_another(a_drive(identity=NAMELESS), sized(CAPACITY_BYTES - 512))


def test_only_a_completed_last_pass_can_be_held_against_a_drive() -> None:
    certificate = a_certificate()
    assert last_pattern(certificate) == (1, RANDOM)
    stopped = replace(certificate, passes=(replace(certificate.passes[0], is_complete=False),))
    for unfit in (stopped, replace(certificate, passes=())):
        with pytest.raises(CertificateError):
            last_pattern(unfit)


TREE = HashTree(1 << 30, 3, b"r" * 32)


def a_rereading(**changes: Any) -> Rereading:
    whole = Rereading(
        1, Verification.FULL, None, CAPACITY_BYTES, a_report(), None, TREE, TREE.root, Outcome.PASSED, True
    )  # fmt: skip
    return replace(whole, **changes)


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({}, Finding.HOLDS),
        ({"hash_tree": None, "expected_root": b""}, Finding.HOLDS),
        ({"report": a_report(mismatched_sectors=1)}, Finding.DIFFERS),
        ({"report": a_report(mismatched_sectors=1, end=EndReason.GONE)}, Finding.DIFFERS),
        ({"report": a_report(bad_bytes=512)}, Finding.UNREADABLE),
        ({"report": a_report(bytes_done=CAPACITY_BYTES - 512)}, Finding.INCOMPLETE),
        ({"report": None}, Finding.INCOMPLETE),
        ({"hash_tree": replace(TREE, root=b"q" * 32)}, Finding.HASH_DIFFERS),
        ({"hash_tree": None}, Finding.HASH_DIFFERS),
        ({"certificate_outcome": Outcome.FAILED}, Finding.CERTIFICATE_FAILED),
        ({"is_undisturbed": False}, Finding.WRITTEN_MEANWHILE),
        ({"is_undisturbed": False, "report": a_report(mismatched_sectors=1)}, Finding.DIFFERS),
        ({"is_undisturbed": False, "certificate_outcome": Outcome.FAILED}, Finding.WRITTEN_MEANWHILE),
        ({"known_bad": a_report()}, Finding.CERTIFICATE_FAILED),
        *(
            ({"report": a_report(end=end)}, Finding.INCOMPLETE)
            for end in EndReason
            if end is not EndReason.COMPLETED
        ),
    ],
)  # fmt: skip
def test_only_a_whole_reading_without_any_fault_holds(changes: dict[str, Any], finding: Finding) -> None:
    assert a_rereading(**changes).finding is finding


def test_a_failed_certificate_never_holds() -> None:
    certificate = a_certificate(a_failed_job())
    assert a_rereading(certificate_outcome=certificate.outcome).finding is not Finding.HOLDS


spans = st.sets(st.integers(0, 60), max_size=16).map(
    lambda cuts: tuple(Extent(a, b - a) for a, b in zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False))
)


@given(places=spans, taken=spans)
def test_what_is_taken_out_is_left_out_and_nothing_else(places: tuple[Extent, ...], taken: tuple[Extent, ...]) -> None:
    def units(extents: tuple[Extent, ...]) -> list[int]:
        return [unit for extent in extents for unit in range(extent.offset_bytes, extent.end_bytes)]

    rest = tuple(_without(places, taken))
    assert units(rest) == sorted(set(units(places)) - set(units(taken)))
    assert all(extent.length_bytes > 0 for extent in rest)
