from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eraser.certificates.canonical import MAX_DEPTH, MAX_DOCUMENT_BYTES, canonical, parse
from eraser.certificates.envelope import unseal
from eraser.certificates.errors import MalformedError
from eraser.certificates.verifying import verify
from eraser.domain.printable import is_printable
from eraser.errors import CertificateError

REFUSED = {
    "empty": (b"", "does not begin"),
    "not an object": (b"[1]", "does not begin"),
    "leading space": (b' {"a":1}', "does not begin"),
    "byte order mark": (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "byte order mark"),
    "not UTF-8": (b'{"a":"\xff"}', "UTF-8"),
    "overlong UTF-8": (b'{"a":"\xc0\xaf"}', "UTF-8"),
    "raw surrogate": (b'{"a":"\xed\xa0\x80"}', "UTF-8"),
    "duplicate": (b'{"a":1,"a":1}', "twice"),
    "duplicate by escape": (b'{"a":1,"\\u0061":2}', "twice"),
    "duplicate inside": (b'{"a":{"b":1,"b":2}}', "twice"),
    "name not ASCII": ('{"é":1}'.encode(), "ASCII"),
    "trailing object": (b'{"a":1}{"a":1}', "follow"),
    "trailing text": (b'{"a":1}x', "follow"),
    "trailing zero byte": (b'{"a":1}\x00', "follow"),
    "two line feeds": (b'{"a":1}\n\n', "follow"),
    "trailing space": (b'{"a":1} ', "follow"),
    "cut short": (b'{"a":1', "cut short"),
    "fraction": (b'{"a":1.0}', "plain integer"),
    "exponent": (b'{"a":1e3}', "plain integer"),
    "NaN": (b'{"a":NaN}', "no JSON"),
    "infinity": (b'{"a":-Infinity}', "no JSON"),
    "minus zero": (b'{"a":-0}', "canonical"),
    "too large": (b'{"a":9007199254740992}', "2\\^53"),
    "far too large": (b'{"a":' + b"9" * 5000 + b"}", "2\\^53"),
    "leading zero": (b'{"a":01}', "no JSON"),
    "lone surrogate": (b'{"a":"\\ud800"}', "surrogate"),
    "surrogates in the wrong order": (b'{"a":["\\udc00\\ud800"]}', "surrogate"),
    "control character": (b'{"a":"\x01"}', "no JSON"),
    "comment": (b'{"a":1/**/}', "no JSON"),
    "trailing comma": (b'{"a":1,}', "no JSON"),
    "single quotes": (b"{'a':1}", "no JSON"),
    "too deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeper"),
    "too long": (b'{"a":"' + b"x" * MAX_DOCUMENT_BYTES + b'"}', "longer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_loose_form_is_refused_with_its_own_words(name: str) -> None:
    document, words = REFUSED[name]
    with pytest.raises(MalformedError, match=words):
        parse(document)


def test_the_limits_themselves_are_accepted() -> None:
    assert parse(b'{"a":[-9007199254740991,9007199254740991]}\n') == {"a": [-(2**53) + 1, 2**53 - 1]}
    deep = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert parse(deep)["a"] is not None


def test_brackets_inside_texts_do_not_count_as_depth() -> None:
    text = '[{"\\' * 100
    assert parse(json.dumps({"a": text}).encode()) == {"a": text}


STRUCTURE = st.sampled_from(list(b'{}[]",:\\0-9eE.utfnl \n\xff') + list(b"certificate signatures key_id"))


@settings(max_examples=400)
@given(st.binary(max_size=200) | st.lists(STRUCTURE, max_size=200).map(bytes))
def test_whatever_bytes_come_only_a_certificate_error_comes_out(document: bytes) -> None:
    for candidate in (document, b"{" + document + b"}"):
        for function in (parse, unseal, lambda content: verify(content, {})):
            try:
                function(candidate)
            except CertificateError as error:
                assert error.what


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["certificate", "signatures", "a"]), JSON, max_size=3))
def test_whatever_json_comes_only_a_certificate_error_comes_out(value: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        document = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        try:
            verify(document, {})
        except CertificateError as error:
            assert error.what


@pytest.mark.lab("jq")
def test_the_canonical_form_is_what_jq_writes_for_every_printable_character() -> None:
    characters = [chr(code) for code in [*range(0x20, 0xD800), *range(0xE000, 0x11000, 7), 0x1F600, 0x10FFFF]]
    form = {"text": "".join(filter(is_printable, characters)), "z_9": 2**53 - 1, "Z": [None, True, {}, []], "a": ""}
    completed = subprocess.run(["jq", "-cjS", "."], input=json.dumps(form).encode(), capture_output=True, check=True)
    assert completed.stdout == canonical(form)
