"""The Class attribute: our mark on a session, which a NAS says back in its accounting (RFC 2865, 5.25)."""

from __future__ import annotations

from collections.abc import Iterable

from bawaba.core.keyring import Keyring
from bawaba.sessions import admission

TRUSTED = "bawaba.trusted"


def class_of(keyring: Keyring, session_id: int) -> str:
    """The mark of a session of this installation."""
    return f"{keyring.fingerprint[:8]}.{admission.key_of(session_id)}"


def session_of(keyring: Keyring, marks: Iterable[bytes]) -> int | None:
    """The session that one of the marks names; None when none is ours."""
    mine = f"{keyring.fingerprint[:8]}."
    for mark in marks:
        text = mark.decode("ascii", "replace")
        if text.startswith(mine) and (found := admission.session_id_of(text.removeprefix(mine))) is not None:
            return found
    return None
