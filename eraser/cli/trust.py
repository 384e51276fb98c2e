"""What every command that believes certificates shares: which keys are trusted, and the file itself."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # cryptography is loaded by the commands that need it
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


def read_document(path: Path) -> bytes:
    """The file's bytes, one more at the most than a certificate may have. Raises UsageError."""
    from eraser.certificates.checking import read_document as read

    return read(path)
