"""What the station says of itself in English sentences, in the reader's language.

The rack's sentences have numbers and names in them, so they are known by pattern. One that no pattern knows is shown as it is:
a true sentence in English is better than a wrong one in Chinese. The patterns are plain enough to mean the same to a browser.
"""

import re
from functools import cache

from eraser.console.pages.language import N_, Language, translations

# Each `{n}` stands for a run of characters; they are in the translation, too.
SENTENCES = (
    N_("waits for one of the {0} active drives of {1} to end (at most {2})"),
    N_("waits for bandwidth: {0} drives share the {1} of {2}"),
    N_("waits {0} s for other drives of {1} to spin up"),
    N_("waits behind bay {0}, which was overtaken too often"),
    N_("waits for bay {0} to be done with it"),
    N_("waits for room in the ledger"),
    N_("waits for the ledger: {0}"),
    N_("its certificate is still to be written: resume it"),
    N_("it was cancelled (job {0}): resume it, or start it to begin anew"),
    N_("its job does not go on by itself: {0}"),
    N_("paused: resume it"),
    N_("rests until it is below {0} °C"),
    N_("an I/O has been out for {0} s, its limit is {1} s"),
    N_("{0} errors within a minute"),
    N_("{0}, where it would do {1} by what it did before"),
    N_("{0}, where {1} others of its model would do {2}"),
    N_("{0} °C, rests above {1} °C"),
    N_("{0} sectors do not hold what was written"),
    N_("{0} bytes could not be written in pass {1}"),
    N_("{0} bytes could not be read back"),
    N_("the drive is out of sight: {0}"),
    N_("the drive was not read back after the last write"),
    N_("the drive was read back in part where it has to be read in full"),
    N_("pass {0} did not come to its end: {1}"),
    N_("pass {0} did not cover the whole drive: {1}"),
    N_("pass {0} did not cover the whole drive"),
    N_("the drive left"),
    N_("no progress"),
    N_("drive gone"),
    N_("too many errors"),
    N_("flush failed"),
    N_("was asked to stop"),
    N_("given up: {0}"),
    N_("it passed here before (job {0}): start it if it is to be erased again"),
    N_("it failed here before (job {0}): start it if it is to be erased again"),
    N_("start it: drives of no lot are not erased by themselves here"),
    N_("start it: drives of lot {0} are not erased by themselves here"),
    N_("it is recorded as destroyed"),
    N_("it is quarantined ({0}): start it if it is to be erased again"),
    N_("it is released to be sold: start it if it is to be erased again"),
    N_("it was here before lot {0} was taken in: start it if it is to be erased as one of that"),
    N_("lots {0} expect this serial number: receive it by hand with one of them"),
    N_("it has no name of its own to be registered by in lot {0}: bind an asset tag to the bay"),
    N_("two drives bear its name: one in bay {0} and one in bay {1}"),
    N_("it does not answer within {0} s"),
    N_("an I/O of the drive has not returned: power-cycle the bay"),
    N_("nobody looked who else used the drive after it was read back"),
    N_("when it was read back, somebody else used the drive: {0}"),
    N_("the drive says that it has {0} bytes more than the system shows"),
    N_("they were not reached"),
    N_("the drive hides an area ({0})"),
    N_("it was not reached"),
    N_("somebody else wrote to the drive before it left our sight"),
    N_("the verification did not come to its end: {0}"),
    N_("nothing was read back"),
    N_("a fault of this program stopped it: {0}"),
    N_("cancelled"),
    N_("its job failed: {0}"),
    N_("it was refused: {0}"),
    N_("specification {0} asks for {1}"),
    N_("erasing as its lot says"),
    N_("its lot or the station would take {0}"),
    N_("the stronger wish counts: {0}"),
    N_("specifications {0} ask for different standards: start it by one of them"),
)


def said(sentence: str, language: Language) -> str:
    """The sentence in that language; several that are joined by a semicolon one by one."""
    known = patterns(language)
    if not sentence or not known:
        return sentence
    for pattern, translation in known:
        if found := re.fullmatch(pattern, sentence):
            return _filled(translation, [said(group, language) for group in found.groups()])
    parts = sentence.split("; ")
    return "\N{FULLWIDTH SEMICOLON}".join(said(part, language) for part in parts) if len(parts) > 1 else sentence


def _filled(text: str, values: list[str]) -> str:
    for number, value in enumerate(values):
        text = text.replace(f"{{{number}}}", value)
    return text


@cache
def patterns(language: Language) -> list[tuple[str, str]]:
    """Regular expressions of whole sentences, each with its translation, in which `{n}` is the n-th group. None for English."""
    gettext = translations(language).gettext
    pairs = ((sentence, gettext(sentence)) for sentence in SENTENCES)
    return [(_pattern(sentence), translated) for sentence, translated in pairs if translated != sentence]


def _pattern(sentence: str) -> str:
    plain = re.split(r"\{[0-9]\}", sentence)
    escaped = [re.sub(r"([.()?*+\[\]^$|\\])", r"\\\1", part) for part in plain]
    # Not over a semicolon: there another sentence begins.
    return "([^;]+?)".join(escaped)
