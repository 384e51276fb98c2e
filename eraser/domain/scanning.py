"""Which of a drive label's many bar codes was read, and which drive it means. Pure.

A label bears its serial number beside part numbers, world-wide names, MAC and PSID codes, dates and lots, each as a bar code of
its own, or several in one 2D code; whoever scans takes whichever the scanner catches. What is known of drives decides first:
a code that is the name of a drive that is there or is expected means that drive. Only what nothing is known of is judged by its
form. A code that merely looks like a known name (8 for B, 0 for O) is never taken for it: a person is asked.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from eraser.domain.lot import MAX_NAME_CHARACTERS

MAX_SCAN_CHARACTERS = 2000
"""The largest 2D codes of drives have some 300."""
MAX_PARTS = 64
"""Codes that are looked at in one scan."""

_Spelling = Callable[[str], str]


class CodeKind(StrEnum):
    """What a bar code says."""

    SERIAL = "serial"
    WORLD_WIDE_NAME = "world-wide-name"
    PART_NUMBER = "part-number"
    MAC = "mac"
    PSID = "psid"
    """32 characters that revert a self-encrypting drive: a secret printed on its label, never to be kept or shown."""
    ARTICLE = "article"
    """GTIN: EAN or UPC of the retail box."""
    BATCH = "batch"
    DATE = "date"
    COUNT = "count"
    ASSET_TAG = "asset-tag"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Code:
    """One bar code. `is_marked`: a prefix on it says what it is; else its form alone."""

    kind: CodeKind
    value: str
    is_marked: bool = False
    whole: str = ""
    """With its prefix, where that may be the beginning of a name after all."""


@dataclass(frozen=True, slots=True)
class Known:
    """A drive that a scan may mean: one that is there (`bay`), one that a lot expects, or both."""

    serial: str = ""
    world_wide_name: str = ""
    asset_tag: str = ""
    bay: str = ""
    lot_id: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Those that it has."""
        return tuple(name for name in (self.serial, self.world_wide_name, self.asset_tag) if name)


