"""Signed notes, beside one that Go's own package made."""

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.log.errors import ForgedNoteError, NoteError, UnknownLogError
from eraser.log.note import Note, SignatureType, confirm, cosign, key_of, parse, sign
from tests.log.keys import KeyInMemory

# The example of Go's golang.org/x/mod/sumdb/note: its key, text and signature.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


LOG, WITNESS = KeyInMemory(1), KeyInMemory(2)
LOG_KEY = LOG.key("plant.example/log")
WITNESS_KEY = WITNESS.key("witness.example", SignatureType.COSIGNATURE_V1)
NOTE = sign("hello\nworld\n", "plant.example/log", LOG)


def test_a_note_of_gos_own_package_is_confirmed() -> None:
    note = parse(GO_NOTE.encode())
    assert [item.key for item in confirm(note, [key_of(GO_KEY)])] == [key_of(GO_KEY)]
    assert str(note) == GO_NOTE
    assert str(key_of(GO_KEY)) == GO_KEY


def test_openssl_confirms_what_was_signed(tmp_path: Path) -> None:
    signature = base64.b64decode(str(NOTE).rstrip().rsplit(" ", 1)[1])[4:]
    for name, content in (("text", NOTE.text.encode()), ("signature", signature), ("key.pem", LOG.pem())):
        (tmp_path / name).write_bytes(content)
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-in", "text"]
    done = subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_note_reads_back_as_it_was_written() -> None:
    assert parse(str(NOTE).encode()) == NOTE


def test_a_witness_adds_its_word_and_its_time() -> None:
    note = parse(str(cosign(NOTE, "witness.example", WITNESS, 1_800_000_000)).encode())
    assert [(item.key, item.at) for item in confirm(note, [LOG_KEY, WITNESS_KEY])] == [
        (LOG_KEY, None),
        (WITNESS_KEY, 1_800_000_000),
    ]


def test_a_witnesss_time_cannot_be_changed() -> None:
    note = cosign(NOTE, "witness.example", WITNESS, 1_800_000_000)
    last = note.signatures[-1]
    later = type(last)(last.name, last.key_id, (1_900_000_000).to_bytes(8, "big") + last.content[8:])
    with pytest.raises(ForgedNoteError):
        confirm(Note(note.text, (note.signatures[0], later)), [LOG_KEY, WITNESS_KEY])


def test_a_logs_signature_is_no_witnesss_word() -> None:
    """One key used for both: what it signed as a log must not count as a witness's signature."""
    both = LOG.key("plant.example/log", SignatureType.COSIGNATURE_V1)
    with pytest.raises(UnknownLogError):
        confirm(NOTE, [both])


def test_signatures_by_others_are_passed_over_and_alone_are_not_enough() -> None:
    note = cosign(NOTE, "witness.example", WITNESS, 1)
    assert [item.key for item in confirm(note, [LOG_KEY])] == [LOG_KEY]
    with pytest.raises(UnknownLogError):
        confirm(note, [KeyInMemory(3).key("plant.example/log")])
    with pytest.raises(UnknownLogError):
        confirm(note, [])


@given(st.integers(0, len(str(NOTE).encode()) - 1), st.integers(1, 255))
def test_no_byte_of_a_note_can_be_changed(place: int, change: int) -> None:
    content = bytearray(str(NOTE).encode())
    content[place] ^= change
    with pytest.raises((NoteError, UnknownLogError, ForgedNoteError)):
        confirm(parse(bytes(content)), [LOG_KEY])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        b"\n\n\xe2\x80\x94 a AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 a AAAAAAA=",
        b"text\n\n- a AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 a AAAA\n",
        b"text\n\n\xe2\x80\x94 a+b AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 a AAAAAAB=\n",
        b"text\n\n\xe2\x80\x94 a AAAAAAA=\n\n",
        b"te\rxt\n\n\xe2\x80\x94 a AAAAAAA=\n",
        b"te\xffxt\n\n\xe2\x80\x94 a AAAAAAA=\n",
        b"text\n\n" + b"\xe2\x80\x94 a AAAAAAA=\n" * 101,
        b"x" * (1 << 20) + b"\n\n\xe2\x80\x94 a AAAAAAA=\n",
    ],
)
def test_what_is_no_note_is_refused(content: bytes) -> None:
    with pytest.raises(NoteError):
        parse(content)


@pytest.mark.parametrize("text", ["", "\n", "no line feed", "tab\there\n"])
def test_a_text_that_no_note_can_have_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        sign(text, "plant.example/log", LOG)


@pytest.mark.parametrize(
    "text", ["", "name", GO_KEY.replace("c74f", "c74e"), GO_KEY[:-4], GO_KEY.replace("+AR", "+AU"), "a b" + GO_KEY[12:]]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        key_of(text)
