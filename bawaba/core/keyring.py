"""Secrets at rest: one key file outside the database, and what is derived from it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12


class KeyFileError(Exception):
    """The key file is missing, damaged or readable by others; the text says what to do."""


class Keyring:
    """Encrypts and digests with keys derived from the master key (HKDF-SHA256, RFC 5869), one for each use."""

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise KeyFileError(f"the key must be {KEY_BYTES} bytes, not {len(master)}")
        self._master = master
        self._aead = AESGCM(self._derive(b"encrypt"))
        self._digest_keys: dict[str, bytes] = {}
        self.token_key = self._derive(b"access tokens")

    @classmethod
    def open(cls, path: Path) -> Keyring:
        """Read the key file, or make one (mode 0600) where there is none."""
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path} can be read by others: run chmod 600 {path}")
        try:
            return cls(bytes.fromhex(path.read_text("ascii").strip()))
        except ValueError as error:
            raise KeyFileError(f"{path} is damaged: restore it from your safe copy") from error

    def encrypt(self, plain: bytes, context: bytes) -> bytes:
        """AES-256-GCM; `context` says what it is and must be the same to open it again."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, context)

    def decrypt(self, sealed: bytes, context: bytes) -> bytes:
        """Undo `encrypt`; raises `cryptography.exceptions.InvalidTag` for another key, context or content."""
        return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)

    def digest(self, kind: str, value: bytes) -> bytes:
        """Keyed HMAC-SHA256: equal for equal values, useless without the key file."""
        key = self._digest_keys.get(kind)
        if key is None:
            key = self._digest_keys[kind] = self._derive(b"digest " + kind.encode())
        return hmac.digest(key, value, "sha256")

    @property
    def fingerprint(self) -> str:
        """Names the key without giving it away; eight characters of it name this installation on routers."""
        return hashlib.sha256(self._derive(b"fingerprint")).hexdigest()[:16]

    def _derive(self, info: bytes) -> bytes:
        return HKDF(SHA256(), KEY_BYTES, salt=b"bawaba", info=info).derive(self._master)


def _create(path: Path) -> None:
    """Write a new key so that a crash leaves either none or a whole one, and two starts agree on one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # mode 0600
    draft = Path(name)
    try:
        os.write(handle, secrets.token_hex(KEY_BYTES).encode("ascii") + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its key counts
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
