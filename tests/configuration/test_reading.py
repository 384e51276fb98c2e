from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraser.cli.config import example_text
from eraser.configuration.model import Configuration
from eraser.configuration.reading import ConfigurationError, load, parse
from eraser.domain.bay import Place, PlaceKind
from eraser.domain.plan import Level
from eraser.domain.program import Verification

BAY = '[[bays]]\nname = "A1"\npath = "pci-0000:00:17.0-ata-1"\n'


def problems(text: str, **environ: str) -> list[str]:
    """Everything that is wrong with a text, as `config check` says it."""
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "f.toml", environ)
    return [str(problem) for problem in caught.value.problems]


def test_nothing_configured_is_a_station_without_bays_that_only_this_host_sees() -> None:
    found = load(None, {})
    assert found.http.listen == "127.0.0.1:8080"
    assert found.bays == ()
    assert found.ledger_url == "sqlite:////var/lib/eraser/ledger.db"
    assert (found.lots.start, found.lots.verification, found.lots.level) == ("ask", Verification.FULL, Level.CLEAR)


def test_the_example_is_good_and_what_it_comments_out_are_the_defaults() -> None:
    example = parse(example_text(), "example", {})
    assert [bay.name for bay in example.bays] == ["A1", "A2", "B1", "C1", "D1"]
    uncommented = "\n".join(
        line[2:] if line.startswith("# ") and " = " in line and line[2].islower() and "ERASER" not in line else line
        for line in example_text().splitlines()
    )
    whole = parse(
        uncommented.replace("min_bytes_per_second = 5_000_000", "").replace("max_reallocated_sectors = 0", ""),
        "example",
        {},
    )
    for name in ("http", "ledger", "watchdog", "temperature", "metrics"):
        assert getattr(whole, name) == getattr(Configuration(), name) == getattr(example, name)
    assert whole.lots == example.lots
    assert whole.logging == example.logging


def test_the_example_names_every_setting() -> None:
    text = example_text()

    def names(model: type) -> set[str]:
        found = set()
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            found.add(name)
            if hasattr(field.annotation, "model_fields"):
                found |= names(field.annotation)
        return found

    assert {name for name in names(Configuration) if name not in text} == set()


def test_bays_become_the_map_that_finds_them() -> None:
    bay_map = parse(example_text(), "example", {}).bay_map()
    found = bay_map.bay_at(Place(path="pci-0000:00:14.0-usb-0:1.1:1.0-scsi-0:0:0:0", usb_port="0000:00:14.0/1.1"))
    assert found is not None
    assert found.name == "D1"
    assert [domain.name for domain in bay_map.domains_of(found)] == ["docking-station", "usb-controller"]
    assert bay_map.bay("C1").places[0].kind is PlaceKind.PCI_SLOT


def test_the_environment_goes_before_the_file_and_the_command_line_before_both() -> None:
    text = '[http]\nlisten = "127.0.0.1:1"\nsocket = "/run/s"\n'
    assert parse(text, "f", {"ERASER_HTTP__LISTEN": "0.0.0.0:2"}).http.listen == "0.0.0.0:2"
    assert parse(text, "f", {"ERASER_HTTP__LISTEN": "0.0.0.0:2"}).http.socket == Path("/run/s")
    over = {"http": {"listen": "[::1]:3"}}
    assert parse(text, "f", {"ERASER_HTTP__LISTEN": "0.0.0.0:2"}, over).http.listen == "[::1]:3"
    assert parse(text, "f", {"ERASER_CONFIG": "/x", "ERASER_REQUIRE_LAB": "1"}).http.listen == "127.0.0.1:1"


