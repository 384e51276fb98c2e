"""A second reader that is not ours: `dd` reads places of a drive, OpenSSL makes what should be there, `cmp` compares.
 NIST SP 800-88 asks for another tool for a share of what is verified.

No byte of the drive enters Python: `dd` writes into a pipe that only `cmp` reads, which answers with its exit status.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from eraser.domain.blind_draw import drawn
from eraser.domain.chance import scaled, seeded_words
from eraser.domain.drive import Drive, Transport
from eraser.domain.evidence import Extent
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.errors import UsageError

PLACES = 16
MOST_BYTES = 1 << 20
"""Of each place."""
PLACE_SECONDS = 60.0
"""How long one place may take. A drive that hangs keeps `dd` waiting, not us."""
_PURPOSE = b"eraser independent reading v1"
_AES_BLOCK_BYTES = 16


class Compared(StrEnum):
    """What the other reader found."""

    EQUAL = "equal"
    DIFFERS = "differs"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class IndependentReading:
    """The gravest that any place answered, and what was read."""

    result: Compared
    programs: str
    places: int
    bytes_read: int


def drawn_places(drive: Drive, seed: bytes, places: int = PLACES, within: Sequence[Extent] = ()) -> tuple[Extent, ...]:
    """Whole physical sectors at places that the seed draws, at most 1 MiB each; on a small drive they may overlap. `within`:
    in these extents alone, in each that is drawn at one place.
    """
    if within:
        chosen = drawn(within, min(places, len(within)), _PURPOSE, seed)
        words = seeded_words(_PURPOSE, sha256(seed).digest(), len(chosen))
        ordered = sorted(zip(chosen, words, strict=True), key=lambda item: item[0].offset_bytes)
        return tuple(_place_in(drive, extent, word) for extent, word in ordered)
    sector = drive.geometry.physical_sector_bytes
    capacity = drive.geometry.capacity_bytes - drive.geometry.capacity_bytes % sector
    sectors = min(MOST_BYTES, capacity) // sector
    if sectors < 1:
        return (Extent(0, drive.geometry.capacity_bytes),)
    choices = capacity // sector - sectors + 1
    starts = sorted({scaled(word, choices) for word in seeded_words(_PURPOSE, seed, places)})
    return tuple(Extent(start * sector, sectors * sector) for start in starts)


def _place_in(drive: Drive, extent: Extent, word: int) -> Extent:
    sector = drive.geometry.physical_sector_bytes
    sectors = min(MOST_BYTES, extent.length_bytes) // sector
    if sectors < 1:
        return extent
    start = extent.offset_bytes + scaled(word, extent.length_bytes // sector - sectors + 1) * sector
    return Extent(start, sectors * sector)


def read_independently(drive: Drive, pattern: Pattern, places: tuple[Extent, ...]) -> IndependentReading:
    """Holds these places against the pattern. Blocks. Raises UsageError where a program is missing."""
    programs = ["dd", "cmp", *(["openssl"] if isinstance(pattern, AesCtrStream) else [])]
    if missing := [name for name in programs if shutil.which(name) is None]:
        raise UsageError(f"the independent reader needs {' and '.join(missing)}", remedy="Install it.")
    result, done = Compared.EQUAL, 0
    for place in places:
        found = _compared(drive, pattern, place)
        done += place.length_bytes
        if found is not Compared.EQUAL:
            result = found
            break
    return IndependentReading(result, ", ".join(programs), len(places), done)


def _compared(drive: Drive, pattern: Pattern, place: Extent) -> Compared:
    with ExitStack() as stack:
        expected = stack.enter_context(_expected(pattern, place))
        reader = stack.enter_context(_running(_dd(drive, place), stdout=subprocess.PIPE))
        assert reader.stdout is not None
        judge = stack.enter_context(
            _running(["cmp", "-s", "-", f"/dev/fd/{expected}"], stdin=reader.stdout, pass_fds=(expected,))
        )
        reader.stdout.close()  # ours; the pipe is cmp's alone now
        try:
            status = judge.wait(PLACE_SECONDS)
            has_read = reader.wait(PLACE_SECONDS) == 0
        except subprocess.TimeoutExpired:
            return Compared.UNREADABLE
    # dd is ended by a pipe that nobody reads any more when cmp has seen a difference.
    if status == 1 and (has_read or reader.returncode < 0):
        return Compared.DIFFERS
    return Compared.EQUAL if status == 0 and has_read else Compared.UNREADABLE


def _dd(drive: Drive, place: Extent) -> list[str]:
    whole = [f"skip={place.offset_bytes}", f"count={place.length_bytes}", "bs=1M"]
    # An image's file system may not do direct I/O, and nothing but the page cache is behind it.
    flags = "skip_bytes,count_bytes,fullblock" + ("" if drive.transport is Transport.IMAGE else ",direct")
    return ["dd", f"if={drive.path}", f"iflag={flags}", "status=none", *whole]


@contextmanager
def _expected(pattern: Pattern, place: Extent) -> Iterator[int]:
    """A descriptor to read what should be there from."""
    if isinstance(pattern, Constant):
        descriptor = os.memfd_create("expected", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(_repeated(pattern.data, place))
            os.lseek(descriptor, 0, os.SEEK_SET)
            yield descriptor
        finally:
            os.close(descriptor)
        return
    counter = f"{place.offset_bytes // _AES_BLOCK_BYTES:032x}"
    zeros = ["head", "-c", str(place.length_bytes), "/dev/zero"]
    cipher = ["openssl", "enc", "-aes-256-ctr", "-K", pattern.seed.hex(), "-iv", counter]
    with (
        _running(zeros, stdout=subprocess.PIPE) as source,
        _running(cipher, stdin=source.stdout, stdout=subprocess.PIPE) as stream,
    ):
        assert source.stdout is not None and stream.stdout is not None
        source.stdout.close()
        yield stream.stdout.fileno()


def _repeated(data: bytes, place: Extent) -> bytes:
    start = place.offset_bytes % len(data)
    return (data * (place.length_bytes // len(data) + 2))[start : start + place.length_bytes]


@contextmanager
def _running(command: list[str], **how: object) -> Iterator["subprocess.Popen[bytes]"]:
    """The program, which does not outlive this."""
    process: subprocess.Popen[bytes] = subprocess.Popen(command, stderr=subprocess.DEVNULL, **how)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        if process.stdout is not None:
            process.stdout.close()
        # Whoever waits in the kernel for a drive that hangs is not waited for.
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
