"""The rack wall: the whole first picture is in the page, live events then bring it up to date."""

from typing import Any

from eraser.console.pages.bays import card, phrase, script_words, shelves
from eraser.console.pages.language import Language
from eraser.console.pages.quantities import span
from eraser.console.wall import LotProgress, Wall, lots_of
from eraser.rack.view import StationSnapshot


def rack_context(snapshot: StationSnapshot, wall: Wall, language: Language) -> dict[str, Any]:
    """What `rack.html` shows."""
    cards = [card(bay, language, wall.throughput.recent(bay)) for bay in snapshot.bays]
    lot = last_lot(lots_of(snapshot))
    return {
        "bays": snapshot.bays,
        "shelves": list(shelves(cards)),
        "shift": wall.shift(snapshot),
        "alarms": wall.alarms.all(snapshot),
        "at_work": sum(item.is_at_work for item in cards),
        "rate": sum(item.bay.bytes_per_second for item in cards if item.is_at_work),
        "lot_name": _lot_name(lot, language),
        "lot_eta": _lot_eta(lot, language),
        "words": script_words(language),
        "sparks": {item.bay.name: item.recent for item in cards if item.recent},
    }


def last_lot(lots: tuple[LotProgress, ...]) -> LotProgress | None:
    """The one that will end last: whoever waits for the lot waits for that."""
    return max(lots, key=lambda lot: -1.0 if lot.eta_seconds is None else lot.eta_seconds, default=None)


def _lot_name(lot: LotProgress | None, language: Language) -> str:
    if lot is None:
        return phrase("no_lot", language)
    done = phrase("done", language).format(ended=lot.ended, drives=lot.drives)
    return f"{lot.lot or phrase('no_lot', language)} · {done}"


def _lot_eta(lot: LotProgress | None, language: Language) -> str:
    if lot is None or lot.eta_seconds is None:
        return span(None, language=language)
    words = span(lot.eta_seconds, language=language)
    return phrase("least", language).format(span=words) if lot.is_least else words
