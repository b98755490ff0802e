"""What openNDS's `authmon` sends and takes (openNDS 10.3 manual, "Forward Authentication Service", level 4).

It asks `<fas url>?auth_get=<verb>&gatewayhash=…&payload=<base64>`, or posts the same three. Pure: values in, answer
out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from urllib.parse import quote

from bawaba.core.errors import Invalid, field_fault
from bawaba.routers.nds import Tag

CLEAR, VIEW, LIST, DEAUTHED, CUSTOM = "clear", "view", "list", "deauthed", "custom"
VERBS = (CLEAR, VIEW, LIST, DEAUTHED, CUSTOM)
ACK, NOTHING = "ack", "none"
MARK = "*"  # a list that does not begin with it is not believed
AT_ONCE = 4  # of a list no more are tried in one round, and what is beyond 1,024 characters is cut off
PAYLOAD_MOST = 8192
RHID = re.compile(r"[0-9a-f]{64}")


def gateway_hash(name: str) -> str:
    """What a gateway of this name calls itself: the SHA-256 of its URL-encoded name."""
    return hashlib.sha256(quote(name, safe="").encode()).hexdigest()


def rhid(hid: str, faskey: str) -> str:
    """The proof by which a gateway lets a client in: only it and we know the faskey."""
    return hashlib.sha256(f"{hid}{faskey}".encode()).hexdigest()


def hid_of(token: str) -> str:
    """A client's hid: the SHA-256 of the token that the gateway keeps to itself until the client has gone."""
    return hashlib.sha256(token.encode()).hexdigest()


def entry(proof: str, allowed: str, tag: Tag) -> str:
    """One client to let in: `rhid minutes up down up-quota down-quota custom`. A shell on the gateway evaluates it, so
    nothing in it may come from a guest."""
    return quote(f"{proof} {allowed} {tag}", safe="")


def listed(entries: list[str]) -> str:
    """The answer to `view` and `list`."""
    return " ".join((MARK, *entries))


def decoded(payload: str) -> str:
    """A payload's text. Its base64 is not URL-encoded, so a plus arrives as a space. Raises `Invalid`."""
    if len(payload) > PAYLOAD_MOST:
        raise field_fault("payload", "too long")
    plain = payload.strip().replace(" ", "+")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode().strip()
    except (binascii.Error, ValueError) as error:
        raise Invalid(fields={"payload": ["must be base64"]}) from error


def acknowledged(text: str) -> list[str] | None:
    """The proofs in an ack list; None for a question of what there is. Raises `Invalid`."""
    if text == NOTHING:
        return None
    mark, *proofs = text.split() or [""]
    if mark != MARK or not all(RHID.fullmatch(proof) for proof in proofs):
        raise field_fault("payload", "must be none, or * and what was let in")
    return proofs


def proof_in(made: str) -> str:
    """The proof that an entry begins with."""
    return made.partition("%20")[0]
