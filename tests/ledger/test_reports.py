"""What is added up: every job once, withdrawn certificates never, in both databases."""

from datetime import date

from eraser.domain.events import Outcome
from eraser.domain.specification import Specification
from eraser.ledger.reports import By, Reports
from eraser.ledger.specifications import Progress, Specifications
from eraser.ledger.station_ledger import open_ledger
from tests.ledger.stories import a_request, drive_number, now_utc, whole_job

CAPACITY = drive_number(1).geometry.capacity_bytes


async def erase(ledger, job_id: str, number: int, outcome: Outcome = Outcome.PASSED) -> None:
    journal = await ledger.journal.begin(a_request(job_id))
    for event in whole_job(job_id, drive_number(number), outcome=outcome):
        await journal.append(event)
    await journal.close()


async def test_jobs_are_added_up_by_whatever_is_asked(url: str) -> None:
    async with open_ledger(url, "station-1", now_utc) as ledger:
        for number in (1, 2, 3):
            await erase(ledger, f"job-{number}", number, Outcome.FAILED if number == 3 else Outcome.PASSED)
        reports = Reports(ledger.store)
        for by, name in (
            (By.DAY, "2027-01-01"),
            (By.MODEL, "Spinner 1000"),
            (By.STANDARD, "nist-800-88-clear"),
            (By.LOT, ""),
        ):
            report = await reports.report(by)
            (group,) = report.groups
            assert (group.name, group.passed, group.failed) == (name, 2, 1)
            assert (group.erased_bytes, group.moved_bytes) == (2 * CAPACITY, 6 * CAPACITY)
            assert round(group.bytes_per_second) == round(2 * CAPACITY / 180)
            assert report.total == type(group)("", 2, 1, 2 * CAPACITY, 6 * CAPACITY, group.busy_seconds)
        (reason,) = (await reports.report(By.REASON)).groups
        assert (reason.name, reason.passed, reason.failed) == ("mismatch", 0, 1)
        assert (await reports.report(By.DAY, since=date(2027, 1, 2))).total.jobs == 0
        assert (await reports.report(By.DAY, until=date(2027, 1, 1))).total.jobs == 3


async def test_a_specification_is_matched_by_serial_also_where_the_label_leaves_a_prefix_out(url: str) -> None:
    async with open_ledger(url, "station-1", now_utc) as ledger:
        specified, reports = Specifications(ledger.store, now_utc), Reports(ledger.store)
        await specified.put(Specification("order-1", "S0000001"), "erp")
        await specified.put(Specification("order-2", "0000002"), "erp")
        await erase(ledger, "job-1", 1)
        await reports.report(By.DAY)
        assert (await specified.one("order-1")).progress is Progress.REPORTED
        assert [item.specification.reference for item in await specified.queue(Progress.WAITING)] == ["order-2"]
