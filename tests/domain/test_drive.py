"""What makes two drives the same, and what hides on one."""

from dataclasses import replace

import pytest

from eraser.domain.drive import Drive, Geometry, Identity, SerialSource, Transport, is_recognisable, same_drive
from eraser.domain.evidence import DriveActivity, Extent
from eraser.domain.json_form import from_json, to_json
from tests.domain.builders import GEOMETRY, IDENTITY, a_drive


def test_a_drive_is_the_same_behind_another_interface() -> None:
    assert same_drive(a_drive(), a_drive(transport=Transport.USB)) == ""


def test_a_drive_is_the_same_under_another_name_of_its_path() -> None:
    assert same_drive(a_drive(), a_drive(path="/dev/sdq", other_paths=("/dev/sdr",), bridge="JMS578")) == ""


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"identity": replace(IDENTITY, model="Spinner 2000")}, "model"),
        ({"identity": replace(IDENTITY, serial="OTHER")}, "serial"),
        ({"identity": replace(IDENTITY, wwn="5000c500a1b2c3d4")}, "WWN"),
        ({"identity": replace(IDENTITY, eui64="0025385b71b00001")}, "EUI-64"),
        ({"identity": replace(IDENTITY, nguid="0" * 32)}, "NGUID"),
        ({"geometry": replace(GEOMETRY, capacity_bytes=GEOMETRY.capacity_bytes - 512)}, "capacity"),
        ({"geometry": replace(GEOMETRY, logical_sector_bytes=4096)}, "logical sector size"),
    ],
)
def test_any_difference_in_what_it_is_makes_another_drive(change: dict[str, object], named: str) -> None:
    assert same_drive(a_drive(), a_drive(**change)).startswith(named)


@pytest.mark.parametrize(
    ("identity", "recognisable"),
    [
        (IDENTITY, True),
        (replace(IDENTITY, serial_source=SerialSource.ENCLOSURE), False),
        (Identity(model="Spinner"), False),
        (Identity(wwn="5000c500a1b2c3d4"), True),
        (Identity(eui64="0025385b71b00001"), True),
        (Identity(nguid="1" * 32), True),
    ],
)
def test_a_drive_is_recognised_by_a_serial_or_a_name_of_its_own(identity: Identity, recognisable: bool) -> None:
    assert is_recognisable(a_drive(identity=identity)) is recognisable


@pytest.mark.parametrize(("native", "hidden"), [(None, 0), (1000, 0), (999, 0), (1512, 512)])
def test_hidden_bytes_are_those_that_the_drive_has_and_the_kernel_does_not_show(
    native: int | None, hidden: int
) -> None:
    assert Geometry(1000, 512, 512, native_capacity_bytes=native).hidden_bytes == hidden


def test_a_label_is_what_people_read_on_the_drive_or_else_its_path() -> None:
    assert a_drive().label == "Spinner 1000 S3R1AL"
    assert a_drive(identity=Identity()).label == "/dev/sdz"


QUIET = DriveActivity(
    sectors_written_seen=10,
    sectors_written_ours_least=10,
    sectors_written_ours_most=12,
    sectors_discarded_seen=0,
    flushes_seen=3,
    flushes_expected=3,
)


@pytest.mark.parametrize(("seen", "foreign"), [(9, True), (10, False), (12, False), (13, True)])
def test_writes_that_are_not_ours_or_did_not_go_out_are_foreign(seen: int, foreign: bool) -> None:
    assert replace(QUIET, sectors_written_seen=seen).has_foreign_writes is foreign


def test_a_discard_is_never_ours() -> None:
    assert replace(QUIET, sectors_discarded_seen=1).has_foreign_writes


def test_what_holds_for_the_moment_only_reaches_no_record() -> None:
    drive = a_drive(disk_sequence=7, namesakes=("/dev/sdb",))
    form = to_json(drive)
    assert not {"disk_sequence", "namesakes"} & set(form)
    assert from_json(Drive, form) == drive


@pytest.mark.parametrize(("seen", "lost"), [(2, True), (3, False), (4, False)])
def test_fewer_flushes_than_ours_are_lost_ones(seen: int, lost: bool) -> None:
    assert replace(QUIET, flushes_seen=seen).has_lost_flushes is lost


def test_an_extent_ends_before_its_end() -> None:
    assert Extent(5, 3).end_bytes == 8
