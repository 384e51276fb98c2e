"""The right code of a label's many, in whatever order they are scanned; and never another drive than the one in the hand."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eraser.domain.scanning import Chosen, Code, CodeKind, Finding, Known, choose, codes_of, differences

# Invented numbers in the makers' forms. Each label: its serial number as the drive says it, and all its codes.
LABELS = {
    "Western Digital": (
        "WD-WCC4E1234567",
        ["WCC4E1234567", "WD40EFRX-68WT0N0", "50014EE2B5D1A2C3", "DCM: HHRNHT2AAB", "15 OCT 2014"],
    ),
    "Ultrastar": ("2YG3ABCD", ["S/N: 2YG3ABCD", "0F38462", "WUH721414ALE6L4", "5000CCA264D1E2F3"]),
    "Seagate": ("ZA1234XY", ["ZA1234XY", "ST4000NM0035-1V4107", "1V4107-004", "5000C500A1B2C3D4", "7" * 8 + "A" * 24]),
    "Samsung": (
        "S3Z9NB0K123456A",
        [
            "S3Z9NB0K123456A",
            "MZ7LN256HCHP-000L7",
            "5002538D40A1B2C3",
            "8801643068806",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        ],
    ),
    "a server's maker": (
        "BTWL512345678",
        ["SBTWL512345678", "1PSSDSC2BB480G7", "J95396-302", "1TWK51234", "Q1", "10D1647"],
    ),
    "one with all in a square": (
        "Y8N7K1ABFTSA",
        ["[)>\x1e06\x1dSY8N7K1ABFTSA\x1d1PMG08ACA16TE\x1d23S0050C2112233\x1dQ1\x1e\x04"],
    ),
}
OTHERS = [Known(serial="ZZ99887766", bay="B1"), Known(serial="5QE0KXYZ", world_wide_name="5000c50011112222")]


@pytest.mark.parametrize("maker", LABELS)
def test_any_order_of_a_label_s_codes_finds_the_drive_that_is_there(maker: str) -> None:
    serial, codes = LABELS[maker]
    drive = Known(serial=serial, bay="A1")
    for start in range(len(codes)):
        found = choose(codes[start:] + codes[:start], [*OTHERS, drive])
        assert (found.finding, found.value, found.drives) == (Finding.KNOWN, serial, (drive,)), found


@pytest.mark.parametrize(
    "maker", [name for name in LABELS if name not in ("a server's maker", "one with all in a square")]
)
def test_of_a_drive_that_nothing_is_known_of_the_label_s_serial_number_is_chosen(maker: str) -> None:
    serial, codes = LABELS[maker]
    found = choose(codes, OTHERS)
    assert (found.finding, found.value) == (Finding.NEW, serial.removeprefix("WD-")), found


@pytest.mark.parametrize(
    ("scan", "kind"),
    [
        ("5000C500A1B2C3D4", CodeKind.WORLD_WIDE_NAME),
        ("naa.5000c500a1b2c3d4", CodeKind.WORLD_WIDE_NAME),
        ("0025385A71B01C2D", CodeKind.WORLD_WIDE_NAME),
        ("ST4000NM0035-1V4107", CodeKind.PART_NUMBER),
        ("MZ7LN256HCHP-000L7", CodeKind.PART_NUMBER),
        ("00:50:C2:11:22:33", CodeKind.MAC),
        ("8801643068806", CodeKind.ARTICLE),
        ("(01)08801643068806", CodeKind.ARTICLE),
        ("1T20231234", CodeKind.BATCH),
        ("2023-04-17", CodeKind.DATE),
        ("*ZA1234XY*", CodeKind.SERIAL),
        ("序列号\uff1aZA1234XY", CodeKind.SERIAL),
        ("\uff33\uff0f\uff2e\uff1a\uff3a\uff21\uff11\uff12\uff13\uff14", CodeKind.SERIAL),
        ("序列号: ZA1234XY", CodeKind.SERIAL),
        ("Serial No. ZA1234XY", CodeKind.SERIAL),
        ("(21)ZA1234XY", CodeKind.SERIAL),
        ("Barracuda", CodeKind.UNKNOWN),
    ],
)
def test_a_code_is_known_by_its_prefix_or_its_form(scan: str, kind: CodeKind) -> None:
    assert [code.kind for code in codes_of(scan)] == [kind]


def test_only_other_codes_ask_for_another_scan() -> None:
    found = choose(["ST4000NM0035-1V4107", "00:50:C2:11:22:33"], OTHERS)
    assert (found.finding, found.value) == (Finding.NOT_A_NAME, "")


def test_a_world_wide_name_or_a_tag_finds_its_drive_in_any_spelling() -> None:
    drive = Known(serial="5QE0KXYZ", world_wide_name="5000c50011112222", asset_tag="T-17", bay="A2")
    for scan in ("5000C50011112222", "0x5000c50011112222", "WWN: 5000C500 11112222", "T-17"):
        assert choose([scan], [drive, OTHERS[0]]) == Chosen(Finding.KNOWN, "5QE0KXYZ", (drive,), codes_of(scan))


def test_a_serial_number_that_has_the_form_of_a_world_wide_name_is_found_all_the_same() -> None:
    drive = Known(serial="50026B7682ABCDEF", bay="A1")
    assert choose(["50026B7682ABCDEF"], [drive]).finding is Finding.KNOWN


def test_a_serial_number_whose_first_letter_is_a_prefix_s_is_not_cut() -> None:
    drive, other = Known(serial="S3Z9NB0K123456A", bay="A1"), Known(serial="3Z9NB0K123456A", bay="A2")
    assert choose(["S3Z9NB0K123456A"], [drive]).drives == (drive,)
    # Where both are there the code is the one's name and, behind a prefix, the other's: nobody guesses.
    assert choose(["S3Z9NB0K123456A"], [drive, other]).finding is Finding.AMBIGUOUS


@pytest.mark.parametrize(
    ("scanned", "real"), [("ZA12B4XY", "ZA1284XY"), ("ZAO234XY", "ZA0234XY"), ("2A1234XI", "ZA1234X1")]
)
def test_what_only_looks_like_a_known_name_is_asked_about(scanned: str, real: str) -> None:
    drive = Known(serial=real, bay="A1")
    found = choose([scanned], [drive, *OTHERS])
    assert (found.finding, found.drives) == (Finding.ALIKE, (drive,))
    assert found.value == scanned
    assert differences(scanned, real) != ()


def test_the_names_of_two_drives_find_none() -> None:
    one, two = Known(serial="ZA1234XY", bay="A1"), Known(serial="ZB5678XY", bay="A2")
    found = choose(["ZA1234XY", "ZB5678XY"], [one, two])
    assert (found.finding, found.value, set(found.drives)) == (Finding.AMBIGUOUS, "", {one, two})


def test_one_serial_number_in_two_bays_is_ambiguous() -> None:
    twins = [Known(serial="ZA1234XY", bay=bay) for bay in ("A1", "A2")]
    assert choose(["ZA1234XY"], twins).finding is Finding.AMBIGUOUS


def test_a_psid_is_never_given_back() -> None:
    secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    for scan in (secret, f"PSID: {secret}", f"S/N: ZA1234XY;PSID: {secret}"):
        found = choose([scan], [Known(serial=secret[:16])])
        assert secret not in repr(found)
        assert any(code.kind is CodeKind.PSID for code in found.codes)


def test_a_code_that_can_t_be_told_apart_from_others_is_not_guessed_at() -> None:
    assert choose(["AB12345678", "CD87654321"], []).finding is Finding.AMBIGUOUS
    assert choose(["AB12345678", "S/N: CD87654321"], []).value == "CD87654321"


_CHARACTERS = string.ascii_uppercase + string.digits
serials = st.text(_CHARACTERS, min_size=8, max_size=20).filter(
    lambda text: any(character.isdigit() for character in text)
)
noise = st.sampled_from(
    [code for _, codes in LABELS.values() for code in codes[1:]] + ["8801643068806", "Q1", "1T20231234"]
)


def test_a_name_that_begins_like_a_data_identifier_is_found() -> None:
    drive = Known(serial="1P000000", bay="A1")
    assert choose(["1P000000"], [drive]).drives == (drive,)


@given(st.lists(serials, min_size=1, max_size=8, unique=True), st.data())
def test_noise_never_hides_a_drive_and_never_finds_another(names: list[str], data: st.DataObject) -> None:
    drives = [Known(serial=name, bay=f"A{number}") for number, name in enumerate(names)]
    wanted = data.draw(st.sampled_from(drives))
    scans = data.draw(st.permutations([wanted.serial, *data.draw(st.lists(noise, max_size=6))]))
    found = choose(scans, drives)
    if found.finding is Finding.KNOWN:
        assert found.drives == (wanted,)
    else:
        # Only where a prefix may have been read into the name are others meant as well.
        assert found.finding is Finding.AMBIGUOUS
        assert wanted in found.drives


@given(st.lists(serials, min_size=1, max_size=8, unique=True), st.data())
def test_a_misread_character_never_passes_for_another_drive(names: list[str], data: st.DataObject) -> None:
    drives = [Known(serial=name) for name in names]
    name = data.draw(st.sampled_from(names))
    place = data.draw(st.integers(0, len(name) - 1))
    wrong = name[:place] + data.draw(st.sampled_from(_CHARACTERS)) + name[place + 1 :]
    assume(all(wrong.removeprefix("1S").removeprefix("S") not in (one, one.removeprefix("S")) for one in names))
    found = choose([wrong], drives)
    assert found.finding is not Finding.KNOWN


@given(st.text(max_size=300))
def test_whatever_is_typed_is_taken_without_a_fault(text: str) -> None:
    for code in codes_of(text):
        assert code.value.isprintable()
    assert isinstance(choose([text], OTHERS), Chosen)


@given(st.text(_CHARACTERS, min_size=6, max_size=20))
def test_a_marked_serial_number_is_given_back_as_it_is(text: str) -> None:
    assert codes_of(f"S/N: {text}") == (Code(CodeKind.SERIAL, text, True),)
