"""A bay in words: its state, who is to act and what to do next. The page's script says the same from the same tables."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

from eraser.console.alarms import Kind
from eraser.console.pages.language import N_, Language, translations
from eraser.console.pages.sentences import problems, said, words
from eraser.domain.sayings import Sayings
from eraser.domain.watchdog import Alarm as Trouble
from eraser.rack.view import BaySnapshot, BayState

BAYS_A_ROW = 8
"""Of bays that have no position."""
AT_WORK = (BayState.WRITING, BayState.VERIFYING, BayState.PAUSED)


class Actor(StrEnum):
    """Who is to act."""

    NOBODY = "nobody"
    OPERATOR = "operator"
    OPS = "ops"


ACTORS = {
    Actor.NOBODY: N_("Nobody needs to act"),
    Actor.OPERATOR: N_("Operator"),
    Actor.OPS: N_("Ops"),
}


@dataclass(frozen=True, slots=True)
class StateWords:
    """A state in English, to be translated; `step` is what to do, or what happens by itself."""

    word: str
    actor: Actor
    step: str


STATES: dict[BayState, StateWords] = {
    BayState.EMPTY: StateWords(N_("Empty"), Actor.NOBODY, N_("Free for a drive")),
    BayState.IDENTIFYING: StateWords(N_("Identifying"), Actor.NOBODY, N_("The drive is asked who it is")),
    BayState.REFUSED: StateWords(N_("Refused"), Actor.OPERATOR, N_("See why, then retry or take it out")),
    BayState.WAITING: StateWords(N_("Waiting"), Actor.NOBODY, N_("Starts by itself")),
    BayState.ASKING: StateWords(N_("Start?"), Actor.OPERATOR, N_("Say whether it is to be erased")),
    BayState.WRITING: StateWords(N_("Writing"), Actor.NOBODY, N_("Leave it in")),
    BayState.VERIFYING: StateWords(N_("Verifying"), Actor.NOBODY, N_("Leave it in")),
    BayState.PAUSED: StateWords(N_("Paused"), Actor.OPERATOR, N_("Leave it in")),
    BayState.INTERRUPTED: StateWords(N_("Interrupted"), Actor.OPERATOR, N_("Resume it")),
    BayState.PASSED: StateWords(N_("Passed"), Actor.OPERATOR, N_("Take it out: erased")),
    BayState.FAILED: StateWords(N_("Failed"), Actor.OPERATOR, N_("Do not sell: to quarantine")),
    BayState.HELD: StateWords(N_("Held"), Actor.OPS, N_("Power-cycle the bay")),
    BayState.MAINTENANCE: StateWords(N_("Maintenance"), Actor.OPS, N_("Out of use")),
}


@dataclass(frozen=True, slots=True)
class FindingWords:
    """What is the matter, what it means, what to do next; in English, to be translated."""

    word: str
    meaning: str
    step: str


FINDINGS: dict[Kind, FindingWords] = {
    Kind.NOT_READY: FindingWords(
        N_("Station not ready"),
        N_("The station cannot do all of its work."),
        N_("Mend what it says; it goes on by itself then."),
    ),
    Kind.HELD: FindingWords(
        N_("Held"),
        N_("An I/O that never came back holds the drive. Nothing may touch it before it is gone."),
        N_("Switch the bay's power off and on, or pull the drive. Then retry it once."),
    ),
    Kind.VERIFICATION_FAILED: FindingWords(
        N_("Verification failed"),
        N_("What was read back is not what was written. Old data may still be readable."),
        N_("Do not sell it. Quarantine it and destroy it, or retry it once in another bay."),
    ),
    Kind.FAILED: FindingWords(
        N_("Failed"),
        N_("It is not erased as its standard asks. Old data may still be readable."),
        N_("Do not sell it. Quarantine it and destroy it, or retry it once."),
    ),
    Kind.STUCK: FindingWords(
        N_("Stuck"),
        N_("The drive has not answered for longer than its limit."),
        N_("Wait until it is given up, or pull it. Look at cable and bay if it happens here again."),
    ),
    Kind.HOT: FindingWords(
        N_("Hot"),
        N_("The drive is too warm and rests until it has cooled."),
        N_("Look at the fan and the air of this shelf. The job goes on by itself."),
    ),
    Kind.ERRORS: FindingWords(
        N_("Many errors"),
        N_("The drive reports more and more errors."),
        N_("Let it end; it will most likely fail and go to destruction."),
    ),
    Kind.SLOW: FindingWords(
        N_("Slow"),
        N_("The drive is much slower than it was, or than others of its model."),
        N_("Let it end. Cancel and destroy it if the time is worth more than the drive."),
    ),
    Kind.REFUSED: FindingWords(
        N_("Refused"),
        N_("Nothing was written: the drive may not be erased as it is."),
        N_("Do what the reason says, then retry it."),
    ),
    Kind.INTERRUPTED: FindingWords(
        N_("Interrupted"),
        N_("The job stopped before its end. Old data may still be readable."),
        N_("Put the drive back, or resume its job."),
    ),
}


@dataclass(frozen=True, slots=True)
class BayCard:
    """A bay as the wall shows it. Texts are in the reader's language; figures are left to the template."""

    bay: BaySnapshot
    word: str
    label: str
    model: str
    note: str
    actor: Actor
    who: str
    step: str
    recent: tuple[float, ...]

    @property
    def is_at_work(self) -> bool:
        """Whether there is progress to show."""
        return self.bay.state in AT_WORK and bool(self.bay.total_bytes)


