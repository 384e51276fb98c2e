"""What every command that believes certificates shares: which keys are trusted, and the file itself."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # cryptography is loaded by the commands that need it
    from collections.abc import Callable

    from eraser.certificates.checking import OpenedPdf
    from eraser.certificates.keys import TrustedKeys

keys_option = click.option(
    "--keys",
    "key_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="PEM file or folder of the public keys to trust, instead of this station's own.",
)


def trusted_keys(key_paths: tuple[Path, ...]) -> "TrustedKeys":
    """The keys in these files and folders; without any, those of the station. Raises KeyFileError."""
    from eraser.certificates.keys import load_all, station_keys
    from eraser.settings import keys_dir

    if not key_paths:
        return station_keys(keys_dir(os.environ))
    return load_all(key_paths)


def trusted_audit_keys(audit_key_paths: tuple[Path, ...], key_paths: tuple[Path, ...]) -> "TrustedKeys":
    """The keys in these files and folders; the station's own where neither they nor other keys are given.

    Raises KeyFileError.
    """
    from eraser.certificates.keys import AUDIT_FOLDER, load_all, station_keys
    from eraser.settings import keys_dir

    if audit_key_paths or key_paths:
        return load_all(audit_key_paths)
    return station_keys(keys_dir(os.environ) / AUDIT_FOLDER)


def pdf_opener(key_paths: tuple[Path, ...]) -> "Callable[[bytes], OpenedPdf]":
    """Opens PDFs under the P-256 keys in these files and folders; without any, under the station's.

    pyHanko is loaded when one is opened.
    """

    def open_one(file: bytes) -> "OpenedPdf":
        from eraser.certificates.keys import load_pdf_keys
        from eraser.certificates.pdf.checking import open_pdf
        from eraser.certificates.pdf.signing import station_pdf_keys
        from eraser.settings import keys_dir

        return open_pdf(file, load_pdf_keys(key_paths) if key_paths else station_pdf_keys(keys_dir(os.environ)))

    return open_one


def read_document(path: Path) -> bytes:
    """The file's bytes, one more at the most than a certificate may have. Raises UsageError."""
    from eraser.certificates.checking import read_document as read

    return read(path)
