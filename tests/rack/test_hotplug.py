from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from eraser.domain.bay import Place
from eraser.drives.sysfs import Host
from eraser.rack import hotplug
from eraser.rack.hotplug import Hotplug
from eraser.rack.presence import Arrived, Event, Left
from tests.lab import LoopDrive, Need, image_drive, loop_drive, require, zram_drive
from tests.lab.loop import plugged_in

SIZE_BYTES = 1 << 20
DEADLINE_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _devices() -> None:
    require(Need.LOOP)


async def next_of(drives: Hotplug, name: str) -> Event:
    """The next event of one drive: other tests' drives come and go beside it."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            event = await drives.next()
            if event.drive.name == name:
                return event


async def in_thread(call: Callable[[], object]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, call)


async def test_what_is_there_at_the_start_arrives_once() -> None:
    with loop_drive(SIZE_BYTES) as drive:
        async with Hotplug(Host(), source="kernel") as drives:
            event = await next_of(drives, drive.name)
            assert isinstance(event, Arrived)
            assert event.drive.node == str(drive.device)
            assert event.drive.size_bytes == SIZE_BYTES
            assert event.drive.diskseq == int(drive.sysfs("diskseq"))
            assert event.drive.place == Place(path=f"lab-{drive.name}")
            (Path("/sys/block") / drive.name / "uevent").write_text("change")
            await in_thread(drive.unplug)
            assert await next_of(drives, event.drive.name) == Left(event.drive)


async def test_a_disk_that_the_kernel_adds_arrives_within_a_second_and_leaves_when_it_is_pulled() -> None:
    require(Need.ZRAM)
    async with Hotplug(Host(), source="kernel", rescan_seconds=3600) as drives:
        began = time.monotonic()
        with zram_drive(SIZE_BYTES) as disk:
            arrived = await next_of(drives, disk.name)
            assert time.monotonic() - began < 1
            assert isinstance(arrived, Arrived)
            assert (arrived.drive.node, arrived.drive.size_bytes) == (str(disk.device), SIZE_BYTES)
            await in_thread(disk.pull)
            assert await next_of(drives, disk.name) == Left(arrived.drive)


async def test_a_disk_that_is_given_its_size_after_its_message_arrives_soon() -> None:
    require(Need.ZRAM)
    async with Hotplug(Host(), source="kernel", rescan_seconds=3600) as drives:
        with zram_drive(SIZE_BYTES, is_sized=False) as disk:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await next_of(drives, disk.name)
            disk.give_size()
            began = time.monotonic()
            assert isinstance(await next_of(drives, disk.name), Arrived)
            assert time.monotonic() - began < 1
            await in_thread(disk.pull)


async def test_the_same_number_plugged_again_is_another_arrival() -> None:
    require(Need.ZRAM)
    async with Hotplug(Host(), source="kernel", rescan_seconds=3600) as drives:
        seen = []
        for _ in range(2):
            with zram_drive(SIZE_BYTES) as disk:
                arrived = await next_of(drives, disk.name)
                assert isinstance(arrived, Arrived)
                seen.append(arrived.drive)
                await in_thread(disk.pull)
                assert isinstance(await next_of(drives, disk.name), Left)
        assert seen[0].diskseq != seen[1].diskseq


async def test_a_loop_device_that_is_bound_later_arrives_and_its_next_image_is_another_drive() -> None:
    with image_drive(SIZE_BYTES) as image:
        async with Hotplug(Host(), source="kernel", rescan_seconds=3600) as drives:
            drive = LoopDrive(image, 512)
            with plugged_in(drive):
                name = drive.name
                first = await next_of(drives, name)
                assert isinstance(first, Arrived)
                await in_thread(drive.replug)
                if drive.name == name:
                    assert await next_of(drives, name) == Left(first.drive)
                    second = await next_of(drives, name)
                else:
                    second = await next_of(drives, drive.name)
                assert isinstance(second, Arrived)
                assert second.drive.diskseq > first.drive.diskseq


async def test_a_burst_beyond_the_buffer_loses_no_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotplug, "RECEIVE_BUFFER_BYTES", 1)
    with loop_drive(SIZE_BYTES) as noisy:
        async with Hotplug(Host(), source="kernel", rescan_seconds=3600) as drives:
            assert isinstance(await next_of(drives, noisy.name), Arrived)
            uevent = Path("/sys/block") / noisy.name / "uevent"
            for _ in range(1000):
                uevent.write_text("change")  # nothing is read meanwhile: the loop stands still here
            with loop_drive(SIZE_BYTES) as late:
                assert isinstance(await next_of(drives, late.name), Arrived)
                # The disk may be found, by looking around, before the lost messages are noticed.
                async with asyncio.timeout(10):
                    while drives.overflows < 1:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)


async def test_what_no_message_told_is_found_by_looking_around() -> None:
    async with Hotplug(Host(), source="kernel", rescan_seconds=0.5) as drives:
        drives._loop.remove_reader(drives._monitor.fileno())
        with loop_drive(SIZE_BYTES) as drive:
            arrived = await next_of(drives, drive.name)
            assert isinstance(arrived, Arrived)
            # The loop device stays and has another image: only looking at what seems to have stayed tells.
            await in_thread(drive.replug)
            if drive.name == arrived.drive.name:
                assert await next_of(drives, drive.name) == Left(arrived.drive)
                assert isinstance(await next_of(drives, drive.name), Arrived)


async def test_a_cancelled_wait_loses_nothing() -> None:
    async with Hotplug(Host(), source="kernel", rescan_seconds=3600) as drives:
        with loop_drive(SIZE_BYTES) as drive:
            seen: list[Event] = []
            for _ in range(50):
                waiting = asyncio.create_task(drives.next())
                await asyncio.sleep(0)
                waiting.cancel()
                seen += [
                    done for done in await asyncio.gather(waiting, return_exceptions=True) if isinstance(done, Arrived)
                ]
            assert drive.name in [event.drive.name for event in seen] or await next_of(drives, drive.name)


async def test_waiting_takes_no_processor_time() -> None:
    async with Hotplug(Host(), source="kernel", rescan_seconds=3600) as drives:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):  # everything that is here
                while True:
                    await drives.next()
        before = time.process_time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    await drives.next()
        assert time.process_time() - before < 0.25


def test_a_source_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        hotplug._open_monitor("nonsense")
