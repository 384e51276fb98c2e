"""What a pass writes. A program names pattern *specifications*; each job draws its own *patterns* from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, assert_never

from eraser.errors import UsageError

SEED_BYTES = 32
"""Length of an AES-256 key, which is the seed of a random pass."""
MAX_CONSTANT_BYTES = 4096

RandomBytes = Callable[[int], bytes]
"""Source of chance: gives n unpredictable bytes (`os.urandom` in production)."""


@dataclass(frozen=True, slots=True)
class Constant:
    """1 to 4,096 bytes repeated: byte *i* of the drive is `data[i % len(data)]`."""

    kind: ClassVar[str] = "constant"
    data: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.data) <= MAX_CONSTANT_BYTES:
            raise UsageError(f"a constant pattern has 1 to {MAX_CONSTANT_BYTES} bytes, not {len(self.data)}")


@dataclass(frozen=True, slots=True)
class AesCtrStream:
    """Byte *i* of the drive is byte *i* of `openssl enc -aes-256-ctr -K <seed> -iv 0` over zeros."""

    kind: ClassVar[str] = "aes-256-ctr"
    seed: bytes

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise UsageError(f"a seed has {SEED_BYTES} bytes, not {len(self.seed)}")


Pattern = Constant | AesCtrStream
"""A pattern that is fully known, so that its bytes can be written, compared and reproduced."""


@dataclass(frozen=True, slots=True)
class RandomStream:
    """A fresh random stream: each pass of each job draws its own seed."""

    kind: ClassVar[str] = "random-stream"


@dataclass(frozen=True, slots=True)
class RandomByte:
    """One random byte, repeated over the whole drive ("a character")."""

    kind: ClassVar[str] = "random-byte"


@dataclass(frozen=True, slots=True)
class ComplementOf:
    """The bitwise complement of what the numbered earlier pass (from 1) wrote; that one must be a constant or a byte."""

    kind: ClassVar[str] = "complement-of"
    pass_number: int


PatternSpec = Constant | RandomStream | RandomByte | ComplementOf
"""What a program asks for, before chance has spoken."""


def draw(specs: tuple[PatternSpec, ...], random_bytes: RandomBytes) -> tuple[Pattern, ...]:
    """One pattern for each specification, in order; every random one from fresh bytes.

    Raises UsageError for a complement of a later pass or of a random stream.
    """
    drawn: list[Pattern] = []
    for number, spec in enumerate(specs, start=1):
        match spec:
            case Constant():
                drawn.append(spec)
            case RandomStream():
                drawn.append(AesCtrStream(random_bytes(SEED_BYTES)))
            case RandomByte():
                drawn.append(Constant(random_bytes(1)))
            case ComplementOf(pass_number):
                drawn.append(_complement(drawn, number, pass_number))
            case _:
                assert_never(spec)
    return tuple(drawn)


def _complement(drawn: list[Pattern], number: int, of: int) -> Constant:
    if not 1 <= of < number:
        raise UsageError(f"pass {number} complements pass {of}, which does not come before it")
    original = drawn[of - 1]
    if not isinstance(original, Constant):
        raise UsageError(f"pass {number} complements pass {of}, which is a random stream and not a constant")
    return Constant(bytes(byte ^ 0xFF for byte in original.data))
