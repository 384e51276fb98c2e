"""The catalogue against a table written by hand from the sources, and what it must never offer or claim."""

import pytest

from eraser.domain.catalogue import PROGRAMS, STANDARDS, Standard, program_named, standard_named
from eraser.domain.drive import Geometry, Media
from eraser.domain.pattern import AesCtrStream, Constant, Pattern, draw
from eraser.domain.plan import Level
from eraser.domain.program import Program, Standing, Verification
from eraser.errors import UsageError
from tests.domain.builders import a_drive, seeded_chance

RANDOM = "random"
BYTE = "byte"
NOT_1, NOT_2, NOT_5 = "not 1", "not 2", "not 5"
ONES, ZEROS = b"\xff", b"\x00"

GUTMANN_MIDDLE = [
    b"\x55",
    b"\xaa",
    b"\x92\x49\x24",
    b"\x49\x24\x92",
    b"\x24\x92\x49",
    *(bytes([0x11 * k]) for k in range(16)),
    b"\x92\x49\x24",
    b"\x49\x24\x92",
    b"\x24\x92\x49",
    b"\x6d\xb6\xdb",
    b"\xb6\xdb\x6d",
    b"\xdb\x6d\xb6",
]

EXPECTED = {
    "zero": [ZEROS],
    "one": [ONES],
    "random": [RANDOM],
    "nist-800-88-clear": [RANDOM],
    "nist-800-88-clear-usb": [BYTE, NOT_1],
    "ieee-2883-clear": [RANDOM],
    "gb-46864-2025-magnetic": [ZEROS, ONES, RANDOM],
    "gb-46864-2025-semiconductor": [RANDOM, RANDOM],
    "gat-1143-3": [BYTE, NOT_1, RANDOM],
    "bmb21-2019": [ONES, ZEROS, RANDOM, RANDOM, RANDOM, ONES],
    "dod-5220.22-m": [BYTE, NOT_1, RANDOM],
    "dod-7": [BYTE, NOT_1, RANDOM, BYTE, BYTE, NOT_5, RANDOM],
    "hmg-is5-baseline": [ZEROS],
    "hmg-is5-enhanced": [ZEROS, ONES, RANDOM],
    "vsitr": [ZEROS, ONES, ZEROS, ONES, ZEROS, ONES, b"\xaa"],
    "rcmp-tssit-ops-ii": [ZEROS, ONES, ZEROS, ONES, ZEROS, ONES, RANDOM],
    "itsg-06": [BYTE, NOT_1, RANDOM],
    "schneier-7": [ONES, ZEROS, RANDOM, RANDOM, RANDOM, RANDOM, RANDOM],
    "gutmann-35": [RANDOM] * 4 + GUTMANN_MIDDLE + [RANDOM] * 4,
    "pfitzner-7": [RANDOM] * 7,
    "pfitzner-33": [RANDOM] * 33,
    "ar-380-19": [RANDOM, BYTE, NOT_2],
    "afssi-5020": [ZEROS, ONES, RANDOM],
    "navso-p-5239-26-rll": [ONES, (0xFFFFFFE4).to_bytes(4, "little"), RANDOM],
    "navso-p-5239-26-mfm": [ONES, (0xFFFFFFFD).to_bytes(4, "little"), RANDOM],
    "gost-r-50739-95": [ZEROS, RANDOM],
    "asd-ism": [RANDOM],
    "asd-ism-flash": [RANDOM, RANDOM],
    "asd-ism-3": [RANDOM, RANDOM, RANDOM],
    "nnsa": [RANDOM, RANDOM, ZEROS],
    "ncsc-tg-025": [BYTE, NOT_1, RANDOM],
    "nsa-130-2": [BYTE, BYTE, ZEROS],
}

READ_BACK_IN_FULL = {
    "dod-5220.22-m",
    "hmg-is5-baseline",
    "hmg-is5-enhanced",
    "rcmp-tssit-ops-ii",
    "itsg-06",
    "ar-380-19",
    "navso-p-5239-26-rll",
    "navso-p-5239-26-mfm",
    "asd-ism",
    "asd-ism-flash",
    "asd-ism-3",
    "nnsa",
    "nsa-130-2",
}
READ_BACK_IN_PART = {
    "nist-800-88-clear",
    "nist-800-88-clear-usb",
    "ieee-2883-clear",
    "gb-46864-2025-magnetic",
    "gb-46864-2025-semiconductor",
    "afssi-5020",
}


def drawn(program: Program, seed: int) -> tuple[Pattern, ...]:
    return draw(tuple(item.pattern for item in program.passes), seeded_chance(seed))