class Finding(StrEnum):
    """What a scan came to."""

    KNOWN = "known"
    """It is the name of one known drive."""
    ALIKE = "alike"
    """It is no known name, and looks like one or more: a person compares the label."""
    AMBIGUOUS = "ambiguous"
    """It means several known drives, or the codes of one label mean different ones."""
    NEW = "new"
    """A serial number that nothing is known of."""
    NOT_A_NAME = "not-a-name"
    """Codes that no drive is known by: another one of the label's has to be scanned."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """`value` is the name to go on with, in the spelling of the known drive where there is one; empty where nothing was found.
    `drives` are those that it may mean; `codes` all that was read.
    """

    finding: Finding
    value: str = ""
    drives: tuple[Known, ...] = ()
    codes: tuple[Code, ...] = ()


# ---- from what the scanner typed to codes


def codes_of(scan: str) -> tuple[Code, ...]:
    """All that one scan holds, in its order, each once. Secrets (PSID) are named and not given back."""
    found: dict[Code, None] = {}
    for part in _parts(scan[:MAX_SCAN_CHARACTERS]):
        code = _code(part)
        if code.kind is CodeKind.PSID:
            code = Code(CodeKind.PSID, "", code.is_marked)
        found.setdefault(code)
        if len(found) == MAX_PARTS:
            break
    return tuple(found)


_ENVELOPE = re.compile(r"^\[\)>\x1e?0[56]\x1d?")
"""ISO/IEC 15434: `[)>`, RS, format 05 (GS1) or 06 (ANSI MH10.8.2), GS; scanners may leave the control characters out."""
_SEPARATORS = re.compile(r"[\x1c-\x1f\x04\r\n\t;,|]+")


def _parts(scan: str) -> Iterator[str]:
    for part in _SEPARATORS.split(_ENVELOPE.sub("", scan)):
        if text := _plain(part):
            yield text


def _plain(text: str) -> str:
    """Without blanks around it, start and stop characters of Code 39, and what can't be printed.

    A keyboard that is set to Chinese makes wide forms of what the scanner types: they are the same letters.
    """
    wide = unicodedata.normalize("NFKC", text)
    text = "".join(character for character in wide if character.isprintable()).strip()
    return text[1:-1].strip() if len(text) > 2 and text[0] == text[-1] == "*" else text


_WORDS: tuple[tuple[CodeKind, str], ...] = (
    (CodeKind.SERIAL, r"S\s*/\s*N|SER(?:IAL)?\.?(?:\s*(?:NO|NUM(?:BER)?)\.?)?|SN|序列号|序號"),
    (CodeKind.WORLD_WIDE_NAME, r"WWN|WWID|EUI(?:-?64)?|NAA|LU\s*WWN"),
    (CodeKind.PART_NUMBER, r"P\s*/\s*N|PART(?:\s*(?:NO|NUMBER)\.?)?|PN|MDL|MODEL|M\s*/\s*N|MN|SPS|FRU|DP\s*/\s*N|PBA"),
    (CodeKind.MAC, r"MAC|EA"),
    (CodeKind.PSID, r"PSID"),
    (CodeKind.BATCH, r"LOT|BATCH|DCM|DCX|R\s*/\s*N|REV|FW|F\s*/\s*W"),
    (CodeKind.DATE, r"DATE|DOM|D\s*/\s*C|MFG"),
)
_WORDED = tuple((kind, re.compile(rf"^(?:{words})\s*[:#.=\s]\s*(\S.*)$", re.IGNORECASE)) for kind, words in _WORDS)
"""What stands in words before a code, in full on some labels and in the bar code itself on a few."""

_IDENTIFIERS: tuple[tuple[CodeKind, re.Pattern[str]], ...] = (
    # GS1 application identifiers, as they are printed under the code.
    (CodeKind.SERIAL, re.compile(r"^\(21\)(\S{4,})$")),
    (CodeKind.ARTICLE, re.compile(r"^\(0[12]\)(\d{14})$")),
    (CodeKind.BATCH, re.compile(r"^\(10\)(\S+)$")),
    (CodeKind.PART_NUMBER, re.compile(r"^\((?:24[01]|30P|1P)\)(\S+)$")),
    (CodeKind.DATE, re.compile(r"^\(1[1-7]\)(\d{6})$")),
    # ANSI MH10.8.2 data identifiers: a number and a letter.
    (CodeKind.PART_NUMBER, re.compile(r"^(?:1|30)P(\S{4,})$")),
    (CodeKind.BATCH, re.compile(r"^1T(\S{4,})$")),
    (CodeKind.MAC, re.compile(r"^23S([0-9A-F]{12})$", re.IGNORECASE)),
    (CodeKind.DATE, re.compile(r"^(?:9|10|16)D(\d{4,8})$")),
    (CodeKind.COUNT, re.compile(r"^Q(\d{1,4})$")),
)
_SUPPLIER_SERIAL = re.compile(r"^1?S(\S{6,})$")
"""MH10.8.2 `S`, and `1S` as some use it: a letter that very many serial numbers begin with themselves."""

_WORLD_WIDE = re.compile(r"^(?:0x|naa\.|eui\.)?([0-9A-F]{16}|[0-9A-F]{32})$", re.IGNORECASE)
_IS_NAA = re.compile(r"^(?:[235][0-9A-F]{15}|6[0-9A-F]{31})$", re.IGNORECASE)
"""T10 NAA formats: 2, 3 and 5 have 64 bits, 6 has 128."""
_EUI_VENDORS = ("002538", "0025385", "6479A7", "E8238", "00A075", "000CCA", "ACE42E", "8CE38E", "001B448")
"""How the EUI-64 of flash drives that are often met begin: Samsung, Kioxia, Western Digital, Micron, SK hynix, SanDisk."""
_MAC = re.compile(r"^(?:[0-9A-F]{2}[:-]){5}[0-9A-F]{2}$", re.IGNORECASE)
_PSID = re.compile(r"^[0-9A-Z]{32}$")


def _code(text: str) -> Code:
    for kind, pattern in _WORDED:
        if (found := pattern.match(text)) is not None:
            return Code(kind, _plain(found[1]), True)
    for kind, pattern in _IDENTIFIERS:
        if (found := pattern.match(text)) is not None:
            return Code(kind, found[1], True, text)
    return Code(_kind_by_form(text), text)


def _kind_by_form(text: str) -> CodeKind:
    if _MAC.match(text):
        return CodeKind.MAC
    if (wide := _WORLD_WIDE.match(text)) is not None and _is_world_wide(wide[1]):
        return CodeKind.WORLD_WIDE_NAME
    if _PSID.match(text):
        return CodeKind.PSID
    if text.isdigit() and len(text) in (12, 13, 14) and _has_check_digit(text):
        return CodeKind.ARTICLE
    if _is_part_number(text):
        return CodeKind.PART_NUMBER
    if re.fullmatch(r"(?:19|20)\d\d[-/.]?[01]\d[-/.]?[0-3]\d|[0-3]\d ?[A-Z]{3} ?20\d\d", text):
        return CodeKind.DATE
    return CodeKind.SERIAL if is_like_a_serial(text) else CodeKind.UNKNOWN


def _is_world_wide(digits: str) -> bool:
    return bool(_IS_NAA.match(digits)) or digits.upper().startswith(_EUI_VENDORS)


def _has_check_digit(text: str) -> bool:
    """GS1 General Specifications §7.9: weights 3 and 1 from the right."""
    digits = [int(digit) for digit in reversed(text)]
    return sum(digit * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0


_PART_NUMBERS = tuple(
    re.compile(pattern)
    for pattern in (
        r"WD[A-Z0-9]{4,8}(?:-[A-Z0-9]{6,10})?",  # Western Digital: WD40EFRX-68WT0N0. Its serials have no figure after WD
        r"WU[HS][A-Z0-9]{10,15}",  # Ultrastar: WUH721414ALE6L4
        r"HU[HSC][A-Z0-9]{10,14}",
        r"ST\d{2,6}[A-Z]{2}\d{3,5}[A-Z]?(?:-[A-Z0-9]{6})?",  # Seagate: ST4000NM0035-1V4107
        r"[12][A-Z0-9]{2}\d{3}-\d{3}",  # Seagate's other number: 1V4107-004
        r"MZ[-A-Z0-9]{6,}(?:[-/][A-Z0-9]{3,6})?",  # Samsung: MZ7LN256HCHP-000L7, MZ-V8P1T0
        r"MG\d{2}[A-Z]{3}\d{2,4}[A-Z]{0,2}|M[KQ]\d{4}[A-Z]{3,5}|DT\d{2}[A-Z]{3}\d{3}",  # Toshiba: MG08ACA16TE
        r"SSD[A-Z0-9]{2,4}[A-Z0-9]{6,}",  # Intel: SSDSC2BB480G7
        r"MTFD[A-Z0-9]{8,}(?:-[A-Z0-9]{6,})?",  # Micron
        r"KX?[GX][A-Z0-9]{8,}|KC[DM][A-Z0-9]{8,}",  # Kioxia
        r"HF[SM][A-Z0-9]{9,}(?:-[A-Z0-9]{4,})?",  # SK hynix
        r"[A-Z]?\d{5,6}-\d{3}",  # HPE and Intel: 872735-001, J95396-302
        r"0[A-Z0-9]{5}",  # Dell and HGST with six: 0F38462 has seven
        r"0F\d{5}",
        r"[A-Z]{2}\d{3}-\d{5}-\d{4}",
    )
)


def _is_part_number(text: str) -> bool:
    return any(pattern.fullmatch(text.upper()) for pattern in _PART_NUMBERS)


def is_like_a_serial(text: str) -> bool:
    """Whether a drive's serial number may look so: 6 to 40 letters and figures with a figure among them, and few marks."""
    bare = re.sub(r"[-_ ./]", "", text)
    return 6 <= len(bare) <= 40 and bare.isascii() and bare.isalnum() and any(character.isdigit() for character in bare)


