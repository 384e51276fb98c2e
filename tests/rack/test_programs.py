"""Every program of the catalogue, pass by pass, as a drive that records sees it, against a table of our own."""

from pathlib import Path
from typing import Any

import pytest

from eraser.domain.catalogue import PROGRAMS
from tests.lab import MARKER, Kind, Pass, Request, fuse_drive, passes
from tests.rack import model
from tests.rack.command import PASSED, CommandLine

SECTOR = 512
SIZE = (1 << 20) + 3 * SECTOR
"""No multiple of a page, of the engine's blocks, or of three bytes: patterns of three must keep their phase throughout."""

# Hexadecimal bytes that repeat, R a random stream, r one random byte repeated, ~n the complement of pass n; in braces
# what comes in an order drawn anew.
GUTMANN = "55 AA 924924 492492 249249 00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF 924924 492492 249249 6DB6DB B6DB6D DB6DB6"
PASSES = {
    "zero": "00",
    "one": "FF",
    "random": "R",
    "nist-800-88-clear": "R",
    "nist-800-88-clear-usb": "r ~1",
    "ieee-2883-clear": "R",
    "gb-46864-2025-magnetic": "00 FF R",
    "gb-46864-2025-semiconductor": "R R",
    "gat-1143-3": "r ~1 R",
    "bmb21-2019": "FF 00 R R R FF",
    "dod-5220.22-m": "r ~1 R",
    "dod-7": "r ~1 R r r ~5 R",
    "hmg-is5-baseline": "00",
    "hmg-is5-enhanced": "00 FF R",
    "vsitr": "00 FF 00 FF 00 FF AA",
    "rcmp-tssit-ops-ii": "00 FF 00 FF 00 FF R",
    "itsg-06": "r ~1 R",
    "schneier-7": "FF 00 R R R R R",
    "gutmann-35": f"R R R R {{ {GUTMANN} }} R R R R",
    "pfitzner-7": " ".join(["R"] * 7),
    "pfitzner-33": " ".join(["R"] * 33),
    "ar-380-19": "R r ~2",
    "afssi-5020": "00 FF R",
    "navso-p-5239-26-rll": "FF E4FFFFFF R",
    "navso-p-5239-26-mfm": "FF FDFFFFFF R",
    "gost-r-50739-95": "00 R",
    "asd-ism": "R",
    "asd-ism-flash": "R R",
    "asd-ism-3": "R R R",
    "nnsa": "R R 00",
    "ncsc-tg-025": "r ~1 R",
    "nsa-130-2": "r r 00",
}
CHOSEN = {"asd-ism": "asd-ism-3"}
"""Standards of a program's name that choose another one for a drive as small as ours."""


def test_no_program_of_the_catalogue_is_missing_here() -> None:
    assert {program.name for program in PROGRAMS} == set(PASSES)


@pytest.mark.lab("root", "loop", "fuse")
@pytest.mark.parametrize("name", PASSES)
def test_a_program_writes_its_passes_and_nothing_else(tmp_path: Path, name: str) -> None:
    with fuse_drive(SIZE, records=True) as drive:
        ending = CommandLine(tmp_path).erase(drive, standard=name)
        requests = drive.recorded()
        assert ending.status == PASSED, ending
        certificate = ending.certificate
        notation = PASSES[CHOSEN.get(name, name)]
        markers, requests = split_markers(requests) if ends_constant(notation) else ([], requests)
        assert_markers(markers, certificate, ends_constant(notation))
        written = passes(requests, SIZE)
        words = in_order(notation, written)
        assert len(written) == len(words) == len(certificate["passes"])
        contents = [item.content() for item in written]  # a flush ended each, or there is none
        for index, word in enumerate(words):
            assert contents[index] == expected(word, contents, certificate["passes"][index]), f"pass {index + 1}"
        assert all(item.bytes_read_after < SIZE for item in written[:-1])
        assert written[-1].bytes_read_after >= SIZE
        assert drive.medium.read_bytes() == contents[-1]
    seeds = [item["pattern"]["seed"] for item in certificate["passes"] if "seed" in item["pattern"]]
    assert len(set(seeds)) == len(seeds) == words.count("R")
    bytes_written = ending.result["bytes_written"]
    assert bytes_written == len(words) * SIZE + sum(request.size for request in markers if request.kind is Kind.WRITE)


def ends_constant(notation: str) -> bool:
    """Whether what is read back last repeats, so that only markers can tell one address from another."""
    return notation.split()[-1] != "R"


def split_markers(requests: list[Request]) -> tuple[list[Request], list[Request]]:
    """What came up to the first flush after a write, and the rest."""
    first_write = next(at for at, request in enumerate(requests) if request.kind is Kind.WRITE)
    flush = next(at for at, request in enumerate(requests) if at > first_write and request.kind is Kind.FLUSH)
    return requests[: flush + 1], requests[flush + 1 :]


def assert_markers(requests: list[Request], certificate: dict[str, Any], needed: bool) -> None:
    """Distinct, at as many sectors as the certificate says, and everything else untouched."""
    if not needed:
        assert certificate["markers"] is None
        return
    snapshot = requests[-1].snapshot
    assert snapshot is not None
    found = snapshot.read_bytes()
    stream = model.aes_ctr(bytes.fromhex(certificate["markers"]["seed"]), SIZE)
    before = model.repeated(MARKER, SIZE)
    writes = [request for request in requests if request.kind is Kind.WRITE]
    for write in writes:
        place = slice(write.offset, write.offset + write.size)
        assert found[place] == stream[place]
    changed = model.differing_sectors(found, before, SECTOR)
    written = {at for write in writes for at in range(write.offset, write.offset + write.size, SECTOR)}
    assert set(changed) == written
    assert sum(write.size for write in writes) == len(written) * SECTOR
    assert certificate["markers"]["places"] == len(written) >= 100
    assert {0, SIZE - SECTOR} <= written


def in_order(notation: str, written: list[Pass]) -> list[str]:
    """The words of the notation, those in braces in the order in which they were found on the drive."""
    before, brace, rest = notation.partition("{")
    if not brace:
        return notation.split()
    shuffled, _, after = rest.partition("}")
    first = before.split()
    found = [
        shortest_period(item.content()).hex().upper()
        for item in written[len(first) : len(first) + len(shuffled.split())]
    ]
    assert sorted(found) == sorted(shuffled.split())
    assert found != shuffled.split(), "drawn in the very order of the paper: one chance in 10^27"
    return [*first, *found, *after.split()]


def shortest_period(content: bytes) -> bytes:
    """The one or three bytes that repeat."""
    return next(content[:length] for length in (1, 3) if content == model.repeated(content[:length], len(content)))


def expected(word: str, contents: list[bytes], certified: dict[str, Any]) -> bytes:
    """The whole drive after a pass, by its notation, what earlier passes wrote, and the seed that was published."""
    match word:
        case "R":
            assert certified["pattern"]["kind"] == "aes-256-ctr"
            return model.aes_ctr(bytes.fromhex(certified["pattern"]["seed"]), SIZE)
        case "r":
            assert len(certified["pattern"]["data"]) == 2
            return model.content(certified["pattern"], SIZE)
        case _ if word.startswith("~"):
            return contents[int(word[1:]) - 1].translate(bytes(range(255, -1, -1)))
        case _:
            return model.repeated(bytes.fromhex(word), SIZE)
