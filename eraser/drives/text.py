"""How drives write text about themselves."""


def printable(data: bytes) -> str:
    """Printable ASCII with outer blanks and everything unprintable taken away; empty for padding alone."""
    return bytes(byte for byte in data if 0x20 <= byte < 0x7F).decode("ascii").strip()
