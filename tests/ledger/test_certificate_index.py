"""The index of certificates in both databases: it says what the jobs' events say, however it came about."""

from dataclasses import replace

import pytest
from sqlalchemy import delete, text

from eraser.domain.custody import CustodyRecord, DriveName, HandedOver, Received, Released
from eraser.domain.drive import SerialSource
from eraser.domain.events import Outcome
from eraser.ledger.certificate_index import CertificateIndex, Search, conditions
from eraser.ledger.engine import open_engine
from eraser.ledger.migrating import migrate
from eraser.ledger.schema import certificate_index
from eraser.ledger.station_ledger import open_ledger
from tests.ledger.stories import a_request, drive_number, now_utc, whole_job

STATION = "station-1"


async def erase(ledger, job_id: str, drive, outcome: Outcome = Outcome.PASSED) -> None:
    journal = await ledger.journal.begin(a_request(job_id))
    for event in whole_job(job_id, drive, outcome=outcome):
        await journal.append(event)
    await journal.close()


async def record(ledger, drive, event) -> None:
    name = DriveName(drive.identity.serial, drive.identity.wwn)
    await ledger.custody.record(CustodyRecord(now_utc(), STATION, "operator-7", name, event))


async def test_a_row_says_what_the_job_s_events_say(url: str) -> None:
    async with open_ledger(url, STATION, now_utc) as ledger:
        drive = drive_number(1)
        await record(ledger, drive, Received("L7"))
        await erase(ledger, "job-1", drive)
        index = CertificateIndex(ledger.store)
        await index.refresh()
        row = await index.one("certificate-of-job-1")
        assert row is not None
        assert (row.number, row.job_id, row.digest) == (0, "job-1", bytes(32))
        assert (row.serial, row.is_serial_own, row.world_wide_name) == ("S0000001", True, drive.identity.wwn)
        assert (row.lot_id, row.outcome, row.reason, row.level) == ("L7", "passed", "", "clear")
        assert (row.capacity_bytes, row.bytes_done) == (1_000_204_886_016, 2 * 1_000_204_886_016)
        assert row.busy_seconds == pytest.approx(180)
        assert await index.of_job("job-1") == row


async def test_the_lot_is_that_of_the_last_arrival_before_the_job(url: str) -> None:
    async with open_ledger(url, STATION, now_utc) as ledger:
        drive = drive_number(1)
        await record(ledger, drive, Received("first"))
        await erase(ledger, "job-1", drive)
        await record(ledger, drive, Released())
        await record(ledger, drive, HandedOver("a buyer"))
        await record(ledger, drive, Received("second"))
        await erase(ledger, "job-2", drive)
        index = CertificateIndex(ledger.store)
        await index.refresh()
        found = (await index.search(Search())).found
        assert [(item.job_id, item.lot_id) for item in found] == [("job-2", "second"), ("job-1", "first")]


async def test_an_emptied_index_fills_itself_with_the_same(url: str) -> None:
    async with open_ledger(url, STATION, now_utc) as ledger:
        for number in range(5):
            await erase(ledger, f"job-{number}", drive_number(number))
            if number == 2:
                await CertificateIndex(ledger.store).refresh()
        index = CertificateIndex(ledger.store)
        await index.refresh()
        before = await index.search(Search())
        assert len(before.found) == 5
        await ledger.store.write(lambda connection: connection.execute(delete(certificate_index)))
        assert (await index.search(Search())).found == ()
        await index.refresh()
        assert await index.search(Search()) == before


async def test_two_stations_that_refresh_at_once_list_each_certificate_once(new_postgresql) -> None:
    url = new_postgresql()
    async with open_ledger(url, STATION, now_utc) as ledger, open_ledger(url, "station-2", now_utc) as other:
        for number in range(4):
            await erase(ledger, f"job-{number}", drive_number(number))
        for _ in range(2):
            await CertificateIndex(ledger.store).refresh()
            await CertificateIndex(other.store).refresh()
        assert await CertificateIndex(other.store).count(Search()) == 4


async def test_a_serial_that_is_the_enclosure_s_is_said_to_be(url: str) -> None:
    async with open_ledger(url, STATION, now_utc) as ledger:
        drive = drive_number(1)
        identity = replace(drive.identity, serial="BRIDGE", serial_source=SerialSource.ENCLOSURE)
        await erase(ledger, "job-1", replace(drive, identity=identity))
        index = CertificateIndex(ledger.store)
        await index.refresh()
        (row,) = (await index.search(Search(drive="BRID"))).found
        assert not row.is_serial_own


async def test_a_job_that_can_t_be_believed_is_listed_by_its_id_alone_and_hides_no_other(url: str) -> None:
    async with open_ledger(url, STATION, now_utc) as ledger:
        for number in (1, 2):
            await erase(ledger, f"job-{number}", drive_number(number))
        tampering = "UPDATE job_events SET body = :body WHERE job_id = 'job-1' AND kind = 'finished'"

        def tamper(connection) -> None:
            if connection.dialect.name == "postgresql":
                connection.execute(text("ALTER TABLE job_events DISABLE TRIGGER ALL"))
            else:
                connection.execute(text("DROP TRIGGER job_events_no_update"))
            connection.execute(text(tampering), {"body": b"{}"})

        await ledger.store.write(tamper)
        index = CertificateIndex(ledger.store)
        await index.refresh()
        two, one = (await index.search(Search())).found
        assert (one.certificate_id, one.serial, one.outcome) == ("certificate-of-job-1", "", "")
        assert two.serial == "S0000002"


def test_searching_reads_an_index_and_not_every_certificate(sqlite: str) -> None:
    engine = open_engine(sqlite)
    migrate(engine)
    wanted = {
        Search(drive="S1"): "certificate_index_serial",
        Search(lot_id="L7"): "certificate_index_lot_id",
        Search(): "SCAN certificate_index",
    }
    with engine.connect() as connection:
        for search, name in wanted.items():
            query = certificate_index.select().where(*conditions(search))
            query = query.order_by(certificate_index.c.number.desc()).limit(50)
            compiled = query.compile(engine, compile_kwargs={"literal_binds": True})
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
            assert any(name in row[3] for row in plan), (search, plan)
    engine.dispose()
