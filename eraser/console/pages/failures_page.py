"""What went wrong and what is to be done about it: in the bays now, and in quarantine by the ledger."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eraser.console.alarms import Alarm, Kind
from eraser.console.pages.bays import FINDINGS, card, script_words
from eraser.console.pages.language import N_, Language, translations
from eraser.console.pages.quantities import celsius, size, span
from eraser.console.pages.sentences import said
from eraser.console.wall import Wall
from eraser.domain.custody import DriveName
from eraser.ledger.custody import Custody, InQuarantine
from eraser.rack.view import BaySnapshot, StationSnapshot

MOST_QUARANTINED = 200
_MILD = (Kind.SLOW, Kind.HOT, Kind.INTERRUPTED, Kind.REFUSED, Kind.ERRORS)


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is the matter; without a bay where it is the station's."""

    alarm: Alarm
    bay: BaySnapshot | None
    label: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All of one kind, with what holds for each of them."""

    kind: Kind
    word: str
    meaning: str
    step: str
    symbol: str
    is_mild: bool
    items: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A drive that must not leave, in words."""

    drive: DriveName
    at: str
    place: str
    cause: str
    job_id: str
    step: str


async def failures_context(
    snapshot: StationSnapshot, wall: Wall, custody: Custody | None, language: Language
) -> dict[str, Any]:
    """What `failures.html` shows."""
    alarms = wall.alarms.all(snapshot)
    kept = await custody.quarantined(MOST_QUARANTINED) if custody is not None else []
    return {
        "alarms": alarms,
        "groups": list(_groups(alarms, snapshot, language)),
        "quarantined": [_quarantined(item, language) for item in kept],
        "words": script_words(language),
    }


def _groups(alarms: Sequence[Alarm], snapshot: StationSnapshot, language: Language) -> Iterator[Group]:
    gettext = translations(language).gettext
    bays = {bay.name: bay for bay in snapshot.bays}
    for kind, words in FINDINGS.items():
        items = [_failure(alarm, bays.get(alarm.bay), language) for alarm in alarms if alarm.kind is kind]
        if items:
            symbol = {Kind.VERIFICATION_FAILED: "failed", Kind.NOT_READY: "alarm"}.get(kind, kind.value)
            texts = (gettext(words.word), gettext(words.meaning), gettext(words.step))
            yield Group(kind, *texts, symbol, kind in _MILD, tuple(items))


def _failure(alarm: Alarm, bay: BaySnapshot | None, language: Language) -> Failure:
    label = card(bay, language).label if bay is not None else ""
    return Failure(alarm, bay, label, tuple(_evidence(bay, language)) if bay is not None else ())


def _evidence(bay: BaySnapshot, language: Language) -> Iterator[str]:
    """What was measured, in figures."""
    gettext = translations(language).gettext
    if bay.mismatched_sectors:
        yield gettext("{count} sectors differ").format(count=bay.mismatched_sectors)
    if bay.bad_bytes:
        yield gettext("{size} bad").format(size=size(bay.bad_bytes, language=language))
    if bay.retries:
        yield gettext("{count} retries").format(count=bay.retries)
    if bay.oldest_io_seconds >= 1:
        yield gettext("an I/O unanswered for {span}").format(span=span(bay.oldest_io_seconds, language=language))
    if bay.temperature_celsius is not None:
        yield celsius(bay.temperature_celsius, language=language)
    if bay.certificate:
        yield gettext("certificate {name}").format(name=bay.certificate)
    elif bay.job_id:
        yield gettext("job {id}").format(id=bay.job_id)


def _quarantined(item: InQuarantine, language: Language) -> Quarantined:
    gettext = translations(language).gettext
    step = N_("Destroy it and put that on record, or retry it once in another bay")
    if item.standing.twice:
        step = N_("Separate the two drives that bear this name, by hand")
    cause = item.standing.twice or item.standing.quarantine
    return Quarantined(item.drive, item.at, item.standing.place, said(cause, language), item.job_id, gettext(step))
