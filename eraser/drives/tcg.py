"""Whether a self-encrypting drive is locked: TCG Level 0 Discovery, parsed.

Source: TCG Storage Architecture Core 2.01 clause 3.3.6, Opal SSC 2.01 clause 3.1.1.3. Reads only; opens no session.
"""

from eraser.errors import DriveError

DISCOVERY_BYTES = 2048
SECURITY_PROTOCOL = 1
DISCOVERY_COM_ID = 1

_HEADER_BYTES = 48
_LOCKING_FEATURE = 0x0002
_LOCKED = 0x04


def security_protocol_in_cdb() -> bytes:
    """SECURITY PROTOCOL IN for Level 0 Discovery, length in bytes (INC_512 clear)."""
    head = bytes((0xA2, SECURITY_PROTOCOL)) + DISCOVERY_COM_ID.to_bytes(2, "big") + bytes(2)
    return head + DISCOVERY_BYTES.to_bytes(4, "big") + bytes(2)


def is_locked(data: bytes) -> bool:
    """Whether the Locking feature says that a range is locked now. Raises DriveError when it is no discovery answer."""
    if len(data) < _HEADER_BYTES:
        raise DriveError("Level 0 Discovery is cut short")
    end = min(len(data), int.from_bytes(data[0:4], "big") + 4)
    at = _HEADER_BYTES
    while at + 4 <= end:
        code, length = int.from_bytes(data[at : at + 2], "big"), data[at + 3]
        if code == _LOCKING_FEATURE and length >= 1 and at + 4 < len(data):
            return bool(data[at + 4] & _LOCKED)
        at += 4 + length
    return False