# ---- from codes to the drive


def choose(scans: Sequence[str], known: Iterable[Known]) -> Chosen:
    """What the codes of one label mean, scanned one after another in any order, among the drives that are known.

    Whatever else was scanned, a code that is a known drive's name finds it; names of two different drives find none.
    """
    codes = tuple(dict.fromkeys(code for scan in scans for code in codes_of(scan)))
    drives = tuple(dict.fromkeys(known))
    values = [value for code in codes for value in _readings(code)]
    for spelled in (_exact, _loose):
        named = _named(values, drives, spelled)
        if named:
            return _of_named(named, codes)
    return _of_unknown(codes, drives)


def _readings(code: Code) -> Iterator[str]:
    """What the code may say, the whole of it first: a prefix may be a name's own beginning."""
    if code.kind is CodeKind.PSID or not code.value:
        return
    yield code.value
    if code.whole:
        yield code.whole
    if not code.is_marked and (found := _SUPPLIER_SERIAL.match(code.value)) is not None:
        yield found[1]
    if (wide := _WORLD_WIDE.match(code.value)) is not None:
        yield wide[1]


def _exact(name: str) -> str:
    return name


def _loose(name: str) -> str:
    """One spelling for what is written differently of one name: case, blanks, dashes, WD's prefix, `0x`, `naa.`."""
    text = re.sub(r"[\s\-_]", "", name).upper()
    text = re.sub(r"^(?:0X|NAA\.|EUI\.)(?=[0-9A-F]{16})", "", text)
    return re.sub(r"^WD(?=W[A-Z0-9]{9,})", "", text)


