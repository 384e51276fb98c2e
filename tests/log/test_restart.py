"""A log that lost entries: it signs nothing, until it says aloud what is gone."""

from functools import partial
from pathlib import Path

import pytest

from eraser.domain.log_entry import EntryKind
from eraser.domain.merkle import is_consistent
from eraser.errors import CertificateError, Refused
from eraser.ledger import log
from eraser.ledger.engine import open_engine, sqlite_url
from eraser.ledger.store import open_store
from eraser.log import note
from eraser.log.checkpoint import parse_checkpoint
from eraser.log.errors import ForgedNoteError, NoteError, RewrittenLogError, UnknownLogError
from eraser.log.gate import SigningGate, SigningSuspended
from eraser.log.publishing import OneKey, checkpoint_of
from eraser.log.restart import Restart, confirmed, parse_restart
from eraser.log.restarting import Restarting
from eraser.log.witnessing import witness
from tests.ledger.conftest import new_postgresql, postgresql, postgresql_server  # noqa: F401
from tests.log.keys import KeyInMemory
from tests.log.test_publishing import NOW, ORIGIN, Kept, Plant, restored, witness_key

KEY = KeyInMemory(1).key(ORIGIN)


class Records:
    """Of restarts, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def restart(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def keep_restart(self, name: str, content: bytes) -> None:
        self.kept[name] = content


@pytest.fixture
async def plant(tmp_path: Path):
    """A log of five entries, each signed for; its ledger is then one from a backup made after the third."""
    store = await open_store(sqlite_url(tmp_path / "ledger.db"))
    before = Plant(store)
    await before.issue(1, 2, 3, 4, 5)
    await before.publisher.publish()
    await store.close()
    after = await restored(tmp_path, before.kept, 1, 2, 3)
    yield after
    await after.store.close()


def restarting(plant: Plant, records: Records) -> Restarting:
    return Restarting(plant.store.engine, ORIGIN, OneKey(ORIGIN, plant.signer), plant.kept, records, lambda: NOW)


def signed_last(kept: Kept):
    assert kept.content is not None
    return parse_checkpoint(note.parse(kept.content).text)


async def test_a_restart_names_the_gap_and_the_log_signs_again(plant: Plant) -> None:
    lost, records = signed_last(plant.kept), Records()
    with pytest.raises(RewrittenLogError):
        await plant.publisher.publish()
    record = restarting(plant, records)("the disk died", "operator-7")
    assert (record.lost_size, record.lost_root, record.resumed_size) == (5, lost.root, 3)
    assert "entries 3 to 4 were lost" in record.sentence()
    assert confirmed(records.kept[record.name], (KEY,)) == record
    entry = await plant.store.read(partial(log.entry_at, index=3))
    assert (entry.kind, entry.subject) == (EntryKind.RESTART, record.name)
    assert signed_last(plant.kept).size == 4
    await plant.issue(6)
    assert (await plant.publisher.publish()).size == 5
    assert list(await plant.store.read(lambda connection: list(log.disagreements(connection)))) == []


async def test_the_new_log_begins_with_what_the_record_says(plant: Plant) -> None:
    record = restarting(plant, Records())("the disk died", "operator-7")
    now = await plant.store.read(partial(checkpoint_of, ORIGIN))
    proof = await plant.store.read(lambda connection: log.tree(connection).consistency_proof(3))
    assert is_consistent(3, record.resumed_root, now.size, now.root, proof)


async def test_a_log_that_lost_nothing_is_not_restarted(plant: Plant) -> None:
    await plant.issue(4, 5)
    before = plant.kept.content
    with pytest.raises(Refused, match="nothing to restart"):
        restarting(plant, Records())("a whim", "operator-7")
    assert plant.kept.content == before
    assert await plant.store.read(log.size) == 5


async def test_a_checkpoint_outside_that_is_gone_closes_the_log_too(plant: Plant) -> None:
    restarting(plant, Records())("the disk died", "operator-7")
    plant.kept.content = None
    with pytest.raises(RewrittenLogError, match="is gone"):
        await plant.publisher.publish()
    record = restarting(plant, Records())("the folder was emptied", "operator-7")
    assert record.lost_size == 4
    assert (await plant.publisher.publish()).size == 5


class Dies(Exception):
    """The power."""


@pytest.mark.parametrize("step", ["keep_restart", "append", "keep", "put_checkpoint"])
async def test_a_restart_that_was_cut_off_is_gone_on_with(
    plant: Plant, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, lost = Records(), signed_last(plant.kept)

    def die(*_: object, **__: object) -> None:
        raise Dies

    with monkeypatch.context() as patch:
        where = {"keep_restart": records, "keep": plant.kept}.get(step, log)
        patch.setattr(where, step, die)
        with pytest.raises(Dies):
            restarting(plant, records)("the disk died", "operator-7")
    if step != "put_checkpoint":
        assert signed_last(plant.kept) == lost
        with pytest.raises(RewrittenLogError):
            await plant.publisher.publish()
        record = restarting(plant, records)("the disk died", "operator-7")
        assert record.entry() == await plant.store.read(partial(log.entry_at, index=3))
        assert len(records.kept) == 1
    assert await plant.store.read(log.size) == 4
    assert (await plant.publisher.publish()).size == 4


# ---- the record


def a_record(**changed: object) -> Restart:
    usual = {"lost_size": 5, "lost_root": bytes(32), "resumed_size": 3, "resumed_root": bytes(31) + b"\1"}
    said = {"at": NOW, "operator": "operator-7", "reason": "the disk died"}
    return Restart(**{"origin": ORIGIN, **usual, **said, **changed})


def signed(record: Restart, key: int = 1) -> bytes:
    return str(note.sign(record.text(), record.origin, KeyInMemory(key))).encode()


def test_a_record_reads_back() -> None:
    assert parse_restart(signed(a_record()))[0] == a_record()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (signed(a_record(), key=2), UnknownLogError),
        (signed(a_record()).replace(b"lost 5", b"lost 4"), ForgedNoteError),
        (signed(a_record()).replace(b"reason the disk", b"reason no disk"), ForgedNoteError),
        (signed(a_record()).replace(b"resumed", b"resume"), NoteError),
        (signed(a_record()).replace(b" v1", b" v2", 1), NoteError),
        (signed(a_record(origin="eraser/another")), UnknownLogError),
        (b"eraser log restart v1\n", NoteError),
    ],
)
def test_a_record_that_the_log_did_not_sign_is_refused(content: bytes, error: type[CertificateError]) -> None:
    with pytest.raises(error):
        confirmed(content, (KEY,))


async def test_a_checkpoint_is_no_record_and_a_record_no_checkpoint(plant: Plant) -> None:
    assert plant.kept.content is not None
    with pytest.raises(NoteError):
        parse_restart(plant.kept.content)
    with pytest.raises(NoteError):
        parse_checkpoint(note.parse(signed(a_record())).text)


@pytest.mark.parametrize("said", ["", "  \n ", "x" * 501])
async def test_a_restart_without_a_reason_is_refused(plant: Plant, said: str) -> None:
    with pytest.raises(NoteError):
        restarting(plant, Records())(said, "operator-7")


# ---- witnesses


async def test_a_witness_follows_a_restart_only_with_its_record(plant: Plant) -> None:
    known = note.parse(plant.kept.content or b"")
    record = restarting(plant, Records())("the disk died", "operator-7")
    update = await plant.update(3)
    with pytest.raises(RewrittenLogError):
        witness(update, known, [KEY], "w.example", KeyInMemory(5), 1)
    cosigned, new = witness(update, known, [KEY], "w.example", KeyInMemory(5), 1, record)
    assert new.size == 4
    assert [item.at for item in note.confirm(cosigned, [KEY, witness_key()])] == [None, 1]


async def test_a_witness_takes_no_record_of_something_else(plant: Plant) -> None:
    known = note.parse(plant.kept.content or b"")
    record = restarting(plant, Records())("the disk died", "operator-7")
    update = await plant.update(3)
    for changed in ({"lost_root": bytes(32)}, {"lost_size": 4}, {"resumed_size": 2}, {"resumed_root": bytes(32)}):
        other = Restart(**{**{name: getattr(record, name) for name in Restart.__slots__}, **changed})
        with pytest.raises(RewrittenLogError):
            witness(update, known, [KEY], "w.example", KeyInMemory(5), 1, other)


# ---- the gate


def test_nothing_is_signed_before_somebody_has_looked() -> None:
    gate = SigningGate()
    with pytest.raises(SigningSuspended, match="not been looked at"):
        gate.expect_open()
    gate.open()
    gate.expect_open()
    gate.close("it was rewritten")
    with pytest.raises(SigningSuspended, match="it was rewritten"):
        gate.expect_open()


async def test_a_restart_is_the_same_on_either_database(postgresql: str) -> None:  # noqa: F811
    before = Plant(await open_store(postgresql))
    await before.issue(1, 2, 3)
    kept = Kept()
    kept.content = str(note.sign(a_checkpoint(7), ORIGIN, KeyInMemory(1))).encode()
    after = Plant(before.store, kept)
    with pytest.raises(RewrittenLogError):
        await after.publisher.publish()
    engine = open_engine(postgresql)
    record = Restarting(engine, ORIGIN, OneKey(ORIGIN, after.signer), kept, Records(), lambda: NOW)(
        "the disk died", "operator-7"
    )
    engine.dispose()
    assert (record.lost_size, record.resumed_size, signed_last(kept).size) == (7, 3, 4)
    assert (await after.publisher.publish()).size == 4
    await before.store.close()


def a_checkpoint(size: int) -> str:
    from eraser.log.checkpoint import Checkpoint, Withdrawals

    return Checkpoint(ORIGIN, size, bytes(32), Withdrawals.of(())).text()
