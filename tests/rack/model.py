"""What a drive must hold, computed without anything of the engine: AES by `cryptography`, constants by repetition."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def repeated(data: bytes, size_bytes: int) -> bytes:
    """`data` over and over, from the drive's first byte on."""
    return (data * (size_bytes // len(data) + 1))[:size_bytes]


def aes_ctr(seed: bytes, size_bytes: int) -> bytes:
    """AES-256 in counter mode from 0 over zeros, as `openssl enc -aes-256-ctr -K seed -iv 0` gives it."""
    encryptor = Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor()
    return encryptor.update(bytes(size_bytes)) + encryptor.finalize()


def content(pattern: dict[str, Any], size_bytes: int) -> bytes:
    """The whole drive after a pass with the pattern that a certificate names."""
    if pattern["kind"] == "aes-256-ctr":
        return aes_ctr(bytes.fromhex(pattern["seed"]), size_bytes)
    return repeated(bytes.fromhex(pattern["data"]), size_bytes)


def last_content(certificate: dict[str, Any], size_bytes: int) -> bytes:
    """The whole drive after the last pass of a certificate."""
    return content(certificate["passes"][-1]["pattern"], size_bytes)


def differing_sectors(found: bytes, expected: bytes, sector_bytes: int) -> list[int]:
    """Byte offsets of the sectors in which two contents differ."""
    assert len(found) == len(expected)
    return [
        at
        for at in range(0, len(found), sector_bytes)
        if found[at : at + sector_bytes] != expected[at : at + sector_bytes]
    ]
