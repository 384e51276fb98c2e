"""What a station puts together before its rack begins."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path

from eraser.cli.serving.proving import open_station_ledger
from eraser.configuration.model import Configuration
from eraser.ledger.engine import sqlite_url
from eraser.rack.ledger_health import LedgerHealth


async def test_the_data_folder_is_its_owners_alone_wherever_the_ledger_lies(tmp_path: Path) -> None:
    data = tmp_path / "data"
    elsewhere = {"url": sqlite_url(tmp_path / "elsewhere.db")}
    configuration = Configuration.model_validate({"data": data, "ledger": elsewhere})
    before = os.umask(0)
    try:
        async with AsyncExitStack() as stack:
            await open_station_ledger(configuration, LedgerHealth(), stack)
    finally:
        os.umask(before)
    assert data.stat().st_mode & 0o777 == 0o700
