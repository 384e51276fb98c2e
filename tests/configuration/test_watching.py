"""What the configuration says of watching and giving up reaches those who do it."""

from pathlib import Path

from eraser.cli.serving.racks import usual_request, watch_of
from eraser.configuration.model import FailureSettings, TemperatureSettings, WatchdogSettings
from eraser.configuration.reading import load
from eraser.domain.failure import NO_CRITERIA, FailureCriteria
from eraser.domain.watchdog import Heat, Limits
from eraser.rack.watchdog import Watch, no_thermometer


def test_the_defaults_are_the_domain_s_own() -> None:
    assert WatchdogSettings().limits() == Limits()
    assert TemperatureSettings().heat() == Heat()
    assert TemperatureSettings().heat_of_flash() == Watch().heat_of_flash
    assert FailureSettings().criteria() == NO_CRITERIA


def test_what_the_file_says_is_what_the_station_goes_by(tmp_path: Path) -> None:
    file = tmp_path / "eraser.toml"
    file.write_text(
        """
        [watchdog]
        io_seconds = 7
        window_seconds = 20
        slow_against_itself = 0.3
        slow_against_twins = 0.6
        errors_per_minute = 3
        [temperature]
        pause_celsius = 55
        resume_celsius = 44
        pause_flash_celsius = 80
        resume_flash_celsius = 70
        [lots.failure]
        max_bad_extents = 1
        max_retries = 2
        min_bytes_per_second = 3
        max_reallocated_sectors = 0
        """
    )
    configuration = load(file, {})
    assert watch_of(configuration, no_thermometer) == Watch(
        Limits(7.0, 20.0, 0.3, 0.6, 3), Heat(55.0, 44.0), Heat(80.0, 70.0), no_thermometer
    )
    assert usual_request(configuration).failure == FailureCriteria(1, 2, 3, 0)