def card(bay: BaySnapshot, language: Language, recent: tuple[float, ...] = ()) -> BayCard:
    """The bay in that language."""
    gettext = translations(language).gettext
    state = STATES[bay.state]
    actor = actor_of(bay)
    identity = bay.drive.identity if bay.drive is not None else None
    word = gettext(state.word)
    if bay.state is BayState.WRITING and bay.passes > 1:
        word = f"{word} {bay.pass_number}/{bay.passes}"
    return BayCard(
        bay=bay,
        word=word,
        label=(identity.serial or identity.model or bay.drive.path) if identity and bay.drive else "",
        model=identity.model if identity else "",
        note=said(note(bay), language),
        actor=actor,
        who=gettext(ACTORS[actor]),
        step=gettext(state.step),
        recent=recent,
    )


def actor_of(bay: BaySnapshot) -> Actor:
    """Who is to act: ops where a drive hangs or is hot, whatever its job does."""
    if Trouble.STUCK.value in bay.alarms or Trouble.HOT.value in bay.alarms:
        return Actor.OPS
    if bay.state is BayState.PAUSED and "person" not in bay.pauses:
        return Actor.NOBODY
    return STATES[bay.state].actor


def note(bay: BaySnapshot) -> Sayings:
    """What matters most; empty where there is nothing to say."""
    return bay.reasons or bay.alarm_sayings[:1] or bay.waiting


def shelves(bays: Iterable[BayCard]) -> Iterator[tuple[str, int, list[list[BayCard | None]]]]:
    """Each shelf: its name, its columns, its rows as they hang, None where no bay is. Bays without a position come last."""
    cards = list(bays)
    placed = sorted(
        (card for card in cards if card.bay.shelf), key=lambda card: (card.bay.shelf, card.bay.row, card.bay.column)
    )
    for shelf, inside in groupby(placed, key=lambda card: card.bay.shelf):
        rows = [list(row) for _, row in groupby(inside, key=lambda card: card.bay.row)]
        columns = max(card.bay.column for row in rows for card in row)
        yield shelf, columns, [_spread(row, columns) for row in rows]
    rest: list[BayCard | None] = [card for card in cards if not card.bay.shelf]
    if rest:
        yield "", BAYS_A_ROW, [rest[first : first + BAYS_A_ROW] for first in range(0, len(rest), BAYS_A_ROW)]


def _spread(row: Iterable[BayCard], columns: int) -> list[BayCard | None]:
    by_column: dict[int, list[BayCard | None]] = {}
    for item in row:
        by_column.setdefault(item.bay.column, []).append(item)
    return [item for column in range(1, columns + 1) for item in by_column.get(column, [None])]


def script_words(language: Language) -> dict[str, Any]:
    """All that a script needs to say the same as `card`: put into the page as JSON."""
    gettext = translations(language).gettext
    return {
        "states": {
            state.value: {"word": gettext(item.word), "actor": item.actor.value, "step": gettext(item.step)}
            for state, item in STATES.items()
        },
        "actors": {actor.value: gettext(word) for actor, word in ACTORS.items()},
        "findings": {
            kind.value: {"word": gettext(item.word), "meaning": gettext(item.meaning), "step": gettext(item.step)}
            for kind, item in FINDINGS.items()
        },
        "sayings": words(language),
        "problems": problems(language),
        "phrases": {key: gettext(text) for key, text in PHRASES.items()},
    }


def phrase(key: str, language: Language) -> str:
    """One of PHRASES in that language, its `{names}` not filled in."""
    return translations(language).gettext(PHRASES[key])


PHRASES = {
    "no_alarms": N_("No alarms"),
    "alarms": N_("Alarms to take: {count}"),
    "taken": N_("Alarms in hand: {count}"),
    "taken_by": N_("Taken by {name}"),
    "take": N_("I take it"),
    "station": N_("Station"),
    "bay": N_("Bay {bay}"),
    "live": N_("Live"),
    "stale": N_("Old picture. Nothing has come from the station for {span}; connecting again."),
    "no_lot": N_("Without a lot"),
    "least": N_("at least {span}"),
    "done": N_("{ended} of {drives} done"),
    "became": N_("{bay}: {word}"),
    "failed_order": N_("It was not done: {detail}"),
    "accepted": N_("The station has taken the order."),
}
