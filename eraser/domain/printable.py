"""Which text may stand in a document that people trust: what shows as itself, and what every canonical form writes
alike.
"""

import re

# C0 and C1 controls and DEL (jq 1.6 writes U+007F as an escape, RFC 8785 raw: the signed bytes would differ); line and
# paragraph separators; marks that turn the direction of what follows (a serial could be shown backwards); the byte
# order mark, non-characters and lone surrogates. A list, not `str.isprintable`: that one changes with Unicode's
# versions, and a certificate must verify on an older Python than the one it was made with.
FORBIDDEN = (
    "[\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069"
    "\\ud800-\\udfff\\ufdd0-\\ufdef\\ufeff\\ufffe\\uffff]"
)
"""As a regular expression, in what Python and ECMA-262 share."""
_FORBIDDEN = re.compile(FORBIDDEN)
REPLACEMENT = "\ufffd"


def is_printable(text: str) -> bool:
    """Whether every character of it may stand in a document."""
    return _FORBIDDEN.search(text) is None


def printable(text: str) -> str:
    """The text with U+FFFD in place of each character that may not stand in a document."""
    return text if is_printable(text) else _FORBIDDEN.sub(REPLACEMENT, text)