def test_an_error_in_the_environment_is_said_to_be_there() -> None:
    (problem,) = problems("", ERASER_HTTP__LISTEN="nowhere")
    assert problem.startswith("environment variable ERASER_HTTP__LISTEN: http.listen: 'nowhere' has no port.")
    (problem,) = problems("", ERASER_BAYS="{")
    assert "bays" in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('data = "x"\n', "f.toml:1: data: the path is not absolute."),
        ('[http]\n\nlisen = "x"\n', "f.toml:3: http.lisen: there is no such setting. Did you mean `listen`?"),
        ("[htpp]\n", "f.toml:1: htpp: there is no such setting. Did you mean `http`?"),
        ('[http]\nlisten = "8080"\n', "f.toml:2: http.listen: '8080' has no port."),
        ('[http]\nlisten = "0.0.0.0:99999"\n', "f.toml:2: http.listen: there is no port 99999."),
        ('[http]\nlisten = "1.2.3:80"\n', "f.toml:2: http.listen: 1.2.3 is no IPv4 address."),
        ('[http]\nlisten = "[::zz]:80"\n', "f.toml:2: http.listen: [::zz] is no IPv6 address."),
        ('[http]\nlisten = "a b:80"\n', "f.toml:2: http.listen: 'a b' is no host."),
        ('[ledger]\nurl = "mysql://u:secret@h/n"\n', "f.toml:2: ledger.url: it is the URL of no database"),
        ('[ledger]\nurl = "sqlite:///x.db"\n', "f.toml:2: ledger.url: the database's path is not absolute."),
        ('[lots]\nstandard = "nist-claer"\n', "f.toml:2: lots.standard: "),
        ('[lots]\nstart = "now"\n', "f.toml:2: lots.start: there is no such choice. Choose 'ask' or 'by-itself'."),
        ('[lots]\nverification = "ful"\n', "f.toml:2: lots.verification: there is no such choice."),
        ("[lots.failure]\nmax_bad_extents = 0\n", "f.toml:2: lots.failure.max_bad_extents: it must be more than 0."),
        ("[watchdog]\nio_seconds = -1\n", "f.toml:2: watchdog.io_seconds: it must be more than 0."),
        ("[watchdog]\nslow_against_twins = 1.5\n", "f.toml:2: watchdog.slow_against_twins: it must be less than 1."),
        (
            "[temperature]\npause_celsius = 50\nresume_celsius = 55\n",
            "f.toml:3: temperature.resume_celsius: it is not below pause_celsius.",
        ),
        ('[logging]\nserials = "hash"\n', "f.toml:2: logging.serials: there is no such choice."),
        (BAY + 'colour = "red"\n', "f.toml:4: bays[1].colour: there is no such setting."),
        ('[[bays]]\nname = "A1"\n', "f.toml:1: bays[1]: bay A1 is nowhere."),
        ('[[bays]]\nname = "A 1"\npath = "x"\n', "f.toml:2: bays[1].name: a name has 1 to 32"),
        (BAY + 'phy = "0x1:1"\n', "f.toml:4: bays[1].phy: bay A1 has both path and phy."),
        (
            '[[bays]]\nname = "A1"\nusb_port = ["1-1"]\n',
            "f.toml:3: bays[1].usb_port[1]: '1-1' is no usb_port; one looks",
        ),
        (
            BAY + 'position = {shelf = "A", row = 0, column = 1}\n',
            "f.toml:4: bays[1].position.row: it must be at least 1.",
        ),
        (BAY + BAY.replace("A1", "A2"), "f.toml:6: bays[2].path: bays A1 and A2 match one slot"),
        (BAY + 'bandwidth_domains = ["d"]\n', "f.toml:4: bays[1].bandwidth_domains: there is no bandwidth domain 'd'."),
        (
            '[[bandwidth_domains]]\nname = "d"\nmax_active_drives = 0\n',
            "f.toml:3: bandwidth_domains[1].max_active_drives: it must be more than 0.",
        ),
        (
            '[[bandwidth_domains]]\nname = "d"\nwithin = "d"\n',
            "f.toml:3: bandwidth_domains[1].within: the domains d within d",
        ),
        ("data = \n", "f.toml:1: it is no TOML: Invalid value."),
        ("bays = 3\n", "f.toml:1: bays: "),
        ("bandwidth_domains = -1\n", "f.toml:1: bandwidth_domains: "),
        ("[watchdog]\nio_seconds = inf\n", "f.toml:2: watchdog.io_seconds: it should be a finite number."),
        ("[temperature]\npause_celsius = nan\n", "f.toml:2: temperature.pause_celsius: it "),
    ],
)
def test_an_error_is_named_with_its_line_what_is_wrong_and_what_to_do(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(said)
    assert problem.endswith((".", "?"))
    assert "secret" not in problem


def test_all_errors_are_found_at_once_also_those_of_the_map() -> None:
    text = 'data = "x"\n' + BAY + BAY.replace("A1", "A2") + '[[bays]]\nname = "A3"\n[http]\nlisten = "x"\n'
    found = problems(text)
    assert sorted(line.partition(": ")[0] for line in found) == ["f.toml:1", "f.toml:11", "f.toml:7", "f.toml:8"]


def test_a_bay_that_is_wrong_itself_does_not_shift_what_is_said_of_the_others() -> None:
    found = problems('[[bays]]\nname = "A0"\n' + BAY + BAY.replace("A1", "A2"))
    assert any(line.startswith("f.toml:8: bays[3].path: bays A1 and A2 match one slot") for line in found)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path / "missing.toml", {})
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# a\n# \xe4\n")
    with pytest.raises(ConfigurationError, match=r"latin\.toml:2: it is no UTF-8"):
        load(latin, {})
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigurationError, match="larger"):
        load(large, {})


def test_a_command_that_must_start_fast_loads_none_of_it() -> None:
    program = (
        "import sys, eraser.settings, eraser.cli.erase, eraser.cli.bays, eraser.cli.config;"
        "sys.exit(bool({'pydantic', 'pydantic_settings', 'tomlkit', 'pyudev'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-I", "-c", program], check=False).returncode == 0


VALUES = ["1", "-1", "0", '"x"', '""', "[]", "[1]", "{}", "{a=1}", "true", "1.5", "nan", "inf", "1979-05-27", "[[1]]"]
TOP_KEYS = ["data", "http", "http.listen", "ledger.url", "lots.level", "lots.failure.max_retries", "bays", "x"]
TABLES = ["bays", "bandwidth_domains", "power_domains"]
TABLE_KEYS = ["name", "path", "phy", "usb_port", "position", "position.row", "bandwidth_domains", "within", "y"]
LINES = st.sampled_from(
    [f"{key} = {value}" for key in TOP_KEYS + TABLE_KEYS for value in VALUES] + [f"[[{table}]]" for table in TABLES]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINES, max_size=8).map("\n".join))
def test_whatever_the_file_says_it_is_read_or_refused_in_words(text: str) -> None:
    try:
        parse(text, "f.toml", {})
    except ConfigurationError as error:
        assert all(problem.what and problem.remedy for problem in error.problems)
