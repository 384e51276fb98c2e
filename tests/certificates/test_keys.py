from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from eraser.certificates.errors import KeyFileError
from eraser.certificates.keys import PRIVATE_NAME, load_keys, open_signer, station_keys
from tests.certificates.builders import a_signer


def private_pem(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_key_is_made_on_first_use_for_its_owner_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        signer = open_signer(tmp_path / "data" / "keys")
    finally:
        os.umask(before)
    keys = tmp_path / "data" / "keys"
    assert mode_of(keys) == 0o700
    assert mode_of(keys / PRIVATE_NAME) == 0o600
    assert sorted(item.name for item in keys.iterdir()) == sorted([f"{signer.key_id}.pub", PRIVATE_NAME])


def test_the_key_stays_the_same_and_is_trusted_on_the_station(tmp_path: Path) -> None:
    first, second = open_signer(tmp_path / "keys"), open_signer(tmp_path / "keys")
    assert first.key_id == second.key_id
    assert second.public.is_signature(first.sign(b"message"), b"message")
    assert set(station_keys(tmp_path / "keys")) == {first.key_id}
    assert station_keys(tmp_path / "elsewhere") == {}


def test_a_key_id_is_the_beginning_of_the_raw_keys_hash(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert set(load_keys(pem)) == {hashlib.sha256(raw).hexdigest()[:16]}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o602])
def test_a_private_key_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    open_signer(tmp_path / "keys")
    (tmp_path / "keys" / PRIVATE_NAME).chmod(mode)
    with pytest.raises(KeyFileError, match="others"):
        open_signer(tmp_path / "keys")


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702])
def test_a_key_folder_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    open_signer(tmp_path / "keys")
    (tmp_path / "keys").chmod(mode)
    for use in (open_signer, station_keys):
        with pytest.raises(KeyFileError, match="others"):
            use(tmp_path / "keys")


def test_symbolic_links_are_refused_for_the_key_and_for_its_folder(tmp_path: Path) -> None:
    open_signer(tmp_path / "real")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    with pytest.raises(KeyFileError, match="symbolic link"):
        open_signer(tmp_path / "linked")
    key = tmp_path / "real" / PRIVATE_NAME
    key.rename(tmp_path / "moved")
    key.symlink_to(tmp_path / "moved")
    with pytest.raises(KeyFileError, match="symbolic link"):
        open_signer(tmp_path / "real")
    key.unlink()
    key.symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeyFileError, match="symbolic link"):
        open_signer(tmp_path / "real")


def test_what_is_no_ed25519_private_key_is_refused(tmp_path: Path) -> None:
    curve = private_pem(ec.generate_private_key(ec.SECP256R1()))
    for content in (b"", b"nonsense", curve, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        keys = tmp_path / hashlib.sha256(content).hexdigest()
        keys.mkdir(mode=0o700)
        (keys / PRIVATE_NAME).write_bytes(content)
        (keys / PRIVATE_NAME).chmod(0o600)
        with pytest.raises(KeyFileError):
            open_signer(keys)
        assert (keys / PRIVATE_NAME).read_bytes() == content


def test_something_that_is_no_file_in_the_keys_place_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    os.mkfifo(keys / PRIVATE_NAME, 0o600)
    with pytest.raises(KeyFileError, match="regular"):
        open_signer(keys)


def test_several_public_keys_can_be_brought_in_one_file_or_in_a_folder(tmp_path: Path) -> None:
    signers = [a_signer() for _ in range(3)]
    (tmp_path / "all.pem").write_bytes(b"# the plant's keys\n" + b"".join(item.public.pem() for item in signers))
    assert set(load_keys(tmp_path / "all.pem")) == {item.key_id for item in signers}
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.pub").write_bytes(signers[0].public.pem())
    (folder / "b.pem").write_bytes(signers[1].public.pem())
    (folder / "README").write_text("not a key")
    assert set(load_keys(folder)) == {signers[0].key_id, signers[1].key_id}


def test_a_private_key_given_for_trust_is_refused_with_what_to_do(tmp_path: Path) -> None:
    open_signer(tmp_path / "keys")
    with pytest.raises(KeyFileError, match="private key"):
        load_keys(tmp_path / "keys" / PRIVATE_NAME)


def test_trusted_files_without_an_ed25519_public_key_are_refused(tmp_path: Path) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    broken = a_signer().public.pem().replace(b"MC", b"AA", 1)
    for content in (b"", b"\xff", curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), broken):
        path = tmp_path / "key.pem"
        path.write_bytes(content)
        with pytest.raises(KeyFileError):
            load_keys(path)
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(KeyFileError):
            load_keys(path)


def test_processes_that_make_the_first_key_at_once_all_get_the_same_one(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from eraser.certificates.keys import open_signer; sys.stdin.read(1);"
        "print(open_signer(pathlib.Path(sys.argv[1])).key_id)"
    )
    for round_number in range(3):
        keys = tmp_path / str(round_number) / "keys"
        gate_read, gate_write = os.pipe()
        processes = [
            subprocess.Popen([sys.executable, "-c", program, keys], stdin=gate_read, stdout=subprocess.PIPE)
            for _ in range(4)
        ]
        os.write(gate_write, b"gogo")  # one byte each
        os.close(gate_read)
        os.close(gate_write)
        ids = {process.communicate(timeout=60)[0] for process in processes}
        assert len(ids) == 1
        assert sorted(item.suffix for item in keys.iterdir()) == [".key", ".pub"]


def test_the_public_half_comes_back_when_it_was_lost(tmp_path: Path) -> None:
    signer = open_signer(tmp_path / "keys")
    (tmp_path / "keys" / f"{signer.key_id}.pub").unlink()
    open_signer(tmp_path / "keys")
    assert set(station_keys(tmp_path / "keys")) == {signer.key_id}


@pytest.mark.lab("openssl")
def test_openssl_reads_the_private_half_as_pkcs_8(tmp_path: Path) -> None:
    open_signer(tmp_path / "keys")
    command = ["openssl", "pkey", "-in", str(tmp_path / "keys" / PRIVATE_NAME), "-noout", "-text"]
    assert b"ED25519" in subprocess.run(command, capture_output=True, check=True).stdout
