"""A job that is finished and has no certificate yet: the paper follows later, once, and loses nothing."""

from __future__ import annotations

import asyncio
import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from eraser.certificates.issuer import Issued, StationIssuer
from eraser.domain import merkle
from eraser.domain.job import JobState
from eraser.rack.erasing import Ended, Erasing, Request, Station, prepare, resumable
from tests.lab import image_drive
from tests.rack.station import station

SIZE = 1 << 20


class FullDisk:
    """An issuer whose folder takes hashes and no certificate."""

    def __init__(self, issuer: StationIssuer) -> None:
        self.keep_hashes = issuer.keep_hashes

    def __call__(self, state: JobState) -> Issued:
        raise OSError(errno.ENOSPC, "No space left on device")


def open_states(at: Station) -> list[JobState]:
    return asyncio.run(at.journal.open_states())


def erased_without_paper(at: Station, image: Path) -> None:
    full = replace(at, issue=FullDisk(at.issue))  # type: ignore[arg-type]
    erasing = Erasing(full, str(image))
    with pytest.raises(OSError, match="No space"):
        asyncio.run(erasing.begin(prepare(str(image), Request("random"), at.random_bytes)))


def test_it_is_issued_later_with_the_hashes_that_were_read_then(tmp_path: Path) -> None:
    at = station(tmp_path)
    with image_drive(SIZE) as image:
        erased_without_paper(at, image)
        ((state, drive),) = resumable(open_states(at))
        result = asyncio.run(Erasing(at, str(image)).take_up(state, drive))
    assert result.outcome is Ended.PASSED and result.certificate is not None
    (leaves,) = (tmp_path / "certificates").glob("*.leaves")
    assert leaves.stem == state.job_id and state.final_verification is not None
    tree = state.final_verification.hash_tree
    content = leaves.read_bytes()
    assert tree is not None
    assert merkle.root([content[i : i + 32] for i in range(0, len(content), 32)]) == tree.root


def test_it_needs_no_drive(tmp_path: Path) -> None:
    at = station(tmp_path)
    with image_drive(SIZE) as image:
        erased_without_paper(at, image)
    ((state, drive),) = resumable(open_states(at))
    result = asyncio.run(Erasing(at, str(image)).take_up(state, drive))
    assert result.outcome is Ended.PASSED and result.certificate is not None
    assert open_states(at) == []
    assert resumable(open_states(at)) == []


def test_it_tells_when_the_job_ended_and_not_when_it_was_issued(tmp_path: Path) -> None:
    at = station(tmp_path)
    with image_drive(SIZE) as image:
        erased_without_paper(at, image)
    ((state, drive),) = resumable(open_states(at))
    later = "2099-01-01T00:00:00.000Z"
    issuer = StationIssuer(tmp_path / "certificates", tmp_path / "keys", now_utc=lambda: later, new_id=at.new_id)
    result = asyncio.run(Erasing(replace(at, issue=issuer), str(image)).take_up(state, drive))
    assert result.certificate is not None
    certificate = json.loads(result.certificate.read_text())["certificate"]
    assert certificate["issued_at"] == later
    assert certificate["times"]["started_at"] <= certificate["times"]["finished_at"] == state.finished_at < "2099"
