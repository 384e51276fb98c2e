"""A whole rack of real block devices at once."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab import Need, loop_drive, require
from tests.serve.station import Site, assert_erased, bays_of

MIB = 1 << 20
DRIVES = 64
SIZE = 8 * MIB

pytestmark = pytest.mark.lab("root", "loop")


def test_64_drives_at_once_all_pass_each_with_a_content_of_its_own(tmp_path: Path) -> None:
    require(Need.LOOP)
    with ExitStack() as stack:
        drives = [stack.enter_context(loop_drive(SIZE)) for _ in range(DRIVES)]
        site = Site(tmp_path, bays_of(*drives))
        with site.running() as station:
            station.until_passed(DRIVES, within_s=240)
            assert station.stop() < 10
        assert_erased(site, *drives)
