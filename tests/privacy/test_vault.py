"""Details go in sealed, come out for a logged reason, and are nowhere else."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from eraser.domain.commitment import CustomerDetails, is_committed, receipt_key
from eraser.domain.custody import CustodyRecord, DriveName, HandedOver
from eraser.domain.drive import Identity, SerialSource
from eraser.domain.printable import is_printable
from eraser.errors import EraserError, JournalError, Refused, UsageError
from eraser.ledger import vault as rows
from eraser.ledger.engine import open_engine
from eraser.ledger.schema import APPEND_ONLY, custody
from eraser.ledger.vault import Action
from eraser.privacy.errors import VaultAlteredError, VaultDestroyedError, VaultError, VaultKeyError
from eraser.privacy.vault import Scope
from tests.ledger.tampering import tamper
from tests.privacy.builders import ANNA, IDENTITY, NAME, UNTIL, WANG, Plant

# Between marks that nothing else has, so that what is found is a detail and no number of ours.
_TEXTS = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(is_printable).map("q\u00a7{}\u00a7q".format)
)
DETAILS = st.builds(CustomerDetails, *(_TEXTS,) * 6)
few = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def dump(url: str) -> bytes:
    """All rows of all tables."""
    engine = open_engine(url)
    with engine.connect() as connection:
        names = [*APPEND_ONLY, "jobs", "stations"]
        found = [tuple(row) for name in names for row in connection.execute(text(f"SELECT * FROM {name}"))]
    engine.dispose()
    return b"\n".join(item if isinstance(item, bytes) else str(item).encode() for row in found for item in row)


def parts(details: CustomerDetails) -> list[bytes]:
    return [value.encode() for value in details.values() if value]


# ---- in and out


def test_what_is_put_in_comes_out(plant: Plant) -> None:
    first, second = plant.add(WANG), plant.add(ANNA, serial="S1")
    assert plant.read(first) == WANG
    assert plant.read(second) == ANNA


def test_a_correction_is_a_new_version_and_the_newest_counts(plant: Plant) -> None:
    record_id = plant.add(WANG)
    with plant.vault() as vault:
        assert vault.change(record_id, replace(WANG, phone="139 9999"), "clerk", "number was wrong") == 2
        assert vault.read(record_id, "clerk", "called back").phone == "139 9999"
        assert [item.version for item in vault.stored()] == [2]


def test_the_same_drives_have_one_customer(plant: Plant) -> None:
    plant.add(WANG, serial="S1")
    with pytest.raises(Refused, match="customer already") as refused:
        plant.add(ANNA, serial="S1")
    assert "Wang" not in str(refused.value)
    plant.add(ANNA, serial="S2")
    plant.add(ANNA)
    plant.add(ANNA, lot="lot-2", serial="S1")


def test_a_refused_customer_leaves_no_key(small_plant: Plant) -> None:
    first = small_plant.add(WANG)
    with small_plant.vault() as vault:
        with pytest.raises(Refused):
            vault.add(Scope("lot-1"), ANNA, "clerk", UNTIL)
        with pytest.raises(UsageError, match="no such lot"):
            vault.add(Scope("lot-9"), ANNA, "clerk", UNTIL)
        assert vault.keys.record_ids("lot-1") == (first,)
        assert vault.keys.lot_ids() == ("lot-1",)


def test_a_lot_that_nobody_described_and_drives_came_with_has_customers_too(plant: Plant) -> None:
    plant.receive(lot="walk-in")
    assert plant.read(plant.add(ANNA, lot="walk-in")) == ANNA


def test_a_record_that_is_not_there_is_named_as_such(small_plant: Plant) -> None:
    with small_plant.vault() as vault, pytest.raises(UsageError, match="no such record"):
        vault.read("0" * 32, "clerk", "called back")


# ---- who looked


def test_each_read_is_logged_with_who_when_why_and_which(small_plant: Plant) -> None:
    record_id = small_plant.add()
    with small_plant.vault() as vault:
        small_plant.now = "2027-03-04T05:06:07.000Z"
        vault.read(record_id, "li", "invoice returned")
        entry = vault.log(record_id=record_id)[-1]
    found = (entry.at, entry.operator, entry.action, entry.reason, entry.lot_id, entry.record_id)
    assert found == ("2027-03-04T05:06:07.000Z", "li", Action.READ, "invoice returned", "lot-1", record_id)


def test_the_log_has_it_before_anything_is_given(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    record_id = plant.add()

    def full_disk(*_: object) -> None:
        raise JournalError("the disk is full")

    with plant.vault() as vault:
        receipt_before = len(vault.log())
        monkeypatch.setattr(rows, "note", full_disk)
        for take_out in (
            lambda: vault.read(record_id, "li", "why"),
            lambda: vault.export([record_id], "li", "why"),
            lambda: vault.receipt(record_id, "S1", "li", "why"),
            lambda: vault.find("王", "li", "why"),
        ):
            with pytest.raises(JournalError, match="full"):
                take_out()
        assert len(vault.log()) == receipt_before


@pytest.mark.parametrize("reason", ["", "  ", "\t", "x" * 501, "a\nb"])
def test_without_a_reason_nothing_is_given(small_plant: Plant, reason: str) -> None:
    record_id = small_plant.add()
    with small_plant.vault() as vault:
        before = len(vault.log())
        for take_out in (
            lambda: vault.read(record_id, "li", reason),
            lambda: vault.export([record_id], "li", reason),
            lambda: vault.receipt(record_id, "S1", "li", reason),
            lambda: vault.find("x", "li", reason),
            lambda: vault.change(record_id, ANNA, "li", reason),
        ):
            with pytest.raises(UsageError):
                take_out()
        assert len(vault.log()) == before


@pytest.mark.parametrize(
    "reason",
    [
        "王小明来电",
        "call +86 138 1234 5678",
        "about  po-4711",
        "Secretary MS. Petrova asked",
        "from 海淀区 中关村 1 号",
    ],
)
def test_a_reason_that_names_the_customer_is_refused(small_plant: Plant, reason: str) -> None:
    record_id = small_plant.add()
    with small_plant.vault() as vault:
        with pytest.raises(UsageError, match="names the customer") as refused:
            vault.read(record_id, "li", reason)
        assert all(value not in str(refused.value) for value in WANG.values())
        assert vault.log()[-1].action is Action.RETENTION


def test_a_reason_with_words_that_only_contain_a_name_is_none_that_names(small_plant: Plant) -> None:
    record_id = small_plant.add(CustomerDetails("Li Ann"))
    with small_plant.vault() as vault:
        vault.read(record_id, "li", "delivery planning")
        with pytest.raises(UsageError, match="names the customer"):
            vault.read(record_id, "li", "Ann called")


def test_a_search_says_which_records_and_logs_that_it_was_made_but_not_for_what(small_plant: Plant) -> None:
    first = small_plant.add(WANG)
    small_plant.add(ANNA, serial="S1")
    with small_plant.vault() as vault:
        assert [item.record_id for item in vault.find(" 138  1234", "li", "complaint")] == [first]
        assert vault.find("nobody", "li", "complaint") == []
        entries = [entry for entry in vault.log() if entry.action is Action.SEARCHED]
        with pytest.raises(UsageError, match="names"):
            vault.find("Schmidt", "li", "where is schmidt")
    assert [entry.body["found"] for entry in entries] == [[first], []]
    assert b"nobody" not in dump(small_plant.url)


def test_an_export_has_everything_of_the_customer_and_nothing_of_others(plant: Plant) -> None:
    first = plant.add(WANG)
    plant.add(ANNA, serial="S1")
    with plant.vault() as vault:
        receipt = vault.receipt(first, "S9", "clerk", "hand-in")
        vault.change(first, replace(WANG, phone="139"), "clerk", "new number")
        vault.read(first, "li", "called back")
        form = vault.export([first, first], "li", "asked for their data")
    (record,) = form["records"]
    assert [item["details"] for item in record["versions"]] == [asdict(WANG), asdict(replace(WANG, phone="139"))]
    assert record["receipts"] == [{"drive": "S9", "at": plant.now, "code": receipt.code}]
    assert [item["action"] for item in record["log"]] == ["added", "receipt", "changed", "read"]
    assert record["kept_until"] == UNTIL
    assert "Schmidt" not in str(form)
    with plant.vault() as vault:
        assert vault.log()[-1].action is Action.EXPORTED


# ---- nowhere else


@few
@given(details=DETAILS)
def test_no_detail_is_in_the_ledger_or_the_keys_or_what_is_logged(
    small_plant: Plant, details: CustomerDetails, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with small_plant.vault() as vault:
        serial = f"S{len(vault.stored())}"
        record_id = vault.add(Scope("lot-1", serial), details, "clerk", UNTIL)
        vault.read(record_id, "clerk", "-")
        vault.find(details.name, "clerk", "-")
        code = vault.receipt(record_id, "", "clerk", "-").code
        vault.commitment_for(IDENTITY, "job", "station")
        with pytest.raises(Refused):
            vault.add(Scope("lot-1", serial), details, "clerk", UNTIL)
    files = b"".join(path.read_bytes() for path in small_plant.data.rglob("*") if path.is_file())
    everything = files + dump(small_plant.url) + caplog.text.encode() + "".join(capfd.readouterr()).encode()
    assert record_id.encode() in everything
    assert [part for part in parts(details) if part in everything] == []
    assert code.encode() not in everything
    assert receipt_key(code) not in everything
    assert receipt_key(code).hex().encode() not in everything


def test_the_length_of_what_is_sealed_does_not_tell_customers_apart(small_plant: Plant) -> None:
    small_plant.add(CustomerDetails("Bo"), serial="S1")
    small_plant.add(
        CustomerDetails("Maximiliane von Hohenstein-Waldenburg", address="Long Street 1234, 98765 Farawaytown"),
        serial="S2",
    )
    with small_plant.vault() as vault:
        lengths = {len(item.sealed) for item in vault.read_rows(rows.newest_records)}
    assert len(lengths) == 1


def test_the_same_details_are_sealed_differently_each_time(small_plant: Plant) -> None:
    small_plant.add(serial="S1")
    small_plant.add(serial="S2")
    with small_plant.vault() as vault:
        first, second = (item.sealed for item in vault.read_rows(rows.newest_records))
    assert first[:12] != second[:12]
    assert first[12:44] != second[12:44]


# ---- tampering


def all_rows(url: str, table: str) -> list[dict[str, object]]:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {table}"))]
    engine.dispose()
    return found


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("lot_id", "lot-2"),
        ("serial", "S9"),
        ("asset_tag", "T"),
        ("at", "2020-01-01T00:00:00Z"),
        ("operator", "x"),
        ("version", 7),
    ],
)
def test_each_column_of_a_record_is_bound(plant: Plant, column: str, value: object) -> None:
    record_id = plant.add(serial="S1")
    plant.add(ANNA, lot="lot-2")
    tamper(plant.url, f"UPDATE vault_records SET {column} = :value WHERE record_id = :id", value=value, id=record_id)
    with pytest.raises(VaultError) as refused:
        plant.read(record_id)
    # Of a lot's name the key is not found to begin with.
    assert refused.value.code == ("vault-key" if column == "lot_id" else "vault-altered")
    assert record_id in str(refused.value)


def test_records_that_change_places_between_lots_are_refused(plant: Plant) -> None:
    one, other = plant.add(WANG), plant.add(ANNA, lot="lot-2")
    sealed = {row["record_id"]: row["sealed"] for row in all_rows(plant.url, "vault_records")}
    for record_id, content in ((one, sealed[other]), (other, sealed[one])):
        tamper(plant.url, "UPDATE vault_records SET sealed = :it WHERE record_id = :id", it=content, id=record_id)
    for record_id in (one, other):
        with pytest.raises(VaultAlteredError, match=record_id):
            plant.read(record_id)


def test_each_bit_of_a_record_that_changes_is_named(small_plant: Plant) -> None:
    record_id = small_plant.add(CustomerDetails("Bo"))
    sealed = bytes(all_rows(small_plant.url, "vault_records")[0]["sealed"])  # type: ignore[call-overload]
    for bit in [*range(0, 8 * len(sealed), 97), 0, 8 * len(sealed) - 1]:
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        tamper(small_plant.url, "UPDATE vault_records SET sealed = :it", it=bytes(changed))
        with pytest.raises(VaultAlteredError, match=record_id):
            small_plant.read(record_id)


def test_a_receipt_of_another_drive_is_refused(small_plant: Plant) -> None:
    record_id = small_plant.add()
    with small_plant.vault() as vault:
        vault.receipt(record_id, "S1", "clerk", "hand-in")
        tamper(small_plant.url, "UPDATE vault_receipts SET drive = 'S2'")
        with pytest.raises(VaultAlteredError, match="receipt"):
            vault.receipt(record_id, "S2", "clerk", "hand-in")


def test_without_its_keys_the_ledger_says_nothing(small_plant: Plant, tmp_path: Path) -> None:
    record_id = small_plant.add()
    with small_plant.vault("another vault") as thief, pytest.raises(VaultKeyError, match="no key"):
        thief.read(record_id, "thief", "curious")


def test_a_check_names_each_record_that_cannot_be_opened_and_no_other(plant: Plant) -> None:
    whole, lost, altered = plant.add(serial="S1"), plant.add(serial="S2"), plant.add(lot="lot-2")
    with plant.vault() as vault:
        vault.receipt(whole, "", "clerk", "hand-in")
        assert vault.check("timer") == (3, [])
        plant.lose_key(lost)
        tamper(plant.url, "UPDATE vault_records SET at = 'x' WHERE record_id = :id", id=altered)
        count, faults = vault.check("timer")
        assert (count, {(fault.code, fault.subject) for fault in faults}) == (
            3,
            {("vault-key", str(plant.data / "vault")), ("vault-altered", f"record {altered}")},
        )
        assert any(lost in fault.what for fault in faults)
        assert vault.log()[-1].body == {"records": 3, "faults": 2}


# ---- commitments


def test_a_drive_of_a_customer_gets_a_commitment_that_its_receipt_fits(plant: Plant) -> None:
    plant.receive()
    record_id = plant.add(WANG)
    with plant.vault() as vault:
        made = vault.commitment_for(IDENTITY, "job-1", "station")
        assert made is not None
        assert vault.commitment_for(IDENTITY, "job-1", "station") == made
        again = vault.commitment_for(IDENTITY, "job-2", "station")
        receipt = vault.receipt(record_id, NAME.serial, "clerk", "handed over")
    assert is_committed(made, receipt_key(receipt.code), "job-1", receipt.details)
    assert again is not None
    assert is_committed(again, receipt_key(receipt.code), "job-2", receipt.details)
    assert not is_committed(made, receipt_key(receipt.code), "job-2", receipt.details)


def test_a_receipt_printed_at_hand_in_fits_the_certificate_that_comes_later_whatever_is_corrected(
    small_plant: Plant,
) -> None:
    record_id = small_plant.add(WANG)
    with small_plant.vault() as vault:
        receipt = vault.receipt(record_id, NAME.serial, "clerk", "hand-in")
        vault.change(record_id, replace(WANG, phone="139 9999"), "clerk", "number was wrong")
    small_plant.receive()
    with small_plant.vault() as vault:
        made = vault.commitment_for(IDENTITY, "job-1", "station")
        assert made is not None
        assert is_committed(made, receipt_key(receipt.code), "job-1", WANG)
        assert vault.receipt(record_id, NAME.serial, "clerk", "lost the first") == receipt


def test_the_drives_own_customer_goes_before_the_lots(plant: Plant) -> None:
    plant.receive(DriveName(NAME.serial, NAME.world_wide_name, "T-1"))
    keys = {
        "lot": plant.add(WANG),
        "tag": plant.add(ANNA, tag="T-1"),
        "serial": plant.add(replace(ANNA, name="Bo"), serial=NAME.serial),
    }
    with plant.vault() as vault:
        for name in ("serial", "tag", "lot"):
            made = vault.commitment_for(IDENTITY, "j", "station")
            receipt = vault.receipt(keys[name], NAME.serial, "clerk", "check")
            assert made is not None
            assert is_committed(made, receipt_key(receipt.code), "j", receipt.details), name
            rows_before = vault.log(record_id=keys[name])
            assert any(entry.action is Action.COMMITTED for entry in rows_before)
            vault.write_rows(
                lambda connection, name=name: rows.note(
                    connection, rows.VaultEntry(plant.now, "clerk", Action.ERASING, "lot-1", keys[name])
                )
            )
        assert vault.commitment_for(IDENTITY, "j", "station") is None


def test_a_drive_of_no_lot_or_of_another_one_gets_none(small_plant: Plant) -> None:
    small_plant.add(WANG, serial=NAME.serial)
    with small_plant.vault() as vault:
        assert vault.commitment_for(IDENTITY, "j", "station") is None
    small_plant.receive(lot="lot-2")
    with small_plant.vault() as vault:
        assert vault.commitment_for(IDENTITY, "j", "station") is None
        nameless = Identity("ACME", "Drive", "BRIDGE", SerialSource.ENCLOSURE)
        assert vault.commitment_for(nameless, "j", "station") is None


def test_a_drive_that_left_and_came_back_is_not_its_former_owners(small_plant: Plant) -> None:
    small_plant.receive()
    small_plant.add(WANG)
    with small_plant.vault() as vault:
        left = CustodyRecord(small_plant.now, "hall 1", "clerk", NAME, HandedOver("a buyer"))
        from eraser.ledger.custody import custody_row

        vault.write_rows(lambda connection: connection.execute(custody.insert().values(custody_row(left))))
        assert vault.commitment_for(IDENTITY, "j", "station") is None


def test_a_clone_of_a_drives_number_gets_neithers_customer(small_plant: Plant) -> None:
    small_plant.receive()
    small_plant.add(WANG)
    small_plant.receive(DriveName(NAME.serial, "5000c500ffffffff"))
    with small_plant.vault() as vault:
        bare = Identity("ACME", "Drive", NAME.serial, SerialSource.DRIVE)
        assert vault.commitment_for(bare, "j", "station") is None


def test_another_stations_customers_are_not_this_ones_to_commit_to(small_plant: Plant) -> None:
    small_plant.receive()
    small_plant.add(WANG)
    with small_plant.vault("another station") as other:
        assert other.commitment_for(IDENTITY, "j", "station") is None


def test_a_lost_key_keeps_the_certificate_waiting(small_plant: Plant) -> None:
    small_plant.receive()
    record_id = small_plant.add(WANG)
    with small_plant.vault() as vault:
        small_plant.lose_key(record_id)
        with pytest.raises(VaultKeyError):
            vault.commitment_for(IDENTITY, "j", "station")


def test_an_error_never_shows_a_detail(small_plant: Plant) -> None:
    record_id = small_plant.add(WANG)
    tamper(small_plant.url, "UPDATE vault_records SET operator = 'x'")
    seen: list[BaseException] = []
    try:
        small_plant.read(record_id)
    except EraserError as error:
        at: BaseException | None = error
        while at is not None:
            seen.append(at)
            at = at.__cause__ or at.__context__
    assert seen
    said = " ".join(f"{error} {error!r}" for error in seen)
    assert [value for value in WANG.values() if value and value in said] == []


def test_what_was_destroyed_is_named_as_such(small_plant: Plant) -> None:
    record_id = small_plant.add()
    with small_plant.destruction() as destruction:
        destruction.erase(record_id, "clerk", "asked for it")
    with pytest.raises(VaultDestroyedError, match="it was erased at 2027"):
        small_plant.read(record_id)


def test_a_crash_of_a_process_that_has_opened_the_vault_leaves_no_picture_of_its_memory(
    plant: Plant, tmp_path: Path
) -> None:
    code = f"""
import os, pathlib, resource
from eraser.privacy.opening import open_vault
# An earlier test of this process may have lowered what it may raise to.
resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
with open_vault(pathlib.Path({str(plant.data)!r}), {plant.url!r}, now_utc=str, new_id=str):
    print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)
    os.abort()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == -signal.SIGABRT
    assert done.stdout == "(1, 1)\n"  # see core(5): for a program that takes dumps, 1 is none and 0 is not
    assert [path for path in tmp_path.iterdir() if path.name.startswith("core")] == []
