"""The door for FreeRADIUS: from this machine only, and with the secret that its configuration was given."""

from __future__ import annotations

import hmac
import ipaddress

from flask import request

from bawaba.core.keyring import Keyring
from bawaba.core.runtime import Runtime
from bawaba.web.guard import for_machine

USER = "freeradius"


def secret_of(keyring: Keyring) -> str:
    """The secret between FreeRADIUS and us: it follows from the key file, and is stored nowhere else."""
    return keyring.digest("radius door", b"1").hex()


def _is_freeradius(rt: Runtime) -> bool:
    sent = request.authorization
    if sent is None or sent.type != "basic" or sent.username != USER or not _is_loopback(request.remote_addr):
        return False
    return hmac.compare_digest((sent.password or "").encode(), secret_of(rt.keyring).encode())


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


for_freeradius = for_machine(_is_freeradius)
