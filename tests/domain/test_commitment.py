"""A commitment tells its customer everything, and nobody else anything."""

import base64
import hmac
import subprocess
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraser.domain.commitment import (
    SCHEME,
    Commitment,
    CustomerDetails,
    commit,
    committed_bytes,
    is_committed,
    length_prefixed,
    receipt_code,
    receipt_key,
)
from eraser.domain.printable import is_printable
from eraser.errors import UsageError

KEY = bytes(range(16))
WANG = CustomerDetails("王小明", "小王", "+86 138 0000 0000", "北京市 海淀区 1 号", "passport seen", "PO 4711")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(is_printable)
few = settings(max_examples=60, deadline=None)

RFC_4231 = [  # §4.2, §4.3, §4.4, §4.7: key, data, HMAC-SHA-256
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
]


@pytest.mark.parametrize(("key", "data", "mac"), RFC_4231)
def test_the_mac_that_is_used_is_the_one_of_rfc_4231(key: bytes, data: bytes, mac: str) -> None:
    assert hmac.digest(key, data, "sha256").hex() == mac


def test_openssl_makes_the_same_commitment() -> None:
    done = subprocess.run(
        ["openssl", "mac", "-digest", "SHA256", "-macopt", f"hexkey:{KEY.hex()}", "HMAC"],
        input=committed_bytes("job-1", WANG),
        capture_output=True,
        check=True,
    )
    assert commit(KEY, "job-1", WANG) == Commitment(SCHEME, bytes.fromhex(done.stdout.decode().strip()))


def test_what_is_committed_to_is_each_part_after_its_length() -> None:
    anna = CustomerDetails("Anna", reference="7")
    parts = ["eraser commitment v1", "j", "Anna", "", "", "", "", "7"]
    assert committed_bytes("j", anna) == b"".join(len(part).to_bytes(8, "big") + part.encode() for part in parts)


@few
@given(st.lists(st.binary(max_size=12), max_size=5), st.lists(st.binary(max_size=12), max_size=5))
def test_no_two_lists_of_parts_give_the_same_bytes(one: list[bytes], other: list[bytes]) -> None:
    assert (length_prefixed(*one) == length_prefixed(*other)) == (one == other)


def test_a_detail_that_moves_to_the_next_field_is_another_commitment() -> None:
    assert commit(KEY, "j", CustomerDetails("ab", "c")) != commit(KEY, "j", CustomerDetails("a", "bc"))


@pytest.mark.parametrize("item", [item.name for item in fields(CustomerDetails)])
def test_every_detail_is_bound(item: str) -> None:
    other = replace(WANG, **{item: getattr(WANG, item) + "x"})
    assert not is_committed(commit(KEY, "j", WANG), KEY, "j", other)


def test_another_job_or_another_key_is_another_commitment() -> None:
    made = commit(KEY, "j", WANG)
    assert is_committed(made, KEY, "j", WANG)
    assert not is_committed(made, KEY, "k", WANG)
    assert not is_committed(made, bytes(16), "j", WANG)


def test_blanks_and_composition_do_not_matter() -> None:
    typed = CustomerDetails("  Zoe\u0301 \t Li ", address="1 High St\n  London")
    assert typed == CustomerDetails("Zo\u00e9 Li", address="1 High St London")


@few
@given(TEXTS)
def test_normalising_is_done_once(text: str) -> None:
    once = CustomerDetails("n", text)
    assert CustomerDetails("n", once.contact) == once


@pytest.mark.parametrize("bad", ["a\u202eb", "a\x00b", "x" * 1001, "\udc80"])
def test_what_does_not_show_as_itself_is_refused_without_being_repeated(bad: str) -> None:
    with pytest.raises(UsageError) as refused:
        CustomerDetails("Anna", phone=bad)
    assert bad not in str(refused.value)


def test_details_show_nothing_of_themselves() -> None:
    assert repr(WANG) == "CustomerDetails(…)"
    assert "王" not in f"{WANG} {[WANG]!r}"


@few
@given(st.binary(min_size=16, max_size=16))
def test_a_code_stands_for_its_key(key: bytes) -> None:
    code = receipt_code(key)
    assert receipt_key(code) == key
    assert receipt_key(code.lower().replace("-", " ")) == key
    letters = code.replace("-", "")
    assert len(letters) == 26
    assert base64.b32decode(letters + "======") == key


def test_misread_letters_are_read_as_meant() -> None:
    code = receipt_code(base64.b32decode("OIBOIBOIBOIBOIBOIBOIBOIBOI======"))
    assert receipt_key(code.replace("O", "0").replace("I", "1").replace("B", "8")) == receipt_key(code)


@pytest.mark.parametrize("wrong", ["", "A" * 25, "A" * 27, "9" * 26, "A" * 25 + "B", "ä" * 26, "=" * 26])
def test_what_is_no_code_is_refused_without_being_repeated(wrong: str) -> None:
    with pytest.raises(UsageError) as refused:
        receipt_key(wrong)
    assert not wrong or wrong not in str(refused.value)


@few
@given(st.binary(min_size=16, max_size=16), st.integers(0, 25), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_mistyped_character_never_gives_the_same_key(key: bytes, place: int, letter: str) -> None:
    letters = receipt_code(key).replace("-", "")
    mistyped = letters[:place] + letter + letters[place + 1 :]
    if mistyped == letters:
        return
    try:
        assert receipt_key(mistyped) != key
    except UsageError:
        assert place == 25  # only the last one can be found out by the code alone


@pytest.mark.parametrize(("scheme", "mac"), [("eraser commitment v2", bytes(32)), (SCHEME, bytes(31)), (SCHEME, b"")])
def test_a_commitment_of_another_form_is_refused(scheme: str, mac: bytes) -> None:
    with pytest.raises(UsageError):
        Commitment(scheme, mac)
