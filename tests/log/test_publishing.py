"""Signing a log that grows, and never one that was set back."""

from pathlib import Path

import pytest

from eraser.domain.log_entry import EntryKind, LogEntry
from eraser.errors import CertificateError
from eraser.ledger import log
from eraser.ledger.engine import sqlite_url
from eraser.ledger.store import Store, open_store
from eraser.log import note
from eraser.log.checkpoint import Withdrawals, parse_checkpoint
from eraser.log.errors import ForgedNoteError, RewrittenLogError, UnknownLogError
from eraser.log.publishing import OneKey, Publisher, checkpoint_of
from eraser.log.witnessing import Update, parse_update, shown, witness
from tests.log.keys import KeyInMemory

ORIGIN = "eraser/station-1"
NOW = "2027-01-01T00:00:00.000Z"


class Kept:
    """Outside, in memory; may lose what it is given."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.is_full = False

    def newest(self) -> bytes | None:
        return self.content

    def keep(self, content: bytes) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.content = content


class Plant:
    """A ledger with a log, its publisher, and what lies outside."""

    def __init__(self, store: Store, kept: Kept | None = None, key: int = 1) -> None:
        self.store = store
        self.kept = kept or Kept()
        self.signer = KeyInMemory(key)
        self.publisher = Publisher(store, ORIGIN, OneKey(ORIGIN, self.signer), self.kept, lambda: NOW)

    async def issue(self, *numbers: int, kind: EntryKind = EntryKind.CERTIFICATE) -> None:
        entries = [LogEntry(kind, f"c{number}", number.to_bytes(32, "big")) for number in numbers]
        await self.store.write(lambda connection: log.append(connection, entries))

    async def update(self, earlier: int) -> Update:
        """What a witness is shown of the newest checkpoint."""
        assert self.kept.content is not None
        text = self.kept.content.decode()
        size = parse_checkpoint(note.parse(self.kept.content).text).size
        proof = ()
        if 0 < earlier < size:
            proof = await self.store.read(lambda connection: log.tree(connection, size).consistency_proof(earlier))
        return parse_update(str(shown(earlier, proof, text)).encode())


@pytest.fixture
async def plant(tmp_path: Path):
    store = await open_store(sqlite_url(tmp_path / "ledger.db"))
    yield Plant(store)
    await store.close()


async def test_a_checkpoint_says_how_long_the_log_is_and_what_is_withdrawn(plant: Plant) -> None:
    await plant.issue(*range(300))
    await plant.issue(7, kind=EntryKind.WITHDRAWAL)
    checkpoint = await plant.publisher.publish()
    assert plant.kept.content is not None
    signed = note.parse(plant.kept.content)
    assert [item.key for item in note.confirm(signed, [plant.signer.key(ORIGIN)])] == [plant.signer.key(ORIGIN)]
    assert parse_checkpoint(signed.text) == checkpoint
    assert (checkpoint.size, checkpoint.withdrawn) == (301, Withdrawals.of(["c7"]))
    assert await plant.store.read(log.newest_checkpoint) == (301, NOW, plant.kept.content.decode())


async def test_an_empty_log_is_signed_too_and_grows_from_there(plant: Plant) -> None:
    assert (await plant.publisher.publish()).size == 0
    await plant.issue(1)
    assert (await plant.publisher.publish()).size == 1
    assert (await plant.publisher.publish()).size == 1


async def restored(tmp_path: Path, kept: Kept, *numbers: int) -> Plant:
    """Another ledger, before what lies outside."""
    plant = Plant(await open_store(sqlite_url(tmp_path / "restored.db")), kept)
    await plant.issue(*numbers)
    return plant


@pytest.mark.parametrize("numbers", [(1, 2), (1, 2, 9), (1, 2, 9, 4, 5)])
async def test_a_ledger_restored_from_an_older_backup_is_not_signed(
    plant: Plant, tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    await plant.issue(1, 2, 3)
    await plant.publisher.publish()
    before = plant.kept.content
    again = await restored(tmp_path, plant.kept, *numbers)
    with pytest.raises(RewrittenLogError, match="does not continue"):
        await again.publisher.publish()
    assert plant.kept.content == before
    assert await again.store.read(log.newest_checkpoint) is None
    await again.store.close()


async def test_a_restored_ledger_that_has_everything_is_signed(plant: Plant, tmp_path: Path) -> None:
    await plant.issue(1, 2, 3)
    await plant.publisher.publish()
    again = await restored(tmp_path, plant.kept, 1, 2, 3, 4)
    assert (await again.publisher.publish()).size == 4
    await again.store.close()


async def test_what_lies_outside_must_be_ours(plant: Plant) -> None:
    await plant.issue(1)
    await plant.publisher.publish()
    other = Plant(plant.store, plant.kept, key=2)
    with pytest.raises(UnknownLogError):
        await other.publisher.publish()
    assert plant.kept.content is not None
    plant.kept.content = plant.kept.content.replace(b"\n1\n", b"\n0\n")
    with pytest.raises(ForgedNoteError):
        await plant.publisher.publish()


async def test_a_checkpoint_that_could_not_be_kept_outside_is_not_told(plant: Plant) -> None:
    await plant.issue(1)
    plant.kept.is_full = True
    with pytest.raises(OSError, match="No space"):
        await plant.publisher.publish()
    assert await plant.store.read(log.newest_checkpoint) is None


# ---- witnesses


async def test_a_witness_signs_what_continues_what_it_knows(plant: Plant) -> None:
    known = seen = None
    for size in (1, 2, 300):
        await plant.issue(*range(known.size if known else 0, size))
        await plant.publisher.publish()
        update = await plant.update(known.size if known else 0)
        signed, known = witness(update, seen, [plant.signer.key(ORIGIN)], "w.example", KeyInMemory(5), 1_800_000_000)
        assert known.size == size
        seen = signed
        kinds = [item.at for item in note.confirm(signed, [plant.signer.key(ORIGIN), witness_key()])]
        assert kinds == [None, 1_800_000_000]


def witness_key() -> note.NoteKey:
    return KeyInMemory(5).key("w.example", note.SignatureType.COSIGNATURE_V1)


async def test_a_witness_signs_no_other_history(plant: Plant, tmp_path: Path) -> None:
    await plant.issue(1, 2, 3)
    await plant.publisher.publish()
    assert plant.kept.content is not None
    seen = note.parse(plant.kept.content)
    forked = await restored(tmp_path, Kept(), 1, 2, 4, 5)
    await forked.publisher.publish()
    update = await forked.update(3)
    with pytest.raises(RewrittenLogError):
        witness(update, seen, [plant.signer.key(ORIGIN)], "w.example", KeyInMemory(5), 1)
    await forked.store.close()


@pytest.mark.parametrize("earlier", [0, 1, 2])
async def test_a_proof_from_elsewhere_is_sent_back_with_what_to_ask_for(plant: Plant, earlier: int) -> None:
    await plant.issue(1, 2, 3, 4)
    await plant.publisher.publish()
    known = await plant.store.read(lambda connection: checkpoint_of(ORIGIN, connection, 3))
    seen = note.sign(known.text(), ORIGIN, plant.signer)
    with pytest.raises(RewrittenLogError, match="from 3"):
        update = await plant.update(earlier)
        witness(update, seen, [plant.signer.key(ORIGIN)], "w.example", KeyInMemory(5), 1)


async def test_a_witness_signs_only_for_the_log_whose_key_it_was_given(plant: Plant) -> None:
    await plant.issue(1)
    await plant.publisher.publish()
    update = await plant.update(0)
    with pytest.raises(UnknownLogError):
        witness(update, None, [KeyInMemory(9).key(ORIGIN)], "w.example", KeyInMemory(5), 1)


@pytest.mark.parametrize("content", [b"", b"old 1\n", b"old -1\n\nx", b"new 1\n\nx", b"old 1\nAAAA\n\nx", b"\xff\n\n"])
def test_what_is_no_update_is_refused(content: bytes) -> None:
    with pytest.raises(CertificateError):
        parse_update(content)
