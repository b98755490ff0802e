"""What a gateway catches is sent to the portal; what is ours is left alone; phones learn how they stand."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from bawaba.core.database import DatabaseAway
from bawaba.portal.captive import HOSTS_TTL_S, PROBES, SUCCESS
from bawaba.portal.guests import Told, identify
from bawaba.routers.driver import Client, RouterUnreachable
from bawaba.routers.drivers import fake
from bawaba.routers.errors import RouterUnreachableNow
from bawaba.routers.models import Device
from bawaba.sessions.errors import UnknownDevice
from bawaba.sessions.models import GuestSession
from bawaba.sessions.redeem import redeem
from bawaba.sites.models import Site
from bawaba.web.bridge import WsgiBridge
from tests.cast import HOUR, PHONE, TABLET, Cast
from tests.portal.phone import Phone
from tests.serving import serving

GUEST = {"REMOTE_ADDR": "10.77.0.9"}
GUEST6 = {"REMOTE_ADDR": "fd77::9"}
STRANGER = {"REMOTE_ADDR": "192.0.2.7"}
PORTAL = "http://login.wifi/"


@pytest.fixture
def gateway(cast: Cast, clock):
    """A router whose guests are 10.77.0.0/24 and fd77::/64."""
    router = cast.make_router(cast.site.id, options={"lan4": "10.77.0.0/24", "lan6": "fd77::/64"})
    fake.box(router.id, clock)
    return router


def is_caught(answer: Any) -> bool:
    """Whether it leads to the portal, ends the connection, and is kept nowhere."""
    headers = answer.headers
    if (answer.status_code, headers.get("Location")) != (302, PORTAL):
        return False
    assert (headers["Connection"], headers["Cache-Control"]) == ("close", "no-store")
    return True


# --- what is caught ------------------------------------------------------------------------------------------------


def test_a_guests_page_of_the_internet_leads_to_the_portal(client, gateway):
    paths = ("/", "/some/page?x=1", "/c/1234", "/status")
    hosts = ("example.com", "example.com:8080", "203.0.113.7", "[2001:db8::7]", "LOGIN.WIFI.example.com", "[broken", "")
    for path in paths:
        for host in hosts:
            for source in (GUEST, GUEST6):
                assert is_caught(client.get(path, headers={"Host": host}, environ_base=source)), (path, host)


def test_no_page_of_ours_can_be_had_under_a_foreign_name(client, gateway):
    """Neither the office's pages, nor the API, nor a form that was meant for somebody else."""
    for path in ("/login", "/dashboard", "/api/users", "/api/openapi.json", "/healthz", "/static/app.css"):
        for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS"):
            answer = client.open(path, method=method, headers={"Host": "example.com"}, environ_base=GUEST)
            assert is_caught(answer), (method, path)
    sent = {"username": "hana", "password": "a-long-password"}
    assert is_caught(client.post("/api/auth/login", json=sent, headers={"Host": "bank.example"}, environ_base=GUEST))


def test_our_own_names_are_ours(rt, client, gateway, monkeypatch):
    rt.transact(lambda db: db.query(Site).update({"portal_host": "WiFi.Aden:5000"}))
    for host in ("login.wifi", "LOGIN.wifi:80", "127.0.0.1:5000", "localhost", "[::1]:5000", "wifi.aden"):
        answer = client.get("/", headers={"Host": host}, environ_base=GUEST)
        assert answer.status_code == 200 and "<form" in answer.text, host
    assert client.get("/login", headers={"Host": "login.wifi"}, environ_base=GUEST).status_code == 200


