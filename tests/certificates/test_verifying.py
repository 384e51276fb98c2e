from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraser.certificates.envelope import PREFIX, seal, signed_bytes
from eraser.certificates.errors import (
    AlteredError,
    ContradictoryError,
    MalformedError,
    UnknownKeyError,
    UnsupportedError,
)
from eraser.certificates.keys import FileSigner
from eraser.certificates.verifying import verify
from eraser.domain.events import Outcome
from eraser.domain.json_form import to_json
from eraser.errors import CertificateError, ExitStatus
from tests.certificates.builders import (
    Steps,
    a_certificate,
    a_document,
    a_failed_job,
    a_job_with_everything,
    a_signer,
    leaves,
    other,
    trusting,
    with_leaf,
)

SIGNER = a_signer()
CERTIFICATE = a_certificate(a_job_with_everything())
DOCUMENT = a_document(SIGNER, CERTIFICATE)
FORM = json.loads(DOCUMENT)


def as_bytes(form: Any) -> bytes:
    return json.dumps(form, ensure_ascii=False).encode()


def test_a_genuine_certificate_is_given_back_with_its_signer() -> None:
    verified = verify(DOCUMENT, trusting(a_signer(), SIGNER))
    assert verified.certificate == CERTIFICATE
    assert verified.key_ids == (SIGNER.key_id,)


def test_a_failed_certificate_is_genuine_too() -> None:
    document = a_document(SIGNER, a_certificate(a_failed_job()))
    assert verify(document, trusting(SIGNER)).certificate.outcome is Outcome.FAILED


def test_layout_and_order_of_members_do_not_matter() -> None:
    def reversed_members(form: Any) -> Any:
        if isinstance(form, dict):
            return {name: reversed_members(form[name]) for name in reversed(form)}
        return [reversed_members(item) for item in form] if isinstance(form, list) else form

    for document in (as_bytes(reversed_members(FORM)), json.dumps(FORM, indent=7).encode()):
        assert verify(document, trusting(SIGNER)).certificate == CERTIFICATE


def test_a_change_in_any_leaf_of_the_certificate_is_found() -> None:
    count = 0
    for steps, value in leaves(FORM["certificate"]):
        altered = with_leaf(FORM, ("certificate", *steps), other(value))
        assert altered != FORM
        with pytest.raises(AlteredError):
            verify(as_bytes(altered), trusting(SIGNER))
        count += 1
    assert count > 200


def test_a_leaf_or_member_taken_away_or_added_is_found() -> None:
    for steps, _ in leaves(FORM["certificate"]):
        altered = json.loads(json.dumps(FORM))
        place = altered["certificate"]
        for step in steps[:-1]:
            place = place[step]
        del place[steps[-1]]
        with pytest.raises(AlteredError):
            verify(as_bytes(altered), trusting(SIGNER))
    with pytest.raises(AlteredError):
        verify(as_bytes(with_leaf(FORM, ("certificate", "customer"), "x")), trusting(SIGNER))


def test_a_change_in_any_leaf_around_the_certificate_is_found() -> None:
    for steps, value in leaves(FORM["signatures"]):
        with pytest.raises(CertificateError):
            verify(as_bytes(with_leaf(FORM, ("signatures", *steps), other(value))), trusting(SIGNER))


def test_every_bit_of_the_signature_counts() -> None:
    signature = base64.b64decode(FORM["signatures"][0]["signature"])
    for bit in range(512):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        text = base64.b64encode(flipped).decode()
        with pytest.raises(AlteredError):
            verify(as_bytes(with_leaf(FORM, ("signatures", 0, "signature"), text)), trusting(SIGNER))


def test_signed_again_with_a_fresh_key_it_is_of_an_unknown_key() -> None:
    forged = seal(with_leaf(FORM["certificate"], ("drive", "identity", "serial"), "OTHER"), a_signer())
    with pytest.raises(UnknownKeyError) as caught:
        verify(forged, trusting(SIGNER))
    assert caught.value.exit_status is ExitStatus.UNKNOWN_KEY
    with pytest.raises(UnknownKeyError):
        verify(DOCUMENT, {})


