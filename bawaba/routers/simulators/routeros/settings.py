"""What kind of router to be, and how to behave where nobody has said what a real one does."""

from __future__ import annotations

from dataclasses import dataclass, field

from bawaba.routers.simulators.routeros.versions import NEWEST

LICENCE_SESSIONS = {0: 1, 1: 1, 3: 1, 4: 200, 5: 500, 6: 0}  # hotspot sessions by licence level; 0 is no ceiling


@dataclass(slots=True)
class Behaviour:
    """Switches that may be turned while the router runs. Times are seconds."""

    delay_s: float = 0.0  # the link: every answer comes this much later, many on their way at once
    add_s: float = 0.0  # the router: each `add` takes this long, one after the other
    split_bytes: int = 0  # cut answers into pieces of this size; 0 sends them whole
    interleave: bool = True  # answers to tagged commands that came together are mixed, sentence by sentence
    login_failure: str = "trap"  # "trap": stays connected; "fatal": is put out
    challenge_login: bool | None = None  # the MD5 log-in from before 6.43; None goes by the version
    empty_reply: bool | None = None  # `!empty`; None goes by the version
    no_such_item: str = "no such item"  # some say "no such item (4)"
    counters_live: bool = False  # a user's counters grow while online; else they are saved at log-out
    active_ids: str = "address"  # "address": a session's id is made of its address and comes again; "growing"
    login_again: str = "keep"  # an API log-in where someone is already in: "keep", "replace" or "refuse"
    login_needs_pap: bool = True  # an API log-in works only where the server profile has http-pap
    warm_up_s: float = 0.0  # so long after boot the hotspot's menus are empty, though the API answers
    host_remove_ends_session: bool = True
    cookies_survive_reboot: bool = True
    slide_back_s: float = 1.0  # how soon a phone that was put out sends its next packet
    over_ceiling: str = "close"  # a connection beyond max-sessions: "close", or "silent"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is decided when a router is made."""

    version: str = NEWEST
    identity: str = "MikroTik"
    board: str = "hAP ax^2"
    licence_level: int = 4
    username: str = "admin"
    password: str = field(default="", repr=False)
    address: str = "10.5.50.1"  # the hotspot's own address for guests
    dns_name: str = "login.hotspot"
    login_by: str = "cookie,http-chap,http-pap,mac-cookie"
    clock_offset_s: float = 0.0  # the router's clock minus the true one; a year is 31536000
    max_sessions: int = 20
    hotspot_allowed: bool = True  # device-mode
    seed: int = 1  # for the order of words
