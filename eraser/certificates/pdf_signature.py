"""The signature over a PDF of ours, looked at with nothing but `cryptography`: for who has no reader of PDFs.

It takes the one form in which our station signs: one signature, over all of the file but itself (ISO 32000-1 §12.8.1), a CMS
(RFC 5652) with one signer, ECDSA over P-256 with SHA-256, its attributes signed. So it tells whether the file is what the
holder of the key signed. What stands on the page it does not see.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_der_x509_certificate

from eraser.certificates.errors import AlteredError, KeyNotValidThenError, UnknownKeyError
from eraser.certificates.keys import CurveKey, curve_key_id
from eraser.certificates.validity import ALWAYS

_BYTE_RANGE = re.compile(rb"/ByteRange \[0 ([0-9]{1,10}) ([0-9]{1,10}) ([0-9]{1,10})\]")
_MADE = re.compile(rb"/M \(D(?::|\\072)([0-9]{14})(?:Z|([+-])([0-9]{2})'([0-9]{2})'?)\)")
_HEX = re.compile(rb"<((?:[0-9A-F]{2})+)>")
_SEQUENCE, _SET, _OCTETS, _OID = 0x30, 0x31, 0x04, 0x06
_FIRST = 0xA0
"""[0], constructed: the signed data, the certificates, the signed attributes."""
_MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")
_SIGNING_CERTIFICATE = bytes.fromhex("2a864886f70d010910022f")
_ECDSA_SHA256 = bytes.fromhex("2a8648ce3d040302")


def signer_of(file: bytes, trusted: Mapping[str, CurveKey]) -> str:
    """The id of the trusted key that signed all of the file.

    Raises AlteredError where it is not as it was signed, or not by the key that it names, UnknownKeyError,
    KeyNotValidThenError.
    """
    places = list(_BYTE_RANGE.finditer(file))
    if len(places) != 1 or file.count(b"/ByteRange") != 1:
        raise AlteredError(
            f"it bears {file.count(b'/ByteRange')} signatures instead of the station's one: it was altered"
        )
    before, after, rest = (int(number) for number in places[0].groups())
    found = _HEX.fullmatch(file[before:after])
    if found is None or after + rest != len(file) or not after < places[0].start():
        raise AlteredError("the PDF is not as it was signed: something in it or behind it was altered")
    try:
        certificate, attributes, signature, padding = _signed(bytes.fromhex(found[1].decode()))
        key = _key_of(certificate)
        digest = sha256(file[:before] + file[after:]).digest()
        # RFC 5035 §4: which certificate signed stands among what is signed.
        is_its_own = sha256(certificate).digest() in _attribute(attributes, _SIGNING_CERTIFICATE)
        if (
            _attribute(attributes, _MESSAGE_DIGEST) != bytes([_OCTETS, len(digest)]) + digest
            or not is_its_own
            or padding.strip(b"\0")
        ):
            raise AlteredError("the PDF is not as it was signed: something in it or behind it was altered")
        # RFC 5652 §5.4: what is signed are the attributes as a SET.
        key.verify(signature, bytes([_SET]) + attributes[1:], ECDSA(SHA256()))
    except (ValueError, IndexError, InvalidSignature) as error:
        raise AlteredError("its signature cannot be checked: it was altered") from error
    key_id = curve_key_id(key)
    if key_id not in trusted:
        raise UnknownKeyError(
            "its page is signed with a key that is not trusted here; who drew the page is not known",
            remedy="Get the plant's key for PDFs (`eraser certificate key --pdf`) by another way, and give it with --keys.",
        )
    _expect_valid_then(file[after:], trusted[key_id], key_id)
    return key_id


def _signed(content: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Of a CMS: the certificate in it, the signed attributes as they stand there, the signature over them, and what
    follows. Raises ValueError for any other form.
    """
    content_info, end = _part(content, 0, _SEQUENCE)
    _, place = _part(content_info, 0, _OID)
    signed_data, _ = _part(_part(content_info, place, _FIRST)[0], 0, _SEQUENCE)
    parts = _parts(signed_data)
    certificates = [body for tag, body, _ in parts if tag == _FIRST]
    (signers,) = (body for tag, body, _ in parts[2:] if tag == _SET)
    ((_, signer, _),) = _parts(signers)
    (attributes,) = (whole for tag, _, whole in _parts(signer) if tag == _FIRST)
    algorithm, signature = [(tag, body) for tag, body, _ in _parts(signer)][4:6]
    if _part(algorithm[1], 0, _OID)[0] != _ECDSA_SHA256 or signature[0] != _OCTETS or len(certificates) != 1:
        raise ValueError("it is signed otherwise than our station does")
    ((_, _, certificate),) = _parts(certificates[0])
    return certificate, attributes, signature[1], content[end:]


def _key_of(certificate: bytes) -> EllipticCurvePublicKey:
    try:
        key = load_der_x509_certificate(certificate).public_key()
    except (
        Exception
    ) as error:  # of a version, a curve or an encoding that it does not know: each has an error of its own
        raise ValueError("its certificate cannot be read") from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("its key is none of those that our stations have")
    return key


def _attribute(attributes: bytes, wanted: bytes) -> bytes:
    """The one value of the one signed attribute of this name (RFC 5652 §5.3). Raises ValueError."""
    body, _ = _part(attributes, 0, _FIRST)
    values = []
    for _, attribute, _ in _parts(body):
        name, place = _part(attribute, 0, _OID)
        if name == wanted:
            values.append(_part(attribute, place, _SET)[0])
    (value,) = values
    return value


def _expect_valid_then(signature: bytes, key: CurveKey, key_id: str) -> None:
    """By the time that the signature itself says, which it covers."""
    made = _MADE.findall(signature)
    moment = _moment(*made[0]) if len(made) == 1 else ""
    if key.validity != ALWAYS and (not moment or not key.validity.covers(moment)):
        raise KeyNotValidThenError(
            f"its page says that it was signed at {moment or 'no time'}; its key {key_id} signs {key.validity}",
            remedy="Believe the certificate in it, not the page, and ask the plant for a newer one.",
        )


def _moment(digits: bytes, sign: bytes, hours: bytes, minutes: bytes) -> str:
    """RFC 3339 in UTC; empty for a day that no month has."""
    zone = f"{sign.decode()}{hours.decode()}:{minutes.decode()}" if sign else "+00:00"
    try:
        at = datetime.strptime(f"{digits.decode()}{zone}", "%Y%m%d%H%M%S%z")
    except ValueError:
        return ""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _parts(content: bytes) -> list[tuple[int, bytes, bytes]]:
    """Of DER, all that stands one after the other: tag, content, and the whole. Raises ValueError."""
    found, place = [], 0
    while place < len(content):
        begin = place
        body, place = _part(content, place, content[place])
        found.append((content[begin], body, content[begin:place]))
    return found


def _part(content: bytes, place: int, tag: int) -> tuple[bytes, int]:
    """The content of what stands at this place, and the place behind it (X.690 §8.1, definite lengths alone)."""
    if content[place] != tag:
        raise ValueError(f"a part with tag {content[place]} stands where {tag} should")
    length, place = content[place + 1], place + 2
    if length > 0x80:
        count = length & 0x7F
        length, place = int.from_bytes(content[place : place + count], "big"), place + count
    if length == 0x80 or place + length > len(content):
        raise ValueError("a part is longer than what it stands in")
    return content[place : place + length], place + length
