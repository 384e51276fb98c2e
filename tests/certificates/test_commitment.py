"""The commitment in a certificate: optional, strict, and signed with the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from eraser.certificates.envelope import seal
from eraser.certificates.errors import AlteredError, MalformedError
from eraser.certificates.issuing import issue
from eraser.certificates.schema import document_schema
from eraser.certificates.verifying import verify
from eraser.domain.certificate import read
from eraser.domain.commitment import SCHEME, Commitment
from eraser.domain.json_form import to_json
from tests.certificates.builders import a_certificate, a_document, a_signer, trusting

SIGNER = a_signer()
VALIDATOR = Draft202012Validator(document_schema())


def with_commitment(value: Any) -> dict[str, Any]:
    return {**to_json(a_certificate()), "commitment": value}


def test_a_certificate_of_before_it_is_as_valid_as_ever() -> None:
    before = a_certificate(commitment=None)
    document = a_document(SIGNER, before)
    assert b"commitment" not in document
    assert verify(document, trusting(SIGNER)).certificate == before
    assert VALIDATOR.is_valid(json.loads(document))


def test_a_certificate_with_it_verifies_and_fits_the_schema() -> None:
    document = a_document(SIGNER)
    assert verify(document, trusting(SIGNER)).certificate.commitment == Commitment(SCHEME, bytes(range(100, 132)))
    assert VALIDATOR.is_valid(json.loads(document))


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        "00" * 32,
        {"scheme": SCHEME},
        {"scheme": SCHEME, "mac": "00" * 31},
        {"scheme": SCHEME, "mac": "AA" * 32},
        {"scheme": "eraser commitment v2", "mac": "00" * 32},
        {"scheme": SCHEME, "mac": "00" * 32, "name": "Anna"},
    ],
)
def test_any_other_form_of_it_is_refused_by_reader_and_schema(value: Any) -> None:
    form = with_commitment(value)
    document = seal(form, SIGNER)
    with pytest.raises(MalformedError):
        verify(document, trusting(SIGNER))
    assert not VALIDATOR.is_valid(json.loads(document))


def test_other_unknown_fields_are_still_refused() -> None:
    for name in ("customer", "commitments"):
        with pytest.raises(MalformedError):
            verify(seal({**to_json(a_certificate()), name: None}, SIGNER), trusting(SIGNER))


def test_taking_it_out_or_putting_another_in_breaks_the_signature() -> None:
    document = json.loads(a_document(SIGNER))
    del document["certificate"]["commitment"]
    with pytest.raises(AlteredError):
        verify(json.dumps(document).encode(), trusting(SIGNER))
    document["certificate"]["commitment"] = {"scheme": SCHEME, "mac": "00" * 32}
    with pytest.raises(AlteredError):
        verify(json.dumps(document).encode(), trusting(SIGNER))


def test_the_form_goes_out_and_in_the_same() -> None:
    for certificate in (a_certificate(), a_certificate(commitment=None)):
        assert read(to_json(certificate)) == certificate


def test_issuing_again_gives_the_certificate_that_is_there_whatever_became_of_the_customer(tmp_path: Path) -> None:
    first = issue(a_certificate(), SIGNER, tmp_path)
    again = issue(replace(a_certificate(), commitment=None), SIGNER, tmp_path)
    assert again == first
    assert b"commitment" in first.read_bytes()
