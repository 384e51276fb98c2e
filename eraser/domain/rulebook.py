"""Which rulebooks' demands one job's evidence meets: each claim by itself, and each that does not hold with what it is missing.

A claim is computed from the facts in the certificate and never believed from it: whoever checks a certificate computes the same
claims again. What is asked here is our reading of rulebooks whose texts we have not all seen, so a claim that holds says
*pattern of* (see `catalogue.py`), and never that something complies. A reading that turns out to be wrong gets the next number;
certificates that were issued under an earlier one stay what they are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from eraser.domain.catalogue import program_named
from eraser.domain.drive import Drive, Media, Transport
from eraser.domain.events import Outcome, Reason
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.domain.program import Program, Standing, Verification
from eraser.domain.sampling import PARTS, SAMPLES_PER_LENGTH, SAMPLES_PER_PART
from eraser.domain.verdict import Facts, PassFacts, covers_to_end, has_bad_bytes, judge

READING = 1
"""Of how the rulebooks are read in this module."""

GB_46864_MAGNETIC_PASSES = 3
GB_46864_SEMICONDUCTOR_PASSES = 1


class Rulebook(StrEnum):
    """A document, with the level where it has several."""

    GB_46864 = "GB 46864-2025"
    NIST_CLEAR = "NIST SP 800-88 Clear"
    IEEE_CLEAR = "IEEE 2883-2022 Clear"
    NIST_PURGE = "NIST SP 800-88 Purge"
    IEEE_PURGE = "IEEE 2883-2022 Purge"


@dataclass(frozen=True, slots=True)
class Claim:
    """What one rulebook asks of this drive, and whether the evidence shows it."""

    rulebook: Rulebook
    asks: str
    """In our words, for this kind of drive."""
    source: str
    standing: Standing
    holds: bool
    statement: str
    """The sentence that may be said; empty where it does not hold."""
    missing: tuple[Reason, ...]
    """The evidence that is not there, each piece by name; empty where it holds."""


@dataclass(frozen=True, slots=True)
class Rulebooks:
    """All claims, in the order of `Rulebook`, under the numbered reading of the rulebooks."""

    reading: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    rulebook: Rulebook
    asks: str
    source: str
    standing: Standing
    pattern_of: str
    missing: Callable[[Facts], Iterator[Reason]]


NOTHING = Rulebooks(READING, ())
"""Before the facts were looked at."""


def assess(facts: Facts, outcome: Outcome, reasons: Sequence[Reason]) -> Rulebooks:
    """The claims that these facts bear. `outcome` and `reasons` are what was said of the job: no claim holds for one that did
    not pass, nor for one that says so and whose facts do not bear it.
    """
    codes = dict.fromkeys(item.code for item in (*reasons, *judge(facts)[1]))
    against: tuple[Reason, ...] = ()
    if codes or outcome is not Outcome.PASSED:
        against = (Reason("passed", f"a job that passed: it failed ({', '.join(codes)})"),)
    return Rulebooks(READING, tuple(_claim(rule, facts, against) for rule in _rules(facts.drive)))


def _claim(rule: _Rule, facts: Facts, against: tuple[Reason, ...]) -> Claim:
    missing = (*against, *rule.missing(facts))
    statement = "" if missing else f"Pattern of {rule.pattern_of}: {_done(facts)}. {_DISCLAIMER[rule.standing]}"
    return Claim(rule.rulebook, rule.asks, rule.source, rule.standing, not missing, statement, missing)


_DISCLAIMER = {
    Standing.SECONDARY_SOURCE: "Known from secondary sources; no compliance is claimed.",
    Standing.WITHDRAWN: "No longer in force; no compliance is claimed.",
}


def _done(facts: Facts) -> str:
    whole = _whole_passes(facts)
    random = sum(isinstance(pattern, AesCtrStream) for pattern in whole)
    final = facts.final_verification
    read = "in full" if final is not None and final.kind is Verification.FULL else "by samples"
    passes = "1 pass" if len(whole) == 1 else f"{len(whole)} passes"
    return f"{passes}, {random} random, read back {read} after the last"


def _rules(drive: Drive) -> Iterator[_Rule]:
    yield _gb_46864(drive.media)
    yield _nist_removable() if _is_removable_flash(drive) else _nist()
    ieee = program_named("ieee-2883-clear")
    asks = "1 logical overwrite of every address, its outcome checked"
    yield _rule(Rulebook.IEEE_CLEAR, asks, ieee, lambda facts: _at_least(facts, 1))
    yield _purge(Rulebook.NIST_PURGE, "NIST SP 800-88 Rev. 1 Appendix A (withdrawn 2025-09-26); Rev. 2 names IEEE 2883")
    yield _purge(Rulebook.IEEE_PURGE, "IEEE 2883-2022, Purge")


def _rule(rulebook: Rulebook, asks: str, program: Program, missing: Callable[[Facts], Iterator[Reason]]) -> _Rule:
    return _Rule(rulebook, asks, program.source, program.standing, program.title, missing)


def _gb_46864(media: Media) -> _Rule:
    if media is Media.FLASH:
        # Reports of the standard contradict each other: the statement gives the number, so that a reader can judge by either.
        asks = (
            "semiconductor media: at least 1 pass (2 for phones, tablets and SSDs by some reports), the effect verified"
        )
        program = program_named("gb-46864-2025-semiconductor")
        return _rule(Rulebook.GB_46864, asks, program, lambda facts: _at_least(facts, GB_46864_SEMICONDUCTOR_PASSES))
    kind = "magnetic media" if media is Media.MAGNETIC else "unknown media, taken for magnetic"
    asks = f"{kind}: at least 3 passes, at least 1 of them random, the effect verified"
    return _rule(Rulebook.GB_46864, asks, program_named("gb-46864-2025-magnetic"), _gb_46864_magnetic)


def _gb_46864_magnetic(facts: Facts) -> Iterator[Reason]:
    yield from _at_least(facts, GB_46864_MAGNETIC_PASSES)
    if not any(isinstance(pattern, AesCtrStream) for pattern in _whole_passes(facts)):
        yield Reason("random-pass", "a random pass")


def _nist() -> _Rule:
    def missing(facts: Facts) -> Iterator[Reason]:
        yield from _at_least(facts, 1)
        yield from _sampled_enough(facts)

    asks = "at least 1 pass over every address, read back in full or as Rev. 1 §4.7 asks"
    return _rule(Rulebook.NIST_CLEAR, asks, program_named("nist-800-88-clear"), missing)


def _nist_removable() -> _Rule:
    def missing(facts: Facts) -> Iterator[Reason]:
        yield from _at_least(facts, 2)
        if not _has_complements(_whole_passes(facts)):
            yield Reason("complement-pass", "a pass with the complement of an earlier one")
        yield from _sampled_enough(facts)

    asks = "USB sticks and memory cards: at least 2 passes, a pattern and its complement (Rev. 1; Rev. 2 is content with 1), "
    program = program_named("nist-800-88-clear-usb")
    return _rule(Rulebook.NIST_CLEAR, f"{asks}read back in full or as Rev. 1 §4.7 asks", program, missing)


def _purge(rulebook: Rulebook, source: str) -> _Rule:
    # NIST SP 800-88 Rev. 1 App. A and IEEE 2883: writes by the host reach addresses, not spare, remapped or retired blocks.
    asks = "a technique of the drive itself (sanitize, cryptographic erase), its outcome checked"
    missing = Reason("purge-technique", "a purge technique: overwriting by the host reaches no purge")
    return _Rule(rulebook, asks, source, Standing.SECONDARY_SOURCE, rulebook.value, lambda _: iter([missing]))


def _at_least(facts: Facts, passes: int) -> Iterator[Reason]:
    """What every overwriting rulebook asks: a drive, all of it, so many passes, and a reading back after the last write."""
    if facts.drive.is_virtual:
        yield Reason("drive", "a drive: this is a file or a virtual drive, and what lies beneath is not known")
    yield from _all_of_it(facts.drive)
    if (there := len(_whole_passes(facts))) < passes:
        yield Reason("passes", f"{passes} passes over the whole drive: there are {there}")
    final = facts.final_verification
    if final is None or final.kind is Verification.NONE or final.pass_number != len(facts.plan.passes):
        yield Reason("verification", "verification after the last pass")
    elif final.report.mismatched_sectors or has_bad_bytes(final.report):
        yield Reason("verification", "a verification that found what was written")


def _all_of_it(drive: Drive) -> Iterator[Reason]:
    geometry = drive.geometry
    if geometry.hidden_bytes or geometry.hidden_areas:
        yield Reason("hidden-area", "all of the drive: a hidden area is not covered")
    if geometry.hidden_areas_unknown:
        names = ", ".join(geometry.hidden_areas_unknown)
        yield Reason("hidden-area-unknown", f"whether the drive hides an area: it could not be asked ({names})")


def _sampled_enough(facts: Facts) -> Iterator[Reason]:
    """NIST SP 800-88 Rev. 1 §4.7: at least 1,000 parts, in each at least 2 samples, each at least 5 % of it."""
    final = facts.final_verification
    if final is None or final.kind is not Verification.SAMPLED:
        return
    drawn, capacity = final.sampling, facts.drive.geometry.capacity_bytes
    if drawn is not None and drawn.bytes_sampled >= capacity:
        return
    if (
        drawn is None
        or drawn.parts < PARTS
        or drawn.samples_per_part < SAMPLES_PER_PART
        or drawn.sample_bytes * drawn.parts * SAMPLES_PER_LENGTH < capacity
    ):
        yield Reason("samples", "samples as Rev. 1 §4.7 asks: 2 of 5 % in each of 1,000 parts")


def _whole_passes(facts: Facts) -> list[Pattern]:
    """What was written over the whole drive, pass by pass, and flushed there."""
    capacity = facts.drive.geometry.capacity_bytes
    by_number = {number: planned.pattern for number, planned in enumerate(facts.plan.passes, start=1)}
    return [by_number[item.number] for item in facts.passes if item.number in by_number and _is_whole(item, capacity)]


def _is_whole(item: PassFacts, capacity_bytes: int) -> bool:
    return (
        item.is_complete
        and bool(item.runs)
        and covers_to_end(item.runs[-1], capacity_bytes)
        and not (item.bad_bytes or item.lost_bad_extents or any(has_bad_bytes(run) for run in item.runs))
    )


def _has_complements(patterns: Sequence[Pattern]) -> bool:
    """Whether the bytes of one constant pass are everywhere the complement of another's."""
    constants = [item.data for item in patterns if isinstance(item, Constant)]
    complements = [data.translate(_COMPLEMENT) for data in constants]
    return any(_repeat_alike(one, other) for place, one in enumerate(constants) for other in complements[:place])


_COMPLEMENT = bytes(0xFF - byte for byte in range(256))


def _repeat_alike(one: bytes, other: bytes) -> bool:
    """Whether both, repeated, are the same: sequences that repeat after p and after q are, if their first p + q agree."""
    length = len(one) + len(other)
    return (one * length)[:length] == (other * length)[:length]


def _is_removable_flash(drive: Drive) -> bool:
    return drive.transport in (Transport.USB, Transport.MMC) and drive.media is not Media.MAGNETIC
