"""Passwords: Argon2id, at most two at once, and the same work whether the person exists or not."""

from __future__ import annotations

import secrets
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from werkzeug.security import check_password_hash as check_werkzeug_hash

from bawaba.accounts.errors import SignInBusy

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's first choice: 19 MiB, t=2, p=1
AT_ONCE = 2  # bounds memory and leaves processor time for guests
WAITING_MOST = 4  # each holds a web thread that guests may need
WAIT_S = 2.0
LEAST, MOST = 8, 256
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else: people copy it off a screen
NOBODY = "$argon2id$v=19$m={},t={},p={}${}${}".format(  # checked when there is no such person; nothing fits it
    HASHER.memory_cost,
    HASHER.time_cost,
    HASHER.parallelism,
    b64encode(secrets.token_bytes(HASHER.salt_len)).decode().rstrip("="),
    b64encode(secrets.token_bytes(HASHER.hash_len)).decode().rstrip("="),
)
_turns = threading.BoundedSemaphore(AT_ONCE)
_places = threading.BoundedSemaphore(AT_ONCE + WAITING_MOST)


def hash_password(password: str) -> str:
    """Make the hash to keep. Raises `SignInBusy`."""
    with _turn():
        return HASHER.hash(password)


def check_password_hash(stored: str, password: str) -> bool:
    """Whether a password fits a stored hash, ours or one of Werkzeug's (scrypt, PBKDF2). Raises `SignInBusy`."""
    with _turn():
        if not stored.startswith("$argon2"):
            return check_werkzeug_hash(stored, password)
        try:
            return HASHER.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def needs_rehash(stored: str) -> bool:
    """Whether a stored hash is of an older kind; it is made anew when its password is next seen."""
    return not stored.startswith("$argon2") or HASHER.check_needs_rehash(stored)


def made_up() -> str:
    """A random password of 79 bits to be read off a screen: k7mx-…"""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))


@contextmanager
def _turn() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise SignInBusy()
    try:
        if not _turns.acquire(timeout=WAIT_S):
            raise SignInBusy()
        try:
            yield
        finally:
            _turns.release()
    finally:
        _places.release()
