"""The station's key for PDFs, and its signature over the whole file (PAdES, ETSI EN 319 142-1, level B-B).

It is ECDSA P-256 with SHA-256: common readers call an Ed25519 signature broken. In `keys/pdf/` (mode 0700): `pdf.key`, the
private half (PEM, PKCS #8, mode 0600), and `<key id>.crt`, a certificate that it signed itself, which PDF asks for; nobody's
trust rests on it. A key id is the first 16 hex digits of SHA-256 of the public point, uncompressed (SEC 1 §2.3.3, 65 bytes).
"""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko_certvalidator.registry import SimpleCertificateStore

from eraser.certificates.errors import KeyFileError
from eraser.certificates.keys import CurveKey, PdfKeys, curve_key_id, make_key_folder, private_pem, read_private_key
from eraser.certificates.validity import ALWAYS, Validity, validity_of
from eraser.durable import write_new, write_over

FOLDER = "pdf"
PRIVATE_NAME = "pdf.key"
FIELD = "Eraser"
_RESERVED = 4096
"""Hex digits kept free for the signature, which takes about 2,300: without the number it is made twice, once to measure it."""


class PdfSigner:
    """Signs PDFs with a key that is in this process's memory."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, validity: Validity = ALWAYS
    ) -> None:
        self.public = key.public_key()
        self.trusted = CurveKey(self.public, validity)
        self.key_id = curve_key_id(self.public)
        private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._signer = signers.SimpleSigner(
            signing_cert=asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER)),
            signing_key=asn1_keys.PrivateKeyInfo.load(private),
            cert_registry=SimpleCertificateStore(),  # type: ignore[no-untyped-call]
        )

    def _expect_valid_at(self, moment: str) -> None:
        if not self.trusted.validity.covers(moment):
            raise KeyFileError(
                f"it is {moment}, and the key for PDFs {self.key_id} signs {self.trusted.validity}",
                remedy="If the clock is right, `eraser certificate key rotate --pdf` makes a new one.",
            )

    def __call__(self, pdf: bytes, moment: str) -> bytes:
        """The PDF with a signature over all of it, behind which nothing may be added; its own bytes stay as they are.

        `moment` (RFC 3339, UTC) is now. Raises KeyFileError where this key does not sign then.
        """
        self._expect_valid_at(moment)
        writer = IncrementalPdfFileWriter(BytesIO(pdf))
        metadata = signers.PdfSignatureMetadata(
            field_name=FIELD,
            md_algorithm="sha256",
            subfilter=fields.SigSeedSubFilter.PADES,
            certify=True,
            docmdp_permissions=fields.MDPPerm.NO_CHANGES,
        )
        out = signers.sign_pdf(writer, metadata, signer=self._signer, bytes_reserved=_RESERVED, output=BytesIO())
        assert isinstance(out, BytesIO)
        return out.getvalue()


def public_pem(key: ec.EllipticCurvePublicKey, validity: Validity = ALWAYS) -> bytes:
    """SubjectPublicKeyInfo in PEM, as OpenSSL reads it, after the lines that say in which time it signs."""
    return validity.lines().encode() + key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def open_pdf_signer(keys_folder: Path) -> PdfSigner:
    """The station's signer of PDFs, its key made on first use. Several processes may do this at once: all get the same key.

    Raises KeyFileError for a folder or a file that others could read or change, and for what is no P-256 key.
    """
    make_key_folder(keys_folder)
    folder = keys_folder / FOLDER
    make_key_folder(folder)
    private = folder / PRIVATE_NAME
    try:
        if not private.is_symlink() and not private.exists():
            new = ec.generate_private_key(ec.SECP256R1())
            write_new(private, private_pem(new), 0o600)
        key = read_private_key(private)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeyFileError("its key is not a P-256 key", subject=str(private))
        path = folder / f"{curve_key_id(key.public_key())}.crt"
        # Whoever comes second keeps the first one's: the file is what counts, not what was made for it.
        if not path.exists():
            write_new(path, _self_signed(key), 0o644)
        certificate, validity = _kept(path)
    except (OSError, ValueError) as error:
        raise KeyFileError(f"the key for PDFs cannot be used: {error}", subject=str(private)) from error
    if certificate.public_key() != key.public_key():
        raise KeyFileError("it is of another key", subject=str(path), remedy="Remove it; it is made anew.")
    return PdfSigner(key, certificate, validity)


def rotate_pdf_key(keys_folder: Path, now: str, until: str) -> tuple[CurveKey, PdfSigner]:
    """A new key for PDFs from `now` on, and the end of the old one at `until`, a little later; RFC 3339 in UTC: the old one,
    the new one. As `eraser.certificates.keys.rotate`: durable when it returns; after a crash it may be done again.
    """
    old = open_pdf_signer(keys_folder)
    folder = keys_folder / FOLDER
    key = ec.generate_private_key(ec.SECP256R1())
    new_id, since = curve_key_id(key.public_key()), Validity(since=now)
    ended = folder / f"{old.key_id}.crt"
    # 1. The new key is trusted, and nobody has its private half. 2. The old one ends. 3. The new private half takes its place.
    try:
        write_new(folder / f"{new_id}.crt", since.lines().encode() + _self_signed(key), 0o644)
        certificate, validity = _kept(ended)
        lines = validity.within(Validity(until=until)).lines().encode()
        write_over(ended, lines + certificate.public_bytes(Encoding.PEM), 0o644)
        write_over(folder / PRIVATE_NAME, private_pem(key), 0o600)
    except (OSError, ValueError) as error:
        raise KeyFileError(f"the key for PDFs cannot be changed: {error}", subject=str(folder)) from error
    return CurveKey(old.public, _kept(ended)[1]), open_pdf_signer(keys_folder)


def _kept(path: Path) -> tuple[x509.Certificate, Validity]:
    """Raises OSError, ValueError."""
    content = path.read_bytes()
    preamble = content[: content.index(b"-----BEGIN")].decode("utf-8", "replace")
    return x509.load_pem_x509_certificate(content), validity_of(preamble)


def station_pdf_keys(keys_folder: Path) -> PdfKeys:
    """What this station trusts by itself: its own key for PDFs, if it has made one, and those that it had before."""
    if not (keys_folder / FOLDER / PRIVATE_NAME).exists():
        return {}
    signer = open_pdf_signer(keys_folder)
    found = {signer.key_id: signer.trusted}
    for path in sorted((keys_folder / FOLDER).glob("*.crt")):
        try:
            certificate, validity = _kept(path)
        except (OSError, ValueError) as error:
            raise KeyFileError(f"a key for PDFs cannot be read: {error}", subject=str(path)) from error
        key = certificate.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey):
            found[curve_key_id(key)] = CurveKey(key, validity)
    return found


def _self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Valid as long as X.509 can say: the key's validity is the plant's to tell, not the file's."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Eraser station, key {curve_key_id(key.public_key())}")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))  # RFC 5280 §4.1.2.5: no well-defined end
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
