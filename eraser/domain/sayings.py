"""What the station says of itself: a closed set of codes, each with its typed values, and one table of their English.

A saying is a code and its values. Who shows it in English asks `english`; pages say it in their reader's language by the code;
whoever decides anything by it (alarms, which orders a bay takes) looks at the code and never at the words. Records keep the
English sentence, as the certificates do: `recalled` gives the saying back that it was made of.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType

from eraser.domain.problem import problem_of

_PLACE = re.compile(r"\{(\w+)(?::(\w+))?\}")
_KINDS: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {"text": (str,), "count": (int,), "seconds": (int, float), "limit": (int, float), "rate": (int, float)}
)
"""What a place in a sentence takes; `saying` is another saying. Rates are bytes per second."""


class Code(StrEnum):
    """A code, its sentence in English with a place for each value, and for what is refused or failed a heading of a few
    words: what is said where the sentence itself tells of what nobody could foresee (`detail`).
    """

    template: str
    heading: str

    def __new__(cls, value: str, template: str, heading: str = "") -> "Code":
        """As StrEnum makes one, with its words."""
        made = str.__new__(cls, value)
        made._value_ = value
        made.template = template
        made.heading = heading
        return made

    # ---- what a bay waits for

    WAITS_FOR_DRIVES = (
        "waits-for-drives",
        "waits for one of the {active:count} active drives of {domain} to end (at most {most:count})",
    )
    WAITS_FOR_BANDWIDTH = (
        "waits-for-bandwidth",
        "waits for bandwidth: {active:count} drives share the {limit:rate} of {domain}",
    )
    WAITS_FOR_SPIN_UP = "waits-for-spin-up", "waits {seconds:seconds} s for other drives of {domain} to spin up"
    WAITS_BEHIND = "waits-behind", "waits behind bay {bay}, which was overtaken too often"
    WAITS_WHILE_DRAINING = "waits-while-draining", "waits: the station begins nothing while it drains"
    WAITS_FOR_BAY = "waits-for-bay", "waits for bay {bay} to be done with it"
    CANCELLED_WAITS_FOR_BAY = (
        "cancelled-waits-for-bay",
        "was cancelled, and waits for bay {bay} to be done with it",
    )
    WAITS_FOR_ROOM = "waits-for-room", "waits for room in the ledger"
    WAITS_FOR_LEDGER = "waits-for-ledger", "waits for the ledger: {detail}", "waits for the ledger"
    WAITS_FOR_CONSENT = "waits-for-consent", "waits for the customer's consent: show them their drive's page"
    PAUSED_BY_PERSON = "paused-by-person", "paused: resume it"
    RESTS_FOR_HEAT = "rests-for-heat", "rests until it is below {celsius:limit} °C"

    # ---- what a person is asked

    NOT_BY_ITSELF = "not-by-itself", "start it: drives of no lot are not erased by themselves here"
    LOT_NOT_BY_ITSELF = "lot-not-by-itself", "start it: drives of lot {lot} are not erased by themselves here"
    PASSED_BEFORE = "passed-before", "it passed here before (job {job}): start it if it is to be erased again"
    FAILED_BEFORE = "failed-before", "it failed here before (job {job}): start it if it is to be erased again"
    VERIFICATION_FAILED_BEFORE = (
        "verification-failed-before",
        "its verification failed here before (job {job}): start it if it is to be erased again",
    )
    CERTIFICATE_DUE = "certificate-due", "its certificate is still to be written: resume it"
    JOB_CANCELLED = "job-cancelled", "it was cancelled (job {job}): resume it, or start it to begin anew"
    RECORDED_DESTROYED = "recorded-destroyed", "it is recorded as destroyed"
    TO_TELL_APART = "to-tell-apart", "{cause:saying}: start it when the two are told apart"
    QUARANTINED = "quarantined", "it is quarantined ({cause:saying}): start it if it is to be erased again"
    RELEASED = "released", "it is released to be sold: start it if it is to be erased again"
    KNOWN_NAME = "known-name", "several drives are known by its name"
    MAY_JOIN_LOT = (
        "may-join-lot",
        "it was here before lot {lot} was taken in: start it if it is to be erased as one of that",
    )
    CAME_WITH_LOT = (
        "came-with-lot",
        "it came with lot {lot}, and this bay takes in lot {other}: receive it by hand if it came anew",
    )
    CAME_WITHOUT_LOT = (
        "came-without-lot",
        "it came without a lot, and this bay takes in lot {other}: receive it by hand if it came anew",
    )
    EXPECTED_TWICE = "expected-twice", "lots {lots} expect this serial number: receive it by hand with one of them"
    NAMELESS_IN_LOT = (
        "nameless-in-lot",
        "it has no name of its own to be registered by in lot {lot}: bind an asset tag to the bay",
    )
    NOT_EXPECTED = "not-expected", "lot {lot} does not expect this serial number"
    MORE_THAN_EXPECTED = (
        "more-than-expected",
        "lot {lot} expects {count:count} drives, and as many had come before this one",
    )

    # ---- what other programs ask for a drive (`domain/specification.py`)

    SPECIFICATION_ASKS = "specification-asks", "specification {reference} asks for {wishes}"
    SPECIFICATION_AS_LOT = "specification-as-lot", "specification {reference} leaves it to the drive's lot"
    SPECIFICATION_READING = (
        "specification-reading",
        "specification {reference} wants it read back {reading:saying}",
    )
    READ_FULLY = "reading.full", "in full"
    READ_IN_SAMPLES = "reading.sampled", "in samples"
    READ_NOT_AT_ALL = "reading.none", "not at all"
    LOT_WOULD_TAKE = "lot-would-take", "its lot or the station would take {standard}"
    STRONGER_LEVEL = "stronger-level", "the stronger wish counts, level {level}"
    STRONGER_READING = "stronger-reading", "the stronger wish counts, it is read back {reading:saying}"
    SPECIFICATIONS_DIFFER = (
        "specifications-differ",
        "specifications {references} ask for different standards: start it by one of them",
    )

    # ---- what became of a drive and its job

    NOT_ON_BY_ITSELF = "not-on-by-itself", "its job does not go on by itself: {why:saying}"
    HELD_BY_IO = "held-by-io", "an I/O of the drive has not returned: power-cycle the bay"
    PASSED_CERTIFICATE_WAITS = "passed-certificate-waits", "it passed, and its certificate waits: {why:saying}"
    FAILED_CERTIFICATE_WAITS = "failed-certificate-waits", "it failed, and its certificate waits: {why:saying}"
    OLD_PICTURE = "old-picture", "what is shown of it is old: {detail}", "what is shown of it is old"
    PROBLEM = "problem", "{detail}", "{problem:problem}"
    """Something that was refused or went wrong; `problem` is a value of `domain.problem.Problem`."""
    FAULT = "fault", "a fault of this program stopped it: {detail}", "a fault of this program stopped it"
    NO_ANSWER = (
        "no-answer",
        "it does not answer within {seconds:seconds} s: power-cycle the bay, or plug it in elsewhere",
    )
    AS_WRITTEN = "as-written", "{text}"
    """What a person has written, or a version of this program that is not known."""

    STOPPED_ON_REQUEST = "stopped-on-request", "stopped on request"
    DRIVE_LEFT = "drive-left", "the drive is no longer there"
    PROCESS_DIED = "process-died", "the transfer process died"
    NEVER_BEGUN = "never-begun", "the station ended before it was planned"
    NOTHING_WRITTEN = "nothing-written", "given up before anything was written"
    FOR_A_NEW_JOB = "for-a-new-job", "given up for a new job"
    MAY_BE_MISSING = "may-be-missing", "bad places found after the last checkpoint may be missing here"
    NO_REASON_GIVEN = "no-reason-given", "no reason was given"
    WROTE_MEANWHILE = "wrote-meanwhile", "somebody else wrote to the drive while this job did"
    MARKERS_READ_BEFORE = "markers-read-before", "its markers were read back before it left our sight"
    NOT_ON_MEDIUM = "not-on-medium", "nothing shows that what was written before had reached the medium"
    NO_LONGER_THERE = "no-longer-there", "what was written before is no longer on the drive"

    END_COMPLETED = "end.completed", "completed"
    END_CANCELLED = "end.cancelled", "cancelled"
    END_GONE = "end.gone", "drive gone"
    END_TOO_MANY_ERRORS = "end.too-many-errors", "too many errors"
    END_NO_PROGRESS = "end.no-progress", "no progress"
    END_FLUSH_FAILED = "end.flush-failed", "flush failed"
    END_CACHE_KEPT = (
        "end.cache-kept",
        "the page cache could not be emptied, so nothing read would prove anything",
    )
    END_PROCESS_DIED = "end.process-died", "transfer process died"
    END_INTERNAL = "end.internal", "internal error"

    # ---- custody records

    CUSTODY_FAILED = "custody.failed", "its job failed: {codes:codes}"
    CUSTODY_REFUSED = "custody.refused", "it was refused: {codes:codes}"
    CUSTODY_LAST_FAILED = "custody.last-failed", "its last job failed"
    CUSTODY_WITHDRAWN = "custody.withdrawn", "its certificate {certificate} was withdrawn: {reason}"
    CUSTODY_TWICE = "custody.twice", "two drives bear its name: one in bay {bay} and one in bay {other}"
    CUSTODY_ANOTHER = "custody.another", "its name was that of another drive: {before}, now {seen}"

    # ---- what the watchdog finds

    STUCK = "stuck", "an I/O has been out for {seconds:seconds} s, its limit is {most:limit} s"
    ERRORS = "errors", "{count:count} errors within a minute"
    SLOWER_THAN_BEFORE = (
        "slower-than-before",
        "{rate:rate}, where it would do {expected:rate} by what it did before",
    )
    SLOWER_THAN_TWINS = (
        "slower-than-twins",
        "{rate:rate}, where {count:count} others of its model would do {expected:rate}",
    )
    HOT = "hot", "{celsius:limit} °C, rests above {most:limit} °C"
    HOT_AND_SILENT = "hot-and-silent", "no longer says how warm it is, rests above {most:limit} °C"

    # ---- why a job has not passed (`domain/verdict.py`, `domain/failure.py`): the codes before the point stand in certificates

    ABANDONED = "abandoned", "given up: {why:saying}", "given up"
    TOO_MANY_BAD_EXTENTS = (
        "too-many-bad-extents",
        "{count:count} bad extents, the failure criterion is more than {most:count}",
        "too many bad places",
    )
    TOO_MANY_RETRIES = (
        "too-many-retries",
        "{count:count} retries, the failure criterion is more than {most:count}",
        "too many retries",
    )
    TOO_SLOW = (
        "too-slow",
        "{rate:count} bytes/s for {seconds:count} s, the failure criterion is less than {least:count}",
        "too slow",
    )
    TOO_MANY_REALLOCATED = (
        "too-many-reallocated-sectors",
        "{count:count} reallocated sectors, the failure criterion is more than {most:count}",
        "too many reallocated sectors",
    )
    OUT_OF_SIGHT = "interrupted", "the drive is out of sight: {why:saying}", "the drive is out of sight"
    NO_CAPACITY = "no-capacity", "the drive has no sector that could have been overwritten", "no capacity"
    HIDDEN_BYTES = (
        "hidden-area.bytes",
        "the drive says that it has {count:count} bytes more than the system shows; they were not reached",
        "a hidden area was not reached",
    )
    HIDDEN_AREAS = (
        "hidden-area.named",
        "the drive hides an area ({areas}); it was not reached",
        "a hidden area was not reached",
    )
    MARKERS_MISSING = (
        "markers-missing.none",
        "the markers that show distinct addresses were not written and read back",
        "the markers are missing",
    )
    MARKERS_PARTLY = (
        "markers-missing.partly",
        "not all of the markers were written and read back",
        "the markers are missing",
    )
    MARKERS_DIFFER = (
        "markers-differ",
        "{count:count} sectors of the markers did not come back as written: "
        "the drive does not keep what it is given at each address",
        "the markers did not come back as written",
    )
    PASSES_MISSING = (
        "passes-missing",
        "{count:count} of {planned:count} passes are on record",
        "passes are missing",
    )
    PASS_INCOMPLETE = (
        "pass-incomplete",
        "pass {number:count} did not cover the whole drive",
        "a pass did not cover the whole drive",
    )
    PASS_ENDED_EARLY = (
        "pass-incomplete.ended",
        "pass {number:count} did not cover the whole drive: {end:saying}",
        "a pass did not cover the whole drive",
    )
    FLUSH_ASSUMED = (
        "flush-assumed",
        "nothing shows that pass {number:count} reached the medium, nor was it read back",
        "nothing shows that it reached the medium",
    )
    NOT_WRITTEN = (
        "not-written",
        "{count:count} bytes could not be written in pass {number:count}",
        "not all could be written",
    )
    NEVER_HELD = "never-held", "the drive was never held for this job", "the drive was never held"
    UNCHECKED = (
        "unchecked",
        "what was written before the drive left our sight was not read back before going on",
        "what was written before was not read back",
    )
    FOREIGN_WRITE_BEFORE = (
        "foreign-write.before",
        "somebody else wrote to the drive before it left our sight",
        "somebody else wrote to the drive",
    )
    FOREIGN_WRITE = (
        "foreign-write.seen",
        "the drive took {seen:count} sectors, ours are {ours:count}: somebody else wrote, or not all of ours went out",
        "somebody else wrote to the drive",
    )
    CHANGED_OUT_OF_SIGHT = (
        "changed-out-of-sight",
        "{count:count} sectors written before pass {number:count} was resumed are no longer there",
        "it was changed out of our sight",
    )
    PASS_NOT_READ_BACK = (
        "verification-missing.pass",
        "pass {number:count} was not read back, as the program asks",
        "it was not read back as it has to be",
    )
    PASS_READ_IN_PART = (
        "verification-missing.pass-in-part",
        "pass {number:count} was read back in part only",
        "it was not read back as it has to be",
    )
    NOT_READ_BACK = (
        "verification-missing.all",
        "the drive was not read back after the last write",
        "it was not read back as it has to be",
    )
    READ_IN_PART = (
        "verification-missing.in-part",
        "the drive was read back in part where it has to be read in full",
        "it was not read back as it has to be",
    )
    NOTHING_READ = (
        "verification-missing.nothing",
        "nothing was read back",
        "it was not read back as it has to be",
    )
    NOT_THE_LAST_PASS = (
        "verification-missing.another-pass",
        "what was read back was not the last pass",
        "it was not read back as it has to be",
    )
    HASH_MISSING = (
        "hash-missing",
        "what was read back was not hashed in all its extents, as planned",
        "it was not hashed as planned",
    )
    VERIFICATION_INCOMPLETE = (
        "verification-incomplete",
        "verification of pass {number:count} read {count:count} bytes, not all that it had to",
        "not all was read back",
    )
    NOT_VERIFIED = "not-verified", "{count:count} bytes could not be read back", "not all could be read back"
    MISMATCH = (
        "mismatch",
        "{count:count} sectors do not hold what was written",
        "sectors do not hold what was written",
    )
    VERIFICATION_ENDED_EARLY = (
        "ended-early.verification",
        "verification of pass {number:count} did not come to its end: {end:saying}",
        "it did not come to its end",
    )
    MARKERS_ENDED_EARLY = (
        "ended-early.markers",
        "the markers did not come to its end: {end:saying}",
        "it did not come to its end",
    )
    ACTIVITY_UNKNOWN = (
        "activity-unknown",
        "the kernel's counters of the drive are missing, so nobody knows who else wrote",
        "nobody knows who else wrote",
    )
    FLUSH_LOST = (
        "flush-lost",
        "{expected:count} flushes were asked for, {seen:count} went out to the drive",
        "a flush was lost",
    )
    USE_UNKNOWN = (
        "use-unknown",
        "nobody looked who else used the drive after it was read back",
        "nobody looked who else used the drive",
    )
    IN_USE = "in-use", "when it was read back, somebody else used the drive: {detail}", "somebody else used the drive"
    FAILURE_GONE = "gone", "the transfer ended: the drive is gone", "the drive is gone"
    FAILURE_TOO_MANY_ERRORS = "too-many-errors", "the transfer ended: too many errors", "too many errors"
    FAILURE_NO_PROGRESS = "no-progress", "the transfer ended: no progress", "no progress"
    FAILURE_FLUSH = "flush-failed", "the transfer ended: flush failed", "flush failed"
    FAILURE_CACHE_KEPT = (
        "cache-kept",
        "the transfer ended: the page cache was kept",
        "what is in memory could not be told from what is on the drive",
    )
    FAILURE_INTERNAL = "internal", "the transfer ended: a fault of this program", "a fault of this program"

    # ---- why the station is not ready

    TROUBLE_EVENTS = "trouble.events", "{detail}", "drives that come and go cannot be heard of"
    TROUBLE_DRIVE = "trouble.drive", "drive {name} is not attended to: {detail}", "drive {name} is not attended to"
    TROUBLE_PLACE = "trouble.place", "{detail}", "one place is two bays by the configuration"
    TROUBLE_BAY = "trouble.bay", "bay {bay} is out of service: {detail}", "bay {bay} is out of service"
    TROUBLE_PICTURE = "trouble.picture", "what is shown is old: {detail}", "what is shown is old"
    TROUBLE_BAY_PICTURE = (
        "trouble.bay-picture",
        "bay {bay}: what is shown of it is old: {detail}",
        "bay {bay}: what is shown of it is old",
    )
    TROUBLE_LEDGER_FULL = "trouble.ledger-full", "jobs wait for room in the ledger: its disk is full"
    TROUBLE_LEDGER_SILENT = "trouble.ledger-silent", "the ledger has not answered for {seconds:seconds} s"
    TROUBLE_LEDGER = "trouble.ledger", "{detail}", "the ledger can't be read or written"
    TROUBLE_LOG = "trouble.log", "{detail}", "the transparency log is not signed"
    TROUBLE_CONTROL = (
        "trouble.control",
        "nothing is certified: {detail}",
        "nothing is certified: the positive control is not as it must be",
    )
    TROUBLE_ROUTINE = (
        "trouble.routine",
        "nothing was drawn for the routine control: {detail}",
        "nothing was drawn for the routine control",
    )
    TROUBLE_CONTROL_RECORD = "trouble.control-record", "{detail}", "a control is not on record"
    TROUBLE_CONFIGURATION = (
        "trouble.configuration",
        "the configuration was changed and cannot be used, the old one counts: {detail}",
        "the configuration was changed and cannot be used, the old one counts",
    )
    TROUBLE_JOB = "trouble.job", "{detail}", "job {job} can't be believed"
    TROUBLE_CERTIFICATE = (
        "trouble.certificate",
        "the certificate of job {job} can't be issued: {detail}",
        "the certificate of job {job} can't be issued",
    )
    TROUBLE_RECORDS = "trouble.records", "{detail}", "signed records could not be finished"
    TROUBLE_KEYS = (
        "trouble.keys",
        "keys that are due can't be destroyed: {detail}",
        "keys that are due can't be destroyed",
    )
    TROUBLE_KEY_BACKUPS = (
        "trouble.key-backups",
        "backups that may still hold destroyed keys can't be reached: {detail}",
        "backups that may still hold destroyed keys can't be reached",
    )
    TROUBLE_OTHER = "trouble.other", "{detail}", "the station needs looking after: see its log"

    @property
    def family(self) -> str:
        """What stands in certificates and metrics: the code before its point."""
        return self.value.partition(".")[0]

    @property
    def places(self) -> Mapping[str, str]:
        """The names of its values, each with its kind."""
        return _places(f"{self.template} {self.heading}")


CODES: Mapping[str, Code] = MappingProxyType({code.value: code for code in Code})
"""By their values."""

VERIFICATION_FAILURES = frozenset(
    {
        Code.MISMATCH,
        Code.NOT_VERIFIED,
        Code.MARKERS_DIFFER,
        Code.CHANGED_OUT_OF_SIGHT,
        Code.VERIFICATION_FAILED_BEFORE,
    }
)
"""What was read back is not what was written: the drive lies, cannot be read, or another has written to it."""


@dataclass(frozen=True, slots=True)
class Saying:
    """A code with its values; `say` makes one."""

    code: Code
    values: Mapping[str, "str | int | float | Saying"] = field(default_factory=dict)

    @property
    def english(self) -> str:
        """The sentence."""
        return _PLACE.sub(lambda place: _english_value(place[2] or "text", self.values[place[1]]), self.code.template)

    @property
    def brief(self) -> str:
        """The sentence without what only those who are signed in may read: what an error says, and which drive it names."""
        if "detail" not in self.code.places or not self.code.heading:
            return self.english
        values = {name: "" if name == "name" else value for name, value in self.values.items()}
        text = _PLACE.sub(lambda place: _english_value(place[2] or "text", values[place[1]]), self.code.heading)
        return text.replace("  ", " ")

    def __str__(self) -> str:
        return self.english


Sayings = tuple[Saying, ...]


def say_error(error: Exception) -> Saying:
    """What went wrong: in English with all that the error says, elsewhere by its heading."""
    return say(Code.PROBLEM, problem=problem_of(error).value, detail=str(error))


def say(code: Code, **values: "str | int | float | Saying") -> Saying:
    """A saying with exactly the values that its sentence has places for, each of its kind. Raises TypeError otherwise: that
    is a fault of whoever says it.
    """
    places = code.places
    if values.keys() != places.keys():
        raise TypeError(f"{code.value} is said with {', '.join(places) or 'nothing'}, not with {', '.join(values)}")
    for name, value in values.items():
        kinds = (Saying,) if places[name] == "saying" else _KINDS.get(places[name], (str,))
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise TypeError(f"{name} of {code.value} is a {places[name]}, not {value!r}")
    return Saying(code, values)


def english(sayings: Iterable[Saying]) -> str:
    """All of them in a line."""
    return "; ".join(saying.english for saying in sayings)


@cache
def _places(template: str) -> Mapping[str, str]:
    return {name: kind or "text" for name, kind in _PLACE.findall(template)}


def _english_value(kind: str, value: "str | int | float | Saying") -> str:
    if isinstance(value, Saying):
        return value.english
    if isinstance(value, str):
        return value
    match kind:
        case "rate":
            return f"{value / 1e6:.0f} MB/s" if value >= 100e6 else f"{value / 1e6:.3g} MB/s"
        case "seconds":
            return f"{value:.0f}"
        case "limit":
            return f"{value:g}"
        case _:
            return str(value)


# ---- sentences on record


def recalled(text: str, family: str = "") -> Saying:
    """The saying whose English this sentence is. One that no code has is said as it is written, or under the heading of the
    code that is kept beside it (`family`).
    """
    for code, pattern in _patterns():
        if found := pattern.fullmatch(text):
            return Saying(code, {name: _read(kind, found[name]) for name, kind in code.places.items()})
    other = next((code for code in Code if family and code.family == family and code.template == "{text}"), None)
    return Saying(other or Code.AS_WRITTEN, {"text": text})


def all_recalled(text: str) -> Sayings:
    """The same of several that were put in a line; empty for none. Some have a semicolon of their own."""
    parts = text.split("; ") if text else []
    found: list[Saying] = []
    while parts:
        count = next((count for count in (2, 1) if _is_known(recalled("; ".join(parts[:count])))), 1)
        found.append(recalled("; ".join(parts[:count])))
        parts = parts[count:]
    return tuple(found)


def _is_known(saying: Saying) -> bool:
    inner = [value for value in saying.values.values() if isinstance(value, Saying)]
    return saying.code is not Code.AS_WRITTEN and all(_is_known(value) for value in inner)


def _read(kind: str, text: str) -> "str | int | float | Saying":
    match kind:
        case "count":
            return int(text)
        case "seconds" | "limit":
            return float(text)
        case "saying":
            return recalled(text)
        case _:
            return text


_EXPRESSIONS = {"count": r"\d+", "seconds": r"[\d.]+", "limit": r"-?[\d.e+]+", "rate": r"[^;]+", "saying": ".+"}


@cache
def _patterns() -> tuple[tuple[Code, re.Pattern[str]], ...]:
    """Of all sentences that say something by themselves: those with the most words of their own first."""
    able = [code for code in Code if re.search(r"\w", _PLACE.sub("", code.template))]
    able.sort(key=lambda code: -len(_PLACE.sub("", code.template)))
    return tuple((code, re.compile(_expression(code.template))) for code in able)


def _expression(template: str) -> str:
    parts, at = [], 0
    for place in _PLACE.finditer(template):
        parts.append(re.escape(template[at : place.start()]))
        parts.append(f"(?P<{place[1]}>{_EXPRESSIONS.get(place[2] or 'text', r'[^;]+')})")
        at = place.end()
    return "".join((*parts, re.escape(template[at:])))
