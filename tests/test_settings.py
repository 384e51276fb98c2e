from __future__ import annotations

from pathlib import Path

import pytest

from eraser.errors import UsageError
from eraser.settings import certificates_dir, data_dir, journal_dir, keys_dir


def test_data_lies_where_the_xdg_specification_says() -> None:
    assert data_dir({"XDG_DATA_HOME": "/srv/data", "HOME": "/root"}) == Path("/srv/data/eraser")
    for unset in ({}, {"XDG_DATA_HOME": ""}, {"XDG_DATA_HOME": "relative"}):
        assert data_dir({"HOME": "/root", **unset}) == Path("/root/.local/share/eraser")


def test_each_kind_of_data_has_its_folder() -> None:
    environ = {"XDG_DATA_HOME": "/d"}
    folders = {keys_dir(environ), certificates_dir(environ), journal_dir(environ)}
    assert folders == {Path("/d/eraser/keys"), Path("/d/eraser/certificates"), Path("/d/eraser/journal")}


def test_without_any_home_it_says_what_to_set() -> None:
    with pytest.raises(UsageError, match="XDG_DATA_HOME"):
        data_dir({"HOME": "relative"})
