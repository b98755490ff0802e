"""CoA and Disconnect against a NAS made with pyrad: what it does, what it refuses, and when it is silent."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from bawaba.core.errors import Invalid
from bawaba.routers import nas as words
from bawaba.routers import told
from bawaba.routers.driver import (
    Cap,
    Client,
    Connection,
    Grant,
    Limits,
    Reason,
    RouterAuthFailed,
    RouterRejected,
    RouterSession,
    RouterUnreachable,
    Unsupported,
)
from bawaba.routers.drivers import radius
from bawaba.routers.drivers.radius import exchange, packet
from tests.cast import PHONE
from tests.radius.nas import BUSY, PROHIBITED, SECRET, Nas, nas

GIB = 1024**3
HOUR = 3600
NAMES = {"User-Name": "1234-5678-9012", "Acct-Session-Id": "81000001", "NAS-Identifier": "café"}
GUEST = Client(PHONE, "10.0.0.9", site_ref=NAMES)
SESSION = RouterSession("session:1", "session:1", None, GUEST, None, 0, 0, 0)


@pytest.fixture
def box():
    with nas() as listening:
        listening.sessions.add("81000001")
        yield listening


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(exchange, "TRY_S", 0.2)


def driver(box: Nas, secret: str = SECRET, **options) -> radius.Driver:
    return radius.Driver(Connection(1, "127.0.0.1", box.coaport, None, secret, options, "install8"))


def ask(box: Nas, verb: str, *args, **facts):
    async def all_of_it():
        made = driver(box, **facts)
        try:
            return await getattr(made, verb)(*args)
        finally:
            await made.close()

    return asyncio.run(all_of_it())


def grant(**limits) -> Grant:
    return Grant("session:1", 2, login="S1", limits=Limits(**({"uptime_s": HOUR} | limits)))


def test_who_is_kicked_is_out_and_is_named_as_the_nas_names_him(box):
    last = ask(box, "kick", SESSION)

    assert box.sessions == set()
    assert (last.key, last.up, last.down) == ("session:1", 0, 0)
    assert box.asked[0]["User-Name"] == "1234-5678-9012"
    assert box.asked[0]["Acct-Session-Id"] == "81000001"
    assert box.asked[0]["NAS-Identifier"] == "café"


def test_kicking_twice_finds_nobody_and_is_no_error(box):
    ask(box, "kick", SESSION)
    assert ask(box, "kick", SESSION) is None


def test_a_device_of_which_only_the_mac_is_known_is_named_by_it(box):
    assert ask(box, "kick", Client(PHONE, "10.0.0.9"), nas="mikrotik") is None
    assert box.asked[0]["Calling-Station-Id"] == PHONE.upper()
    assert box.asked[0]["Framed-IP-Address"] == "10.0.0.9"


def test_who_is_not_known_at_all_cannot_be_named(box):
    with pytest.raises(RouterRejected) as refused:
        ask(box, "kick", Client(None, "10.0.0.9"))
    assert refused.value.reason is Reason.UNKNOWN_CLIENT
    assert box.asked == []


def test_a_lost_request_is_sent_again(box):
    box.silent = 2
    assert ask(box, "kick", SESSION) is not None
    assert len(box.asked) == 3


def test_silence_is_unreachable_and_nobody_knows_the_outcome(box):
    box.silent = 9
    began = time.monotonic()
    with pytest.raises(RouterUnreachable) as silent:
        ask(box, "kick", SESSION)
    assert not silent.value.outcome_known
    assert len(box.asked) == 3 and time.monotonic() - began < 3


def test_the_tries_fit_into_the_time_that_a_kick_has():
    assert exchange.TRIES * 1.5 < 5.0


def test_a_port_where_nobody_listens_is_said_at_once():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = radius.Driver(Connection(1, "127.0.0.1", port, None, SECRET, {}, "install8"))
    with pytest.raises(RouterUnreachable):
        asyncio.run(asyncio.wait_for(made.kick(SESSION), 0.15))


@pytest.mark.parametrize(
    ("cause", "error", "reason"),
    [(BUSY, RouterRejected, Reason.BUSY), (402, RouterRejected, Reason.BAD_VALUE), (508, RouterRejected,
     Reason.DUPLICATE), (PROHIBITED, RouterAuthFailed, None), (403, RouterAuthFailed, None)],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["kick", "admit"])
def test_a_refusal_says_which(box, verb, cause, error, reason):
    box.refuse = cause
    with pytest.raises(error) as refused:
        ask(box, verb, *([SESSION] if verb == "kick" else [grant(), GUEST]))
    assert str(cause) in str(refused.value)
    assert getattr(refused.value, "reason", None) == reason


def test_a_nas_with_another_secret_does_not_hear_us():
    with nas("another-secret-of-22-characters") as other:
        with pytest.raises(RouterUnreachable):
            ask(other, "kick", SESSION)
        assert other.asked == []


def test_an_answer_that_is_signed_with_another_secret_is_not_believed():
    asked = packet.request(packet.DISCONNECT, 7, NAMES, b"ours")
    with pytest.raises(packet.Forged):
        packet.answer(bytes([41, 7, 0, 20]) + bytes(16), asked, b"ours")


@pytest.mark.parametrize("cut", [0, 1, 19])
def test_an_answer_that_is_cut_short_is_not_believed(cut):
    asked = packet.request(packet.DISCONNECT, 7, NAMES, b"ours")
    with pytest.raises(packet.Forged):
        packet.answer((bytes([41, 7, 0, 20]) + bytes(16))[:cut], asked, b"ours")


def test_forged_answers_and_nothing_else_mean_that_the_secrets_differ(box, monkeypatch):
    def forged(*_):
        raise packet.Forged("signed with another secret")

    monkeypatch.setattr(packet, "answer", forged)
    with pytest.raises(RouterAuthFailed):
        ask(box, "kick", SESSION)


def test_a_change_sends_every_limit(box):
    ask(box, "admit", grant(bytes_total=10 * GIB, rate_up_kbps=2000, rate_down_kbps=10000), GUEST, nas="mikrotik")

    (said,) = box.asked
    assert said["Session-Timeout"] == HOUR
    assert (said["Mikrotik-Total-Limit"], said["Mikrotik-Total-Limit-Gigawords"]) == (2147483648, 2)
    assert said["Mikrotik-Rate-Limit"] == "2000k/10000k"
    assert said["Acct-Interim-Interval"] == 60


def test_chilli_counts_a_changed_limit_from_the_sessions_start(box):
    used = {"used-seconds": "600", "used-up": "1000", "used-down": str(4 * GIB), "idle-seconds": "300"}
    client = Client(PHONE, "10.0.0.9", site_ref=NAMES | used)
    ask(box, "admit", grant(bytes_total=GIB), client, nas="chilli")

    (said,) = box.asked
    assert said["Session-Timeout"] == HOUR + 600
    assert said["Idle-Timeout"] == 300
    high, low = said["ChilliSpot-Max-Total-Gigawords"], said["ChilliSpot-Max-Total-Octets"]
    assert words.bytes_of(low, high) == 5 * GIB + 1000


@pytest.mark.parametrize("empty", [{"uptime_s": 0}, {"bytes_total": 0}, {"bytes_down": -1}])
def test_a_right_with_nothing_left_is_not_sent(box, empty):
    with pytest.raises(RouterRejected):
        ask(box, "admit", grant(**empty), GUEST)
    assert box.asked == []


def test_a_guest_who_is_not_online_there_signs_in_there(box):
    with pytest.raises(RouterRejected) as refused:
        ask(box, "admit", grant(), Client(PHONE, "10.0.0.9"))
    assert refused.value.reason is Reason.UNKNOWN_CLIENT
    box.sessions.clear()
    with pytest.raises(RouterRejected) as refused:
        ask(box, "admit", grant(), GUEST)
    assert refused.value.reason is Reason.UNKNOWN_CLIENT


def test_a_probe_finds_it_and_ends_nobodys_session(box):
    info = ask(box, "probe", nas="mikrotik")
    assert "mikrotik" in info.board and str(box.coaport) in info.version
    assert box.sessions == {"81000001"}


def test_a_probe_says_when_it_takes_no_orders_from_us(box):
    box.refuse = PROHIBITED
    with pytest.raises(RouterAuthFailed):
        ask(box, "probe")


@pytest.mark.parametrize("verb", ["sessions", "owned", "health", "locate"])
def test_what_it_cannot_do_it_says_without_asking(box, verb):
    with pytest.raises(Unsupported):
        ask(box, verb)
    assert box.asked == []
    assert not radius.Driver.caps & (Cap.SESSIONS | Cap.PRELOAD | Cap.HEALTH | Cap.OWNED_LIST)


def test_three_hundred_questions_at_once_are_each_answered_or_refused(box):
    async def all_of_them():
        made = driver(box)
        try:
            return await asyncio.gather(*(made.kick(SESSION) for _ in range(300)), return_exceptions=True)
        finally:
            await made.close()

    answers = asyncio.run(all_of_them())
    assert sum(isinstance(answer, RouterSession) for answer in answers) == 1
    assert all(answer is None or isinstance(answer, RouterSession | RouterRejected) for answer in answers)


@pytest.mark.parametrize(
    "options",
    [{"nas": "acme"}, {"interim_seconds": 5}, {"interim_seconds": "often"}, {"mac_auth": "perhaps"},
     {"message_authenticator": 7}, {"networks": "café"}],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(Invalid):
        told.check_options(radius.Driver, options, {})


def test_a_secret_is_made_up_and_a_short_one_is_refused():
    first, second = (told.with_way(radius.Driver, {"address": "10.0.0.1"})["password"] for _ in range(2))
    assert first != second and len(first) >= 22
    with pytest.raises(Invalid):
        told.with_way(radius.Driver, {"address": "10.0.0.1", "password": "testing123"})
    with pytest.raises(Invalid):
        told.check_password(radius.Driver, "testing123")
