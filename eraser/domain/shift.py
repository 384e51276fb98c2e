"""Shifts: into which parts a plant divides its day, for the totals on the wall. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta


@dataclass(frozen=True, slots=True)
class Shifts:
    """When each begins, by the station's own time, and what it is called; at least one. A name may be empty."""

    begins: tuple[tuple[time, str], ...]

    def at(self, now: datetime) -> tuple[datetime, datetime, str]:
        """When the shift that is on began, when it ends, and its name. `now` has a zone, by which the hours are meant."""
        days = [now.date() + timedelta(days=days) for days in (-1, 0, 1)]
        moments = [(datetime.combine(day, begins, now.tzinfo), name) for day in days for begins, name in self.begins]
        moments.sort(key=lambda item: item[0])
        last = max(index for index, (begins, _) in enumerate(moments) if begins <= now)
        return moments[last][0], moments[last + 1][0], moments[last][1]


USUAL = Shifts(tuple((time(hour), "") for hour in (0, 8, 16)))


def shifts_of(named: Mapping[str, time]) -> Shifts:
    """Those that a plant has set up by name; else the usual ones."""
    return Shifts(tuple((begins, name) for name, begins in named.items())) if named else USUAL