def test_the_table_by_hand_covers_the_catalogue() -> None:
    assert [program.name for program in PROGRAMS] == list(EXPECTED)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_pass_is_what_the_source_says(program: Program) -> None:
    one, other = drawn(program, 1), drawn(program, 2)
    assert len(one) == len(EXPECTED[program.name])
    for expected, pattern, again in zip(EXPECTED[program.name], one, other, strict=True):
        if isinstance(expected, bytes):
            assert pattern == again == Constant(expected)
        elif expected == RANDOM:
            assert isinstance(pattern, AesCtrStream)
            assert pattern != again
        else:
            assert isinstance(pattern, Constant)
            assert len(pattern.data) == 1
            if expected != BYTE:
                original = one[int(expected.split()[1]) - 1]
                assert isinstance(original, Constant)
                assert pattern.data[0] == 255 - original.data[0]
    seeds = [pattern.seed for pattern in one if isinstance(pattern, AesCtrStream)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_random_byte_is_drawn_anew_by_every_job_and_pass(program: Program) -> None:
    free = [number for number, expected in enumerate(EXPECTED[program.name]) if expected == BYTE]
    seen = [{drawn(program, seed)[number] for seed in range(40)} for number in free]
    assert all(len(values) > 20 for values in seen)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_no_pass_is_reversed_or_added_and_only_gutmanns_are_shuffled(program: Program) -> None:
    assert not any(item.reverse or item.verify for item in program.passes)
    assert program.shuffled == ((5, 31) if program.name == "gutmann-35" else None)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_least_verification_is_what_the_source_asks(program: Program) -> None:
    expected = (
        Verification.FULL
        if program.name in READ_BACK_IN_FULL
        else Verification.SAMPLED
        if program.name in READ_BACK_IN_PART
        else Verification.NONE
    )
    assert program.required_verification is expected


def test_nothing_claims_a_standard_whose_text_was_not_seen() -> None:
    assert not [program.name for program in PROGRAMS if program.standing is Standing.CURRENT]
    folklore = {program.name for program in PROGRAMS if program.standing is Standing.FOLKLORE}
    assert folklore == {"dod-7", "pfitzner-7", "pfitzner-33", "gost-r-50739-95"}
    own = {program.name for program in PROGRAMS if program.standing is Standing.OWN}
    assert own == {"zero", "one", "random"}


def test_every_program_says_where_it_comes_from() -> None:
    for program in PROGRAMS:
        assert program.title
        assert program.source
        assert program.note.endswith(".")


def test_no_name_means_two_things() -> None:
    names = [name for program in PROGRAMS for name in (program.name, *program.aliases)]
    assert len(set(names)) == len(names)
    for standard in STANDARDS:
        for name in (standard.name, *standard.aliases):
            taken = [program for program in PROGRAMS if name in (program.name, *program.aliases)]
            assert set(taken) <= set(standard.programs)


@pytest.mark.parametrize("name", ["bsi-2011-vs", "irig-106", "psc-secure", "bruce-force", "gat-1143-7", "nist-3"])
def test_what_no_source_supports_is_not_offered(name: str) -> None:
    with pytest.raises(UsageError):
        standard_named(name)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("ZERO", "zero"),
        ("DoD 5220.22-M", "dod-5220.22-m"),
        ("dodshort", "dod-5220.22-m"),
        ("Gutmann", "gutmann-35"),
        ("ops2", "rcmp-tssit-ops-ii"),
        (" RCMP_TSSIT_OPS-II ", "rcmp-tssit-ops-ii"),
        ("gost", "gost-r-50739-95"),
        ("GA/T 1143", "gat-1143-3"),
    ],
)
def test_programs_are_found_by_name_and_alias_whatever_the_case(spelling: str, name: str) -> None:
    assert program_named(spelling).name == name
    assert standard_named(spelling).name == name


def test_an_unknown_name_is_refused_with_close_ones_and_where_to_look() -> None:
    with pytest.raises(UsageError) as caught:
        program_named("gutman")
    assert "gutmann" in caught.value.remedy
    assert "`eraser programs`" in caught.value.remedy
    with pytest.raises(UsageError) as caught:
        standard_named("gb-46864-2052")
    assert "gb-46864-2025" in caught.value.remedy
    with pytest.raises(UsageError, match="xyzzy"):
        standard_named("xyzzy")


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
@pytest.mark.parametrize("media", Media)
@pytest.mark.parametrize("capacity", [10**9, 10**12])
def test_a_standard_chooses_one_of_its_own_programs_for_every_drive(
    standard: Standard, media: Media, capacity: int
) -> None:
    assert standard.choose(a_drive(media=media, geometry=Geometry(capacity, 512, 512))) in standard.programs
    assert standard.level is Level.CLEAR
    assert standard_named(standard.name.upper()) is standard


@pytest.mark.parametrize(
    ("media", "name"),
    [
        (Media.MAGNETIC, "gb-46864-2025-magnetic"),
        (Media.UNKNOWN, "gb-46864-2025-magnetic"),
        (Media.FLASH, "gb-46864-2025-semiconductor"),
    ],
)
def test_gb_46864_takes_unknown_media_for_the_stricter(media: Media, name: str) -> None:
    standard = standard_named("gb-46864-2025")
    assert isinstance(standard, Standard)
    assert standard.choose(a_drive(media=media)).name == name


@pytest.mark.parametrize(
    ("media", "capacity", "name"),
    [
        (Media.MAGNETIC, 15 * 10**9, "asd-ism"),
        (Media.MAGNETIC, 15 * 10**9 - 512, "asd-ism-3"),
        (Media.UNKNOWN, 10**9, "asd-ism-3"),
        (Media.FLASH, 10**9, "asd-ism-flash"),
    ],
)
def test_asd_ism_writes_small_drives_three_times(media: Media, capacity: int, name: str) -> None:
    standard = standard_named("ism-0354")
    assert isinstance(standard, Standard)
    assert standard.choose(a_drive(media=media, geometry=Geometry(capacity, 512, 512))).name == name
