"""The catalogue: every program we offer, as one table, and the standards that choose among them by what the drive is.

Passes are written as in the literature: hexadecimal bytes that repeat over the drive, `R` a fresh random stream, `r`
one random byte repeated, `~n` the complement of pass n. Where a source asks for "a random character" or leaves the
pattern free, we write a random stream: every sector then has content of its own, so that reading it back tells an
erased drive from one that answers zeros or wraps its addresses. A free character that a later pass complements has to
be `r`.

No program here is *current*: where a standard is in force, we have seen digests or quotes of it and not its text. Not
offered, because no two sources agree on them or none exists: BSI TL-03423 (`bsi-2011-vs`), the seven passes of GA/T
1143, PSC Secure, bruce-force; nor IRIG 106, which erases flash chips under their translation layer and is no
overwriting of addresses.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from eraser.domain.drive import Drive, Media
from eraser.domain.pattern import ComplementOf, Constant, PatternSpec, RandomByte, RandomStream
from eraser.domain.plan import Level
from eraser.domain.program import PassSpec, Program, Standing, Verification
from eraser.errors import UsageError

FULL, SAMPLED = Verification.FULL, Verification.SAMPLED
WITHDRAWN, SECONDARY, FOLKLORE, OWN = (
    Standing.WITHDRAWN,
    Standing.SECONDARY_SOURCE,
    Standing.FOLKLORE,
    Standing.OWN,
)


def _passes(notation: str) -> tuple[PassSpec, ...]:
    return tuple(PassSpec(_pattern(word)) for word in notation.split())


def _pattern(word: str) -> PatternSpec:
    if word == "R":
        return RandomStream()
    if word == "r":
        return RandomByte()
    if word.startswith("~"):
        return ComplementOf(int(word[1:]))
    return Constant(bytes.fromhex(word))


PROGRAMS: tuple[Program, ...] = (
    Program(
        "zero",
        "Zeros",
        _passes("00"),
        source="a plain technique",
        standing=OWN,
        aliases=("quick", "fillzero", "zeros"),
        note="nwipe adds a blanking pass of its own and so writes the drive twice.",
    ),
    Program(
        "one",
        "Ones",
        _passes("FF"),
        source="a plain technique",
        standing=OWN,
        aliases=("fillff", "ones"),
        note="nwipe ends with zeros unless told not to.",
    ),
    Program(
        "random",
        "One random pass",
        _passes("R"),
        source="a plain technique",
        standing=OWN,
        aliases=("prng", "aperiodic"),
        note="Some tools write one random byte over the whole drive, others a generator that can be foretold; "
        "this is AES-256-CTR.",
    ),
    Program(
        "nist-800-88-clear",
        "NIST SP 800-88 Clear by overwriting",
        _passes("R"),
        source="NIST SP 800-88 Rev. 1 Table A-5 (withdrawn 2025-09-26); Rev. 2 §3.1.1: one pass is enough",
        standing=SECONDARY,
        aliases=("nist", "nist-clear", "nist-800-88"),
        minimum_verification=SAMPLED,
        note="The 'NIST 3 passes 00, FF, random' of other tools stands in no revision.",
    ),
    Program(
        "nist-800-88-clear-usb",
        "NIST SP 800-88 Rev. 1 Clear for USB sticks and memory cards",
        _passes("r ~1"),
        source="NIST SP 800-88 Rev. 1 Appendix A, USB removable media and memory cards (withdrawn 2025-09-26)",
        standing=WITHDRAWN,
        aliases=("nist-clear-usb",),
        minimum_verification=SAMPLED,
        note="At least two passes, a pattern and its complement; one pass falls short of Rev. 1 there.",
    ),
    Program(
        "ieee-2883-clear",
        "IEEE 2883 Clear by overwriting",
        _passes("R"),
        source="IEEE 2883-2022, Clear: one logical overwrite of every address",
        standing=SECONDARY,
        aliases=("ieee-2883", "ieee2883-clear"),
        minimum_verification=SAMPLED,
        note="The text is sold; we know it from a vendor's code that follows it.",
    ),
    Program(
        "gb-46864-2025-magnetic",
        "GB 46864-2025 data overwriting, magnetic media",
        _passes("00 FF R"),
        source="GB 46864-2025 §5-7 (in force from 2027-01-01), pass numbers by press reports",
        standing=SECONDARY,
        aliases=("gb46864-magnetic", "gb-46864-magnetic"),
        minimum_verification=SAMPLED,
        note="At least three passes, at least one random; which bytes is left free. Ends random so that it can "
        "be told apart.",
    ),
    Program(
        "gb-46864-2025-semiconductor",
        "GB 46864-2025 data overwriting, semiconductor media",
        _passes("R R"),
        source="GB 46864-2025 §5-7 (in force from 2027-01-01), pass numbers by press reports",
        standing=SECONDARY,
        aliases=("gb46864-semiconductor", "gb-46864-semiconductor"),
        minimum_verification=SAMPLED,
        note="Reports contradict each other: at least one pass, or at least two for phones, tablets and SSDs. "
        "Two satisfy both.",
    ),
    Program(
        "gat-1143-3",
        "GA/T 1143-2014, three passes",
        _passes("r ~1 R"),
        source="GA/T 1143-2014 §3.2, magnetic media",
        standing=SECONDARY,
        aliases=("ga-t-1143", "gat1143-3", "gat-1143"),
        note="A Chinese name for the DoD's three passes.",
    ),
    Program(
        "bmb21-2019",
        "BMB21-2019",
        _passes("FF 00 R R R FF"),
        source="BMB21-2019, unpublished; the passes come from a contributor to nwipe",
        standing=SECONDARY,
        aliases=("bmb21", "bmb21-2007"),
        note="No tool but an approved one may claim it for state secrets. nwipe's blanking pass leaves zeros "
        "where it should end FF.",
    ),
    Program(
        "dod-5220.22-m",
        "DoD 5220.22-M, row d",
        _passes("r ~1 R"),
        source="DSS Clearing and Sanitization Matrix, NISPOM 1995 §8-306, row d",
        standing=WITHDRAWN,
        aliases=("dod", "dod-3", "dod-short", "dodshort", "dod-5220-22-m", "dod522022m"),
        minimum_verification=FULL,
        note="A character, its complement, a random character. Disks are row d; the 'row E' of other tools is "
        "core memory. "
        "Others write 00, FF, random or end with zeros. The 2006 NISPOM names no method.",
    ),
    Program(
        "dod-7",
        "DoD 5220.22-M ECE",
        _passes("r ~1 R r r ~5 R"),
        source="none: rows E, C and E of the matrix strung together",
        standing=FOLKLORE,
        aliases=("dod-ece", "dod-5220.22-m-ece"),
        note="No document contains it. Often named with 'DoD 5200.28-STD', which says nothing of the kind.",
    ),
    Program(
        "hmg-is5-baseline",
        "HMG IS5 baseline",
        _passes("00"),
        source="HMG IA Standard No. 5, CESG",
        standing=WITHDRAWN,
        aliases=("hmg-base", "hmg-baseline", "is5-baseline"),
        minimum_verification=FULL,
        note="Copies of it differ: zeros in some, random in others.",
    ),
    Program(
        "hmg-is5-enhanced",
        "HMG IS5 enhanced",
        _passes("00 FF R"),
        source="HMG IA Standard No. 5, CESG; CPA Overwriting Tools 2.2",
        standing=WITHDRAWN,
        aliases=("hmg-enh", "hmg-enhanced", "is5enh", "is5-enhanced"),
        minimum_verification=FULL,
        note="Eraser for Windows writes 01 for 'ones', where FF is meant; nwipe adds a blanking pass.",
    ),
    Program(
        "vsitr",
        "VSITR",
        _passes("00 FF 00 FF 00 FF AA"),
        source="VS-IT-Richtlinien, BMI 1998-09-01",
        standing=WITHDRAWN,
        aliases=("bsi-vsitr", "vs-itr"),
        note="Many tools end random instead of AA, or write 01 for 'ones'. BSI TL-03423 has replaced it.",
    ),
    Program(
        "rcmp-tssit-ops-ii",
        "RCMP TSSIT OPS-II",
        _passes("00 FF 00 FF 00 FF R"),
        source="RCMP TSSIT Appendix OPS-II, about 1997",
        standing=WITHDRAWN,
        aliases=("ops2", "ops-ii", "rcmp-ops2", "tssit-ops-ii"),
        minimum_verification=FULL,
        note="DBAN and nwipe write random bytes and their complements, nine passes in all; others 01 for 'ones'.",
    ),
    Program(
        "itsg-06",
        "CSE ITSG-06",
        _passes("r ~1 R"),
        source="CSE ITSG-06, July 2006",
        standing=WITHDRAWN,
        aliases=("csec-itsg-06", "csec-itsg06", "itsg06"),
        minimum_verification=FULL,
        note="Replaced by ITSP.40.006. Some tools begin and end random.",
    ),
    Program(
        "schneier-7",
        "Schneier, seven passes",
        _passes("FF 00 R R R R R"),
        source="B. Schneier, Applied Cryptography, 2nd ed. 1996, §10.9",
        standing=SECONDARY,
        aliases=("schneier",),
        note="An author's advice, not a standard. scrub turns the first two round, Eraser for Windows writes 01 "
        "for 'ones'.",
    ),
    Program(
        "gutmann-35",
        "Gutmann, 35 passes",
        _passes(
            "R R R R"
            " 55 AA 924924 492492 249249"
            " 00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF"
            " 924924 492492 249249 6DB6DB B6DB6D DB6DB6"
            " R R R R"
        ),
        source="P. Gutmann, Secure Deletion of Data from Magnetic and Solid-State Memory, USENIX Security 1996, §3",
        standing=SECONDARY,
        aliases=("gutmann",),
        note="For encodings that drives no longer use; its author calls using all of it today 'voodoo'. Passes 5 "
        "to 31 come in "
        "an order drawn anew, as the paper asks; scrub and Eraser for Windows keep them in order. nwipe 0.40 "
        "always failed in it.",
        shuffled=(5, 31),
    ),
    Program(
        "pfitzner-7",
        "Pfitzner, 7 passes",
        _passes("R " * 7),
        source="none",
        standing=FOLKLORE,
        aliases=("pfitzner7",),
        note="No document is known, only a person's name.",
    ),
    Program(
        "pfitzner-33",
        "Pfitzner, 33 passes",
        _passes("R " * 33),
        source="none",
        standing=FOLKLORE,
        aliases=("pfitzner", "pfitzner33"),
        note="No document is known. Some tools write one random byte 33 times.",
    ),
    Program(
        "ar-380-19",
        "US Army AR 380-19",
        _passes("R r ~2"),
        source="AR 380-19, 27 February 1998, Appendix F",
        standing=WITHDRAWN,
        aliases=("ar380-19", "army"),
        minimum_verification=FULL,
        note="Random first, then a character and its complement; scrub writes 00, FF, random, KillDisk FF, 00, random.",
    ),
    Program(
        "afssi-5020",
        "US Air Force AFSSI 5020",
        _passes("00 FF R"),
        source="AFSSI 5020, 20 August 1996",
        standing=WITHDRAWN,
        aliases=("afssi5020", "air-force"),
        minimum_verification=SAMPLED,
        note="Zeros, ones, any character, at least 10 % read back. KillDisk turns it round, Eraser for Windows "
        "writes three unrelated bytes.",
    ),
    Program(
        "navso-p-5239-26-rll",
        "US Navy NAVSO P-5239-26, RLL drives",
        _passes("FF E4FFFFFF R"),
        source="NAVSO P-5239-26, September 1993",
        standing=WITHDRAWN,
        aliases=("navso-rll", "navso"),
        minimum_verification=FULL,
        note="The word's bits are given from the lowest: 0xFFFFFFE4, bytes E4 FF FF FF. Other tools print it the "
        "wrong way round "
        "(0x27FFFFFF) and write 01 for 'ones'.",
    ),
    Program(
        "navso-p-5239-26-mfm",
        "US Navy NAVSO P-5239-26, MFM drives",
        _passes("FF FDFFFFFF R"),
        source="NAVSO P-5239-26, September 1993",
        standing=WITHDRAWN,
        aliases=("navso-mfm",),
        minimum_verification=FULL,
        note="0xFFFFFFFD, bytes FD FF FF FF. Other tools print it the wrong way round (0x7FFFFFFF) and write 01 "
        "for 'ones'.",
    ),
    Program(
        "gost-r-50739-95",
        "'GOST R 50739-95'",
        _passes("00 R"),
        source="none: GOST R 50739-95 is about access control and holds no such passes",
        standing=FOLKLORE,
        aliases=("gost", "gost-p50739-95", "gost-p-50739-95", "gost-r50739-95"),
        note="What other tools sell under the name; the 'P' in it is a Cyrillic R.",
    ),
    Program(
        "asd-ism",
        "ASD Information Security Manual",
        _passes("R"),
        source="ASD ISM, control ISM-0354",
        standing=SECONDARY,
        aliases=("ism", "ism-0354", "ism-6.2.92"),
        minimum_verification=FULL,
        note="Drives made before 2001 or smaller than 15 GB take asd-ism-3. The number 6.2.92 of other tools is dead.",
    ),
    Program(
        "asd-ism-flash",
        "ASD Information Security Manual, flash",
        _passes("R R"),
        source="ASD ISM, flash memory media",
        standing=SECONDARY,
        minimum_verification=FULL,
        note="Written twice and read back.",
    ),
    Program(
        "asd-ism-3",
        "ASD Information Security Manual, old or small drives",
        _passes("R R R"),
        source="ASD ISM, control ISM-0354",
        standing=SECONDARY,
        minimum_verification=FULL,
        note="For magnetic drives made before 2001 or smaller than 15 GB; other tools leave that clause out.",
    ),
    Program(
        "nnsa",
        "NNSA NAP-14.1-C",
        _passes("R R 00"),
        source="NAP-14.1-C XVI-8, 2008",
        standing=WITHDRAWN,
        aliases=("nap-14.1-c", "nnsa-nap-14.1-c"),
        minimum_verification=FULL,
        note="Known from the manual of scrub.",
    ),
    Program(
        "ncsc-tg-025",
        "NCSC-TG-025",
        _passes("r ~1 R"),
        source="NCSC-TG-025 version 2, September 1991",
        standing=WITHDRAWN,
        aliases=("ncsc",),
        note="A character, its complement, another; repeated as the medium needs. Other tools write 00, FF, random.",
    ),
    Program(
        "nsa-130-2",
        "NSA Manual 130-2",
        _passes("r r 00"),
        source="NSA Manual 130-2 (superseded 2000-11-10 by 9-12, which asks for degaussing or destruction)",
        standing=WITHDRAWN,
        aliases=("nsa-130-1",),
        minimum_verification=FULL,
        note="Two random characters, then a known value.",
    ),
)


@dataclass(frozen=True, slots=True)
class Standard:
    """What a person asks for; which of its `programs` carries it out depends on the drive."""

    name: str
    title: str
    level: Level
    programs: tuple[Program, ...]
    choose: Callable[[Drive], Program]
    """Always one of `programs`."""
    choice: str
    """How it chooses, in words."""
    aliases: tuple[str, ...] = ()


def program_named(name: str) -> Program:
    """The program of this name or alias, whatever its case. Raises UsageError naming close matches."""
    if (found := _PROGRAMS_BY_NAME.get(normalised(name))) is not None:
        return found
    raise _unknown("program", name, _PROGRAMS_BY_NAME)


def program_known_as(name: str) -> Program | None:
    """The program of this name or alias, None where the catalogue has none (a custom one)."""
    return _PROGRAMS_BY_NAME.get(normalised(name))


def standard_named(name: str) -> Standard | Program:
    """What `--standard` means by this: a standard or, where none has this name, a program. Raises UsageError."""
    wanted = normalised(name)
    if (found := _STANDARDS_BY_NAME.get(wanted) or _PROGRAMS_BY_NAME.get(wanted)) is not None:
        return found
    raise _unknown("standard or program", name, {**_PROGRAMS_BY_NAME, **_STANDARDS_BY_NAME})


def known_names() -> frozenset[str]:
    """Every name and alias in use, normalised."""
    return frozenset(_PROGRAMS_BY_NAME) | frozenset(_STANDARDS_BY_NAME)


def normalised(name: str) -> str:
    """Names compare without case, and a blank, an underscore or a slash is as good as a hyphen."""
    return re.sub(r"[\s_/-]+", "-", name.strip().lower())


def _unknown(what: str, name: str, known: dict[str, object] | dict[str, Program]) -> UsageError:
    from difflib import get_close_matches

    close = get_close_matches(normalised(name), list(known), n=3)
    suggestion = f"Did you mean {' or '.join(close)}? " if close else ""
    return UsageError(f"no {what} is called {name!r}", remedy=f"{suggestion}`eraser programs` lists them all.")


def _index(items: tuple[Program, ...]) -> dict[str, Program]:
    return {normalised(name): item for item in items for name in (item.name, *item.aliases)}


_PROGRAMS_BY_NAME = _index(PROGRAMS)

ISM_SMALL_BYTES = 15 * 10**9


def _gb_46864(drive: Drive) -> Program:
    # Unknown media take the stricter of the two.
    flash = drive.media is Media.FLASH
    return program_named("gb-46864-2025-semiconductor" if flash else "gb-46864-2025-magnetic")


def _asd_ism(drive: Drive) -> Program:
    if drive.media is Media.FLASH:
        return program_named("asd-ism-flash")
    return program_named("asd-ism-3" if drive.geometry.capacity_bytes < ISM_SMALL_BYTES else "asd-ism")


def _always(name: str) -> Callable[[Drive], Program]:
    return lambda drive: program_named(name)


STANDARDS: tuple[Standard, ...] = (
    Standard(
        "nist-800-88-clear",
        "NIST SP 800-88 Clear",
        Level.CLEAR,
        (program_named("nist-800-88-clear"),),
        choose=_always("nist-800-88-clear"),
        choice="one random pass",
        aliases=("nist", "nist-clear", "nist-800-88"),
    ),
    Standard(
        "ieee-2883-clear",
        "IEEE 2883 Clear",
        Level.CLEAR,
        (program_named("ieee-2883-clear"),),
        choose=_always("ieee-2883-clear"),
        choice="one random pass",
        aliases=("ieee-2883", "ieee2883-clear"),
    ),
    Standard(
        "gb-46864-2025",
        "GB 46864-2025 data overwriting",
        Level.CLEAR,
        (program_named("gb-46864-2025-magnetic"), program_named("gb-46864-2025-semiconductor")),
        choose=_gb_46864,
        choice="semiconductor: two random passes; magnetic and unknown media: three, the last random",
        aliases=("gb46864", "gb-46864", "gb46864-2025"),
    ),
    Standard(
        "asd-ism",
        "ASD Information Security Manual",
        Level.CLEAR,
        (program_named("asd-ism"), program_named("asd-ism-flash"), program_named("asd-ism-3")),
        choose=_asd_ism,
        choice="magnetic and unknown media: one random pass, three below 15 GB; flash: two. "
        "For drives made before 2001 ask for asd-ism-3 by name",
        aliases=("ism", "ism-0354", "ism-6.2.92"),
    ),
)
_STANDARDS_BY_NAME: dict[str, Standard] = {
    normalised(name): item for item in STANDARDS for name in (item.name, *item.aliases)
}
