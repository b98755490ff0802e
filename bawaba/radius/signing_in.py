"""Guests of a NAS at our portal: it lets in only who signs in at itself, so the code goes on to its own login page.

Nothing is redeemed at the portal: the NAS asks us then, and says itself which device it is about. Who is online there
is known by the address that it has told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sqlalchemy.orm import Session

from bawaba.core.errors import Unavailable
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.radius.gateways import DRIVER, gateways
from bawaba.routers.driver import Client, Handoff
from bawaba.vouchers import codes
from bawaba.web.messages import say

AT_ADDRESS = Statement(
    "SELECT client_mac FROM guest_session WHERE router_id = :router_id AND client_ip = :ip AND ended_at IS NULL "
    "AND state = 'online' ORDER BY id DESC LIMIT 1",
    "client_mac",
)


class NoLoginPage(Unavailable):
    """Nobody has told us where the gateway's login page is."""

    code = "no_login_page"


say(no_login_page="Type the code on the gateway's own login page, as user name. The password can stay empty.")


def signs_in_itself(driver: str) -> bool:
    """Whether a router of this make asks us for its guests, instead of being told."""
    return driver == DRIVER


def device_at(db: Session, router_id: int, ip: str) -> Client | None:
    """The device that has an address behind a NAS, as its accounting says; None where that names nobody."""
    found = AT_ADDRESS.first(db, router_id=router_id, ip=ip)
    return Client(found.client_mac, ip) if found is not None else None


def form_for(rt: Runtime, router_id: int, code: str, told: Mapping[str, str]) -> Handoff:
    """What the guest's browser has to send to the NAS's login page. Raises `CodeMalformed` before the NAS is bothered,
    and `NoLoginPage`. Where it is comes from the owner, never from the guest's redirect: a code goes nowhere else."""
    typed = codes.grouped(codes.parse(code).text)
    options = gateways(rt).get(router_id).options
    if not options.login_url:
        raise NoLoginPage()
    fields = {"username": typed, "password": typed}
    back = told.get("return_url", "")
    if options.make == "mikrotik":
        return Handoff(options.login_url, "POST", fields | {"dst": back, "popup": "false"})
    if options.make == "chilli":
        answered = chap_response(typed, told.get("challenge", ""))
        return Handoff(options.login_url, "GET", {"username": typed, "response": answered, "userurl": back})
    return Handoff(options.login_url, "POST", fields)


def chap_response(password: str, challenge: str) -> str:
    """What CoovaChilli's /logon wants (RFC 1994, 4.1, with identifier 0). We let in by the code alone, so one that was
    made without its uamsecret does as well."""
    try:
        dice = bytes.fromhex(challenge)
    except ValueError:
        dice = b""
    return hashlib.md5(b"\0" + password.encode() + dice, usedforsecurity=False).hexdigest()
