"""A station's folder with certificates in its log, and an auditor who brings along what they were given."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from sqlalchemy import insert

from eraser.certificates.envelope import seal
from eraser.certificates.keys import FileSigner, open_signer
from eraser.certificates.log_keys import StationLogKeys
from eraser.cli.audit import audit_group
from eraser.cli.log import log_group
from eraser.domain.certificate import Certificate
from eraser.domain.json_form import to_json
from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.ledger import log
from eraser.ledger.engine import sqlite_url
from eraser.ledger.schema import certificates, jobs
from eraser.ledger.store import open_store
from eraser.rack.ledger_health import LedgerHealth
from eraser.rack.log_keeping import LogFolder, LogKeeper
from tests.certificates.plant import certificate_of, entry_of

NONCE = "0123456789abcdef" * 2
DAYS = ("--from", "2026-11-01", "--to", "2026-11-30")
CHECKPOINTED = "2026-12-01T00:00:00.000Z"


def id_of(number: int) -> str:
    return f"{number:032x}"


class Plant:
    """`data` is the station's folder. What is issued is in the log with the next `publish`."""

    def __init__(self, folder: Path, like: Plant | None = None) -> None:
        """A new one, or a copy."""
        self.folder = folder
        self.data = folder / "data"
        self.checkpoints = 0
        if like is not None:
            shutil.copytree(like.data, self.data)
        self.data.mkdir(exist_ok=True)
        self.signer: FileSigner = open_signer(self.data / "keys")
        self.certificates = self.data / "certificates"
        self.certificates.mkdir(exist_ok=True)
        self._due: list[tuple[LogEntry, Certificate | None]] = []

    def path(self, number: int) -> Path:
        return self.certificates / f"{id_of(number)}.json"

    def issue(self, *numbers: int, signer: FileSigner | None = None, **changes: Any) -> None:
        """Certificates of drives of their own, on the 24th of November 2026 where nothing else is said."""
        for number in numbers:
            certificate = certificate_of(id_of(number), f"S{number}", **changes)
            self.file(certificate, self.path(number), signer)

    def file(self, certificate: Certificate, path: Path, signer: FileSigner | None = None) -> None:
        document = seal(to_json(certificate), signer or self.signer)
        path.write_bytes(document)
        self._due.append((entry_of(document), certificate))

    def adopt(self, path: Path) -> None:
        """A certificate that `eraser erase` made."""
        shutil.copy(path, self.certificates)
        self._due.append((entry_of(path.read_bytes()), None))

    def withdraw(self, number: int) -> None:
        self._due.append((LogEntry(EntryKind.WITHDRAWAL, id_of(number), bytes(32)), None))

    def publish(self, at: str = CHECKPOINTED) -> Path:
        """Signs a checkpoint over all that was issued, and gives a copy of it."""
        due, self._due = self._due, []
        asyncio.run(self._publish(due, at))
        self.checkpoints += 1
        kept = self.folder / f"checkpoint-{self.checkpoints}"
        shutil.copy(self.data / "log" / "checkpoint", kept)
        return kept

    async def _publish(self, due: Sequence[tuple[LogEntry, Certificate | None]], at: str) -> None:
        store = await open_store(sqlite_url(self.data / "ledger.db"))
        if due:
            await store.write(lambda connection: log.append(connection, [entry for entry, _ in due]))
        for entry, certificate in due:
            if certificate is not None:
                await store.insert(insert(jobs), _job_row(certificate))
                row = {"certificate_id": entry.subject, "job_id": certificate.job_id, "digest": entry.digest}
                await store.insert(insert(certificates), row)
        health = LedgerHealth()
        keys = StationLogKeys(self.data / "keys" / "log", "eraser/hall-2")
        keeper = LogKeeper(store, "eraser/hall-2", keys, LogFolder(self.data / "log"), lambda: at, health)
        await keeper.look()
        await store.close()
        assert health.log_problem == ""

    def __call__(self, *arguments: object, home: Path | None = None, group: Any = audit_group) -> Result:
        """`eraser audit ...` at the station, or with another home."""
        environ = {"XDG_DATA_HOME": str(home or self.folder / "nowhere")}
        words = [str(item) for item in arguments]
        if home is None and words[0] != "--help":
            words += ["--data", str(self.data)]
        return CliRunner().invoke(group, words, env=environ)

    def plan(self, *options: object, nonce: str = NONCE, path: str = "plan") -> Path:
        target = self.folder / path
        done = self("plan", *DAYS, *(options or ("--aql", "0.65")), "--nonce", nonce, "--out", target)
        assert done.exit_code == 0, done.output or done.exception
        return target

    def run(self, plan: Path, *options: object) -> Result:
        return self("run", plan, "--auditor", "auditor-1", "--json", *options)


class Auditor:
    """Elsewhere, without the plant's ledger: with copies of what was asked for."""

    def __init__(self, plant: Plant, name: str = "auditor") -> None:
        self.plant = plant
        self.home = plant.folder / name
        self.home.mkdir()
        self.keys = self.home / "plant.pem"
        self.keys.write_bytes(plant.signer.public.pem())
        self.log_key = self.home / "plant.log.key"
        shutil.copy(plant.data / "log" / "key", self.log_key)
        self.checkpoint = self.home / "checkpoint"
        shutil.copy(plant.data / "log" / "checkpoint", self.checkpoint)
        self.entries = self.home / "entries"
        self.entries.write_text(plant("entries", group=log_group).stdout)
        self.documents = self.home / "documents"
        shutil.copytree(plant.certificates, self.documents)

    def with_entries(self) -> list[object]:
        return ["--log-key", self.log_key, "--documents", self.documents, "--entries", self.entries]

    def with_bundles(self) -> list[object]:
        bundles = self.home / "bundles"
        files = sorted(self.documents.glob("*.json"))
        done = self.plant("bundle", *files, "--to", bundles, group=log_group)
        assert done.exit_code == 0, done.output
        return ["--log-key", self.log_key, "--documents", bundles]

    def plan(self, sources: Sequence[object], *options: object) -> Path:
        target = self.home / "plan"
        words = ("plan", *DAYS, *(options or ("--aql", "0.65")), "--nonce", NONCE, "--checkpoint", self.checkpoint)
        done = self.plant(*words, "--out", target, *sources, home=self.home)
        assert done.exit_code == 0, done.output or done.exception
        return target

    def run(self, plan: Path, sources: Sequence[object], *options: object) -> Result:
        words = ("run", plan, "--auditor", "auditor-1", "--json", "--keys", self.keys, *sources, *options)
        return self.plant(*words, home=self.home)


def answer(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def said(done: Result) -> str:
    """What a refusal said: `main` prints it, here it is still an exception."""
    assert done.exception is not None
    return f"{getattr(done.exception, 'code', '')}: {done.exception}"


def sampled(plan: Path) -> list[int]:
    """Numbers of the certificates that a plan drew."""
    return [int(item["certificate_id"], 16) for item in json.loads(plan.read_bytes())["sample"]]


def _job_row(certificate: Certificate) -> dict[str, Any]:
    return {
        "job_id": certificate.job_id,
        "is_open": False,
        "outcome": certificate.outcome.value,
        "serial": certificate.drive.identity.serial,
        "world_wide_name": certificate.drive.identity.wwn,
    }
