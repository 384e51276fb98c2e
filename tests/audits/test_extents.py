"""Single extents of a sampled drive: read again, hashed, and held against the leaves that the station keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from eraser.certificates.content import content
from eraser.certificates.envelope import unseal
from eraser.domain.chosen_extents import MOST_CHOSEN, choose, leaves_of
from eraser.domain.evidence import Extent, HashTree
from eraser.domain.merkle import root
from tests.audits.plants import NONCE, Plant, answer, said
from tests.cli.command import Command
from tests.lab import LoopDrive, loop_drive

MIB = 1 << 20
SIZE = 96 * MIB + 512 * 1024
EXTENTS = 97
"""Of 1 MiB; the last is short."""


@dataclass
class Erased:
    """A drive with its certificate in the log, and the leaves of 1 MiB beside it."""

    plant: Plant
    drive: LoopDrive
    leaves: Path
    plan: Path

    def run(self, *options: object) -> dict[str, Any]:
        """The drive's reading, with the audit's result in it."""
        done = self.plant.run(self.plan, "--drive", self.drive.device, *options)
        assert done.exit_code in (0, 4), done.output or done.exception
        found = answer(done)
        record = json.loads(Path(found["record"]).read_bytes())["audit"]
        return {**record["items"][0]["drive"], "audit": found["result"]}

    def damage(self, place: int) -> None:
        """One byte of the drive is another one."""
        with self.drive.device.open("r+b", buffering=0) as file:
            before = os.pread(file.fileno(), 1, place)
            os.pwrite(file.fileno(), bytes([before[0] ^ 1]), place)
            os.fsync(file.fileno())


@pytest.fixture
def erased(tmp_path: Path) -> Iterator[Erased]:
    plant, command = Plant(tmp_path), Command(tmp_path)
    (tmp_path / "data" / "eraser").symlink_to(plant.data)
    with loop_drive(SIZE) as drive:
        path = command.erase(drive.device, "--standard", "random")
        whole = drive.device.read_bytes()
        hashes = [blake3(whole[place : place + MIB]).digest() for place in range(0, SIZE, MIB)]
        certificate = content(unseal(path.read_bytes()))
        assert certificate.final_verification is not None and len(hashes) == EXTENTS
        # The station's extents are of 1 GiB: too many for a test, so this one's certificate says smaller ones.
        final = replace(certificate.final_verification, hash_tree=HashTree(MIB, len(hashes), root(hashes)))
        plant.file(replace(certificate, final_verification=final), plant.certificates / "one.json")
        leaves = plant.certificates / f"{certificate.job_id}.leaves"
        leaves.write_bytes(b"".join(hashes))
        plant.publish()
        plan, day = tmp_path / "plan", certificate.issued_at[:10]
        words = ("plan", "--from", day, "--to", day, "--aql", "0.65", "--nonce", NONCE, "--out", plan)
        assert plant(*words).exit_code == 0
        yield Erased(plant, drive, leaves, plan)


@pytest.mark.lab("root", "loop", "openssl")
def test_the_chosen_extents_alone_are_read_and_a_difference_in_one_of_them_is_found(erased: Erased) -> None:
    good = erased.run()
    chosen = good["extents"]["chosen"]
    assert (good["result"], good["audit"], good["sampling"]) == ("drive-holds", "accepted", None)
    assert (good["extents"]["extents"], len(set(chosen)), good["extents"]["differing"]) == (EXTENTS, MOST_CHOSEN, [])
    read = sum(SIZE - number * MIB if number == EXTENTS - 1 else MIB for number in chosen)
    assert good["bytes_read"] == read < SIZE
    assert good["independent_places"] == 16 and good["independent_reader"].startswith("dd, cmp")

    unread = min(set(range(EXTENTS)) - set(chosen))
    erased.damage(unread * MIB + 5)
    assert erased.run()["result"] == "drive-holds", "the same extents, and that one is not among them"
    erased.damage(chosen[7] * MIB + 123)
    bad = erased.run()
    assert (bad["result"], bad["audit"]) == ("drive-differs", "rejected")
    assert bad["extents"]["differing"] == [chosen[7]]


@pytest.mark.lab("root", "loop", "openssl")
def test_leaves_that_are_not_the_certificates_are_refused_and_without_leaves_the_samples_are_read(
    erased: Erased,
) -> None:
    whole = erased.leaves.read_bytes()
    erased.leaves.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = erased.plant.run(erased.plan, "--drive", erased.drive.device)
    assert "altered" in said(done) and "not those whose root it has" in said(done)
    assert erased.run("--read", "sampled")["result"] == "drive-holds", "they are not asked for"
    erased.leaves.unlink()
    read = erased.run()
    assert read["result"] == "drive-holds" and read["sampling"] is not None and "extents" not in read


def a_tree(count: int) -> tuple[HashTree, tuple[bytes, ...]]:
    leaves = tuple(number.to_bytes(32, "big") for number in range(count))
    return HashTree(MIB, count, root(leaves)), leaves


@given(st.integers(1, 400), st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 399), max_size=9))
def test_extents_with_a_listed_bad_place_are_never_chosen(count: int, seed: bytes, bad: list[int]) -> None:
    tree, leaves = a_tree(count)
    places = [Extent(number * MIB + 5, 7) for number in bad]
    chosen = choose(tree, leaves, count * MIB, places, seed)
    good = set(range(count)) - set(bad)
    assert set(chosen.numbers) <= good and len(chosen.numbers) == min(MOST_CHOSEN, len(good))
    assert choose(tree, leaves, count * MIB, places, seed) == chosen


def test_what_was_not_read_counts_as_differing_and_the_bound_is_five_percent() -> None:
    tree, leaves = a_tree(20_000)
    chosen = choose(tree, leaves, 20_000 * MIB, (), bytes(32))
    good = [leaves[number] for number in chosen.numbers]
    assert chosen.reading(good).differing == ()
    assert chosen.reading(good).most_differing_ppm <= 50_000
    assert chosen.reading(good[:-1]).differing == chosen.numbers[-1:]
    assert chosen.reading([]).differing == chosen.numbers


def test_leaves_count_only_where_they_give_the_root_of_a_drive_of_this_size() -> None:
    tree, leaves = a_tree(7)
    whole = b"".join(leaves)
    assert leaves_of(whole, tree, 7 * MIB) == leaves
    assert leaves_of(whole, tree, 6 * MIB + 1) == leaves
    for wrong in (whole[:-32], whole[:-1], whole + bytes(32), whole[32:] + whole[:32], b""):
        assert leaves_of(wrong, tree, 7 * MIB) is None
    assert leaves_of(whole, tree, 7 * MIB + 1) is None
