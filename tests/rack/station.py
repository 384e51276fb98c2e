"""A job run by the Python API, in this process: for tests that need many runs, or a tuning that no option reaches."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from eraser.certificates.issuer import StationIssuer
from eraser.cli.station import now_utc
from eraser.engine.tuning import tuning_for
from eraser.ledger.journal import FileJournal
from eraser.rack.erasing import Erasing, Request, Result, Station, prepare
from eraser.rack.filing import JournalOfFiles


def station(home: Path, **tuning: Any) -> Station:
    """A station that keeps all it has under `home`; `tuning` names fields of the engine's tuning."""
    return Station(
        journal=JournalOfFiles(FileJournal(home / "journal", now_utc)),
        issue=StationIssuer(home / "certificates", home / "keys", now_utc=now_utc, new_id=_new_id),
        now_utc=now_utc,
        random_bytes=os.urandom,
        new_id=_new_id,
        # Small blocks, so that small drives have many of them and checkpoints may lie close together.
        tune=lambda drive: replace(tuning_for(drive), **{"block_bytes": 256 << 10, "queue_depth": 4, **tuning}),
    )


def _new_id() -> str:
    return uuid.uuid4().hex


def erase(at: Station, device: Path, standard: str) -> tuple[Result, dict[str, Any]]:
    """One drive, to its end: how it ended, and what its certificate says."""
    prepared = prepare(str(device), Request(standard), at.random_bytes)
    result = asyncio.run(Erasing(at, str(device)).begin(prepared))
    assert result.certificate is not None, result
    certificate: dict[str, Any] = json.loads(result.certificate.read_text())["certificate"]
    return result, certificate