_ALIKE = str.maketrans({"O": "0", "Q": "0", "D": "0", "I": "1", "L": "1", "Z": "2", "S": "5", "G": "6", "B": "8"})


def _blurred(name: str) -> str:
    """The same for names that a person takes for each other on a worn label."""
    return _loose(name).translate(_ALIKE)


def _named(values: Sequence[str], drives: Sequence[Known], spelled: _Spelling) -> list[tuple[str, Known]]:
    wanted = {spelled(value) for value in values} - {""}
    return [(name, drive) for drive in drives for name in drive.names if spelled(name) in wanted]


def _of_named(named: Sequence[tuple[str, Known]], codes: tuple[Code, ...]) -> Chosen:
    found = tuple(dict.fromkeys(drive for _, drive in named))
    if len(found) > 1:
        return Chosen(Finding.AMBIGUOUS, "", found, codes)
    drive = found[0]
    return Chosen(Finding.KNOWN, drive.serial or named[0][0], found, codes)


def _of_unknown(codes: tuple[Code, ...], drives: Sequence[Known]) -> Chosen:
    serials = [code for code in codes if code.kind is CodeKind.SERIAL]
    # What a prefix calls a serial number is one; of the others' forms any may be chance.
    marked = [code for code in serials if code.is_marked]
    candidates = list(dict.fromkeys(code.value for code in marked or serials if len(code.value) <= MAX_NAME_CHARACTERS))
    values = candidates or [value for code in codes if code.kind is CodeKind.UNKNOWN for value in _readings(code)]
    alike = tuple(dict.fromkeys(drive for _, drive in _named(values, drives, _blurred)))
    if alike:
        return Chosen(Finding.ALIKE, candidates[0] if len(candidates) == 1 else "", alike, codes)
    if len(candidates) > 1:
        return Chosen(Finding.AMBIGUOUS, "", (), codes)
    if candidates:
        return Chosen(Finding.NEW, candidates[0], (), codes)
    return Chosen(Finding.NOT_A_NAME, "", (), codes)


def differences(scanned: str, name: str) -> tuple[int, ...]:
    """Places, from 0, at which two names of equal length differ: to be marked where a person compares them."""
    if len(scanned) != len(name):
        return ()
    return tuple(
        place for place, pair in enumerate(zip(scanned.upper(), name.upper(), strict=True)) if pair[0] != pair[1]
    )