def _by_fresh_key_under_our_id() -> bytes:
    forged = json.loads(seal(FORM["certificate"], a_signer()))
    return as_bytes(with_leaf(forged, ("signatures", 0, "key_id"), SIGNER.key_id))


def _without_prefix() -> bytes:
    signature = SIGNER.sign(signed_bytes(FORM["certificate"]).removeprefix(PREFIX))
    return as_bytes(with_leaf(FORM, ("signatures", 0, "signature"), base64.b64encode(signature).decode()))


def _of_another_certificate() -> bytes:
    another = json.loads(a_document(SIGNER))
    return as_bytes({"certificate": another["certificate"], "signatures": FORM["signatures"]})


def _with_the_key_in_it() -> bytes:
    forger = a_signer()
    forged = json.loads(seal(FORM["certificate"], forger))
    forged["signatures"][0]["public_key"] = forger.public.pem().decode()
    return as_bytes(forged)


def _signatures(*entries: dict[str, Any]) -> bytes:
    return as_bytes({"certificate": FORM["certificate"], "signatures": list(entries)})


def _resigned(**members: Any) -> bytes:
    return seal({**FORM["certificate"], **members}, SIGNER)


def _passed_though_it_failed() -> bytes:
    form = to_json(a_certificate(a_failed_job()))
    return seal({**form, "outcome": "passed", "reasons": []}, SIGNER)


def _one_good_one_bad() -> bytes:
    return _signatures(ENTRY, {**ENTRY, "key_id": SECOND.key_id})