def test_a_name_that_a_site_has_just_been_given_is_ours_soon(rt, client, gateway, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("bawaba.portal.captive.time.monotonic", lambda: now[0])
    assert is_caught(client.get("/", headers={"Host": "wifi.new"}, environ_base=GUEST))
    rt.transact(lambda db: db.query(Site).update({"portal_host": "wifi.new"}))
    now[0] += HOSTS_TTL_S
    assert client.get("/", headers={"Host": "wifi.new"}, environ_base=GUEST).status_code == 200


def test_strangers_are_left_alone_by_whatever_name_they_come(client, gateway):
    for host in ("example.com", "manager.lan", "[broken"):
        assert client.get("/healthz", headers={"Host": host}, environ_base=STRANGER).status_code == 200


def test_where_no_router_knows_its_guests_nobody_is_caught(client, cast):
    assert client.get("/healthz", headers={"Host": "example.com"}, environ_base=GUEST).status_code == 200


def test_a_connection_that_was_caught_really_ends(app, cast, clock):
    """One that is kept alive would bring the guest back to the portal after signing in."""
    fake.box(cast.make_router(cast.site.id, options={"lan4": "127.0.0.0/8"}).id, clock)
    bridge = WsgiBridge(app.wsgi_app)
    with serving(bridge) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=5)
        connection.request("GET", "/", headers={"Host": "example.com"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"], answer.read()) == (302, PORTAL, b"")
        assert answer.will_close
        connection.close()
    bridge.close()


def test_without_the_database_the_portal_and_probes_still_lead_on(rt, client, gateway, clock, monkeypatch):
    assert is_caught(client.get("/", headers={"Host": "example.com"}, environ_base=GUEST))

    def away(*_: object, **__: object) -> None:
        raise DatabaseAway()

    monkeypatch.setattr(rt.database, "read", away)
    clock.advance(60)
    probe = client.get("/generate_204", headers={"Host": "captive.apple.com"}, environ_base=GUEST)
    assert is_caught(probe)
    page = client.get("/", headers={"Host": "login.wifi", "Accept-Language": "en"}, environ_base=GUEST)
    assert page.status_code == 503 and "Your card is safe." in page.text
    office = client.get("/login", headers={"Host": "manager.lan"}, environ_base=STRANGER)
    assert office.status_code in (200, 503)


# --- probes --------------------------------------------------------------------------------------------------------


def test_a_probe_is_answered_as_its_system_expects(rt, client, cast, gateway):
    def probe(path: str) -> Any:
        return client.get(path, headers={"Host": "captive.apple.com"}, environ_base=GUEST)

    assert all(is_caught(probe(path)) for path in PROBES)
    redeem(rt, cast.make_voucher().code, identify(rt, Told("10.77.0.9")))
    for path, (status, text, mimetype) in PROBES.items():
        answer = probe(path)
        assert (answer.status_code, answer.text, answer.mimetype) == (status, text, mimetype)
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_answers_that_phones_compare_byte_by_byte():
    assert len(SUCCESS) == 69
    assert PROBES["/generate_204"] == PROBES["/gen_204"] == (204, "", "text/plain")
    assert PROBES["/connecttest.txt"][1] == "Microsoft Connect Test" and PROBES["/ncsi.txt"][1] == "Microsoft NCSI"
    assert PROBES["/success.txt"][1] == "success\n"


def test_a_probe_while_the_router_is_still_opening_is_captive(rt, client, cast, gateway):
    fake.box(gateway.id).break_with("unreachable")
    redeem(rt, cast.make_voucher().code, identify(rt, Told("10.77.0.9")))

    assert is_caught(client.get("/generate_204", environ_base=GUEST))


def test_a_probes_guest_cannot_speak_for_another(rt, client, cast, gateway):
    redeem(rt, cast.make_voucher().code, identify(rt, Told("10.77.0.10")))

    assert is_caught(client.get("/generate_204?client_ip=10.77.0.10&client_mac=10.77.0.10", environ_base=GUEST))


# --- RFC 8908 ------------------------------------------------------------------------------------------------------


def test_the_captive_portal_api_tells_how_a_phone_stands(rt, client, cast, gateway, clock):
    told = client.get("/capport/api", headers={"Accept": "application/captive+json"}, environ_base=GUEST)
    assert told.mimetype == "application/captive+json"
    assert told.json == {"captive": True}  # an address of the portal only where it has TLS (RFC 8908, 5)
    assert told.headers["Cache-Control"] == "private, no-store"

    card = cast.make_voucher(duration_seconds=HOUR, quota_bytes=5_000_000)
    redeem(rt, card.code, identify(rt, Told("10.77.0.9")))
    clock.advance(60)
    told = client.get("/capport/api", environ_base=GUEST)
    assert told.json == {
        "captive": False,
        "can-extend-session": True,
        "seconds-remaining": HOUR - 60,
        "bytes-remaining": 5_000_000,
    }
    assert client.get("/capport/api", environ_base=STRANGER).json["captive"] is True


def test_a_limit_that_there_is_not_is_not_told(rt, client, cast, gateway):
    card = cast.make_voucher(duration_seconds=None, quota_bytes=5_000_000)
    redeem(rt, card.code, identify(rt, Told("10.77.0.9")))

    assert "seconds-remaining" not in client.get("/capport/api", environ_base=GUEST).json


def test_a_portal_with_tls_is_named(rt, client, cast, gateway):
    rt.config = rt.config.model_copy(update={"public_url": "https://wifi.example"})
    told = client.get("/capport/api", environ_base=GUEST)
    assert told.json == {"captive": True, "user-portal-url": "https://wifi.example/"}


def test_a_trusted_device_is_not_captive(rt, client, cast, gateway, clock):
    trusted = Device(site_id=cast.site.id, mac="10.77.0.9", standing="trusted", note="", created_at=clock.now())
    rt.transact(lambda db: db.add(trusted))

    assert client.get("/capport/api", environ_base=GUEST).json == {"captive": False}


# --- a real gateway ------------------------------------------------------------------------------------------------


class TestARealGateway:
    """The gateway says who asks; the guest's word counts for nothing."""

    @pytest.fixture
    def seen(self, rt, cast: Cast, monkeypatch) -> dict[str, object]:
        """A linux router, and what it would say of an address; what it is told to do it does."""
        self.router = cast.make_router(cast.site.id, name="gw", driver="linux", options={"lan4": "10.77.0.0/24"})
        seen: dict[str, object] = {"10.77.0.9": Client(PHONE, "10.77.0.9"), "10.77.0.10": Client(TABLET, "10.77.0.10")}
        asked = rt.parts["routers"].ask

        def ask(router_id: int, verb: str, *args: Any, deadline_s: float, **named: Any) -> Any:
            if (router_id, verb) != (self.router.id, "locate"):
                return asked(router_id, verb, *args, deadline_s=deadline_s, **named)
            answer = seen.get(named["ip"])
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(rt.parts["routers"], "ask", ask)
        return seen

    def test_the_mac_is_the_one_that_the_gateway_saw(self, rt, seen):
        guest = identify(rt, Told("10.77.0.9", client_mac="02:00:5e:10:00:99", client_ip="10.77.0.99"))
        assert (guest.mac, guest.ip) == (PHONE, "10.77.0.9")

    def test_naming_another_router_that_would_believe_him_helps_nobody(self, rt, cast, seen):
        for name in (cast.router.name, str(cast.router.id), "no such router"):
            guest = identify(rt, Told("10.77.0.9", router=name, client_mac=TABLET))
            assert (guest.router_id, guest.mac) == (self.router.id, PHONE)

    def test_a_card_is_used_by_the_phone_that_asks_whatever_the_redirect_says(self, app, cast, seen):
        phone = Phone(app, TABLET)
        phone.told["client_ip"] = "10.77.0.10"
        phone.open()
        phone.type(cast.make_voucher().code)

        session = cast.row(GuestSession, 1)
        assert (session.client_mac, session.client_ip, session.router_id) == (PHONE, "10.77.0.9", self.router.id)

    def test_a_guest_sees_and_ends_his_own_session_only(self, app, cast, seen):
        victim = Phone(app, address="10.77.0.10")
        victim.open()
        victim.type(cast.make_voucher().code)
        liar = Phone(app, TABLET)

        assert "You are not online." in liar.open("/status").text
        liar.ask("POST", "/logout", data={"client_mac": TABLET, "client_ip": "10.77.0.10"})
        assert cast.row(GuestSession, 1).ended_at is None

    def test_a_device_that_it_has_not_seen_is_told_to_join_again(self, rt, app, cast, seen):
        with pytest.raises(UnknownDevice):
            identify(rt, Told("10.77.0.50", client_mac=PHONE))
        card = cast.make_voucher()
        phone = Phone(app, PHONE, address="10.77.0.50")
        phone.open()
        page = phone.type(card.code)
        assert page.status == 409 and "We can't see your phone yet" in page.text
        assert "Leave the WiFi, join it again" in page.text and page.code.replace("-", "") == card.code
        answer = app.test_client().post(
            "/api/voucher/redeem",
            json={"code": card.code, "client_mac": PHONE},
            environ_base={"REMOTE_ADDR": "10.77.0.50"},
        )
        assert (answer.status_code, answer.json["error"]) == (409, "unknown_device")

    def test_a_gateway_that_does_not_answer_is_no_reason_to_believe_the_guest(self, rt, app, cast, client, seen):
        seen["10.77.0.9"] = RouterUnreachable("gone")
        with pytest.raises(RouterUnreachableNow):
            identify(rt, Told("10.77.0.9", client_mac=PHONE))
        phone = Phone(app, PHONE)
        assert phone.open().status == 503
        answer = phone.ask("POST", "/api/voucher/redeem", data={"code": cast.make_voucher().code})
        assert answer.status_code == 503 and "One moment" in answer.text
        assert client.get("/capport/api", environ_base=GUEST).status_code == 503
        assert is_caught(client.get("/generate_204", environ_base=GUEST))