SECOND: FileSigner = a_signer()
ENTRY: dict[str, Any] = FORM["signatures"][0]
BASE64: str = ENTRY["signature"]
FORGERIES: dict[str, tuple[Callable[[], bytes], type[CertificateError]]] = {
    "key: signed by a fresh key under our key id": (_by_fresh_key_under_our_id, AlteredError),
    "key: brings its own key": (_with_the_key_in_it, MalformedError),
    "key: another signature added that is not that key's": (_one_good_one_bad, AlteredError),
    "key: signed twice by one key": (lambda: _signatures(ENTRY, ENTRY), MalformedError),
    "key: not signed": (lambda: _signatures(), MalformedError),
    "key: signed a thousand times": (lambda: _signatures(*[ENTRY] * 1000), MalformedError),
    "key: id in capitals": (lambda: _signatures({**ENTRY, "key_id": ENTRY["key_id"].upper() + "A"}), MalformedError),
    "binding: signature of another certificate": (_of_another_certificate, AlteredError),
    "binding: signed without the prefix": (_without_prefix, AlteredError),
    "binding: algorithm none": (lambda: _signatures({**ENTRY, "algorithm": "none"}), UnsupportedError),
    "binding: algorithm by its old name": (lambda: _signatures({**ENTRY, "algorithm": "EdDSA"}), UnsupportedError),
    "binding: algorithm HMAC": (lambda: _signatures({**ENTRY, "algorithm": "HS256"}), UnsupportedError),
    "encoding: base64 without padding": (
        lambda: _signatures({**ENTRY, "signature": BASE64.rstrip("=")}),
        MalformedError,
    ),
    "encoding: base64 with a line feed": (lambda: _signatures({**ENTRY, "signature": BASE64 + "\n"}), MalformedError),
    "encoding: base64 for URLs": (
        lambda: _signatures({**ENTRY, "signature": "-_" + BASE64[2:]}),
        MalformedError,
    ),
    "encoding: base64 with stray bits": (
        lambda: _signatures({**ENTRY, "signature": BASE64[:-3] + chr(ord(BASE64[-3]) + 1) + "=="}),
        MalformedError,
    ),
    "encoding: a short signature": (lambda: _signatures({**ENTRY, "signature": "AAAA"}), MalformedError),
    "encoding: signature as a number": (lambda: _signatures({**ENTRY, "signature": 1}), MalformedError),
    "encoding: duplicate certificate": (
        lambda: b'{"certificate":{},' + DOCUMENT.lstrip()[1:],
        MalformedError,
    ),
    "encoding: duplicate leaf": (
        lambda: DOCUMENT.replace(b'"operator":', b'"operator": "x",\n  "operator":', 1),
        MalformedError,
    ),
    "encoding: bytes behind it": (lambda: DOCUMENT + DOCUMENT, MalformedError),
    "encoding: a fraction for an integer": (
        lambda: DOCUMENT.replace(b'"version": 1', b'"version": 1.0', 1),
        MalformedError,
    ),
    "encoding: unknown member beside the certificate": (lambda: as_bytes({**FORM, "note": "x"}), MalformedError),
    "encoding: unknown member, signed": (lambda: _resigned(customer="x"), MalformedError),
    "encoding: hidden characters, signed": (lambda: _resigned(operator="op\u202eerator"), MalformedError),
    "version: two, signed": (lambda: _resigned(version=2), UnsupportedError),
    "version: true, signed": (lambda: _resigned(version=True), UnsupportedError),
    "version: another format, signed": (lambda: _resigned(format="eraser checkpoint"), UnsupportedError),
    "verdict: passed though it failed, signed": (_passed_though_it_failed, ContradictoryError),
    "verdict: passed without passes, signed": (lambda: _resigned(passes=[]), ContradictoryError),
    "verdict: passed without verification, signed": (lambda: _resigned(final_verification=None), ContradictoryError),
    "verdict: passed without markers, signed": (lambda: _resigned(markers=None), ContradictoryError),
    "verdict: failed without a reason, signed": (lambda: _resigned(outcome="failed"), ContradictoryError),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_by_its_own_name(name: str) -> None:
    make, error = FORGERIES[name]
    document = make()
    assert document != DOCUMENT
    with pytest.raises(CertificateError) as caught:
        verify(document, trusting(SIGNER, SECOND))
    assert type(caught.value) is error


def test_what_is_refused_for_its_content_is_not_called_merely_unknown() -> None:
    for document in (_passed_though_it_failed(), _resigned(customer="x")):
        with pytest.raises(CertificateError) as caught:
            verify(document, {})
        assert not isinstance(caught.value, UnknownKeyError)


def test_a_second_signature_by_a_key_nobody_here_knows_does_no_harm() -> None:
    message = signed_bytes(FORM["certificate"])
    entry = {**ENTRY, "key_id": SECOND.key_id, "signature": base64.b64encode(SECOND.sign(message)).decode()}
    document = _signatures(ENTRY, entry)
    assert verify(document, trusting(SIGNER)).key_ids == (SIGNER.key_id,)
    assert verify(document, trusting(SIGNER, SECOND)).key_ids == (SIGNER.key_id, SECOND.key_id)


def test_the_certificate_ids_of_two_jobs_do_not_make_one_document_verify_as_the_other() -> None:
    replayed = replace(CERTIFICATE, job_id="f" * 32)
    with pytest.raises(AlteredError):
        verify(as_bytes({"certificate": to_json(replayed), "signatures": [ENTRY]}), trusting(SIGNER))


LEAVES = [("certificate", *steps) for steps, _ in leaves(FORM["certificate"])]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "end", "a"]), inner),
    max_leaves=5,
)
TRAPS = st.sampled_from(["9" * 5000, "00", "-1", "aes-256-ctr", "constant", "passed", "full", "0" * 10000])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LEAVES), ANYTHING | TRAPS), min_size=1, max_size=3))
def test_whatever_stands_in_a_field_only_a_certificate_error_comes_out(changes: list[tuple[Steps, Any]]) -> None:
    form = FORM
    for steps, value in changes:
        form = with_leaf(form, steps, value)
    with pytest.raises(CertificateError):
        verify(as_bytes(form), {})
    with pytest.raises(CertificateError) as caught:
        verify(seal(form["certificate"], SIGNER), {})
    assert str(caught.value)


def test_a_duration_of_too_many_digits_is_malformed() -> None:
    with pytest.raises(MalformedError, match="duration"):
        verify(_resigned(times={**FORM["certificate"]["times"], "duration": "9" * 5000}), trusting(SIGNER))
