"""What a gateway catches is sent to the portal; what is ours is left alone; phones learn how they stand."""

from __future__ import annotations

import pytest

from bawaba.portal.captive import PROBES
from bawaba.portal.guests import Told, identify
from bawaba.routers.driver import Client, RouterUnreachable
from bawaba.routers.drivers import fake
from bawaba.routers.errors import RouterUnreachableNow
from bawaba.sessions.errors import UnknownDevice
from bawaba.sessions.redeem import redeem
from tests.cast import HOUR, PHONE, Cast

GUEST = {"REMOTE_ADDR": "10.77.0.9"}
STRANGER = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture
def gateway(rt, cast: Cast, clock):
    """A router whose guests are 10.77.0.0/24."""
    router = cast.make_router(cast.site.id, options={"lan4": "10.77.0.0/24"})
    fake.box(router.id, clock)
    return router


@pytest.mark.parametrize("path", ["/", "/login", "/dashboard", "/api/users", "/some/page?x=1"])
def test_a_guests_page_of_the_internet_leads_to_the_portal(client, gateway, path):
    answer = client.get(path, headers={"Host": "example.com"}, environ_base=GUEST)

    assert (answer.status_code, answer.location) == (302, "http://login.wifi/")
    assert answer.headers["Connection"] == "close"
    assert answer.headers["Cache-Control"] == "no-store"


def test_our_own_names_are_ours_and_strangers_are_left_alone(client, gateway):
    assert client.get("/", headers={"Host": "login.wifi"}, environ_base=GUEST).status_code == 200
    assert client.get("/healthz", headers={"Host": "example.com"}, environ_base=STRANGER).status_code == 200


@pytest.mark.parametrize("path", sorted(PROBES))
def test_a_probe_is_answered_as_its_system_expects(rt, client, cast, gateway, path):
    captive = client.get(path, headers={"Host": "captive.apple.com"}, environ_base=GUEST)
    assert (captive.status_code, captive.location) == (302, "http://login.wifi/")

    guest = identify(rt, Told("10.77.0.9"))
    redeem(rt, cast.make_voucher().code, guest)
    online = client.get(path, headers={"Host": "captive.apple.com"}, environ_base=GUEST)
    assert (online.status_code, online.text) == PROBES[path][:2]


def test_the_captive_portal_api_tells_how_a_phone_stands(rt, client, cast, gateway):
    told = client.get("/capport/api", environ_base=GUEST)
    assert told.mimetype == "application/captive+json"
    assert told.json == {"captive": True, "user-portal-url": "http://login.wifi/"}

    card = cast.make_voucher(duration_seconds=HOUR, quota_bytes=5_000_000)
    redeem(rt, card.code, identify(rt, Told("10.77.0.9")))
    told = client.get("/capport/api", environ_base=GUEST)
    assert told.json["captive"] is False
    assert (told.json["seconds-remaining"], told.json["bytes-remaining"]) == (HOUR, 5_000_000)
    assert "private" in told.headers["Cache-Control"]


class TestARealGateway:
    """The gateway says who asks; the guest's word counts for nothing."""

    @pytest.fixture
    def told(self, rt, cast: Cast, monkeypatch):
        """A linux router, and what it would say of an address."""
        cast.make_router(cast.site.id, name="gw", driver="linux", options={"lan4": "10.77.0.0/24"})
        seen: dict[str, object] = {"10.77.0.9": Client(PHONE, "10.77.0.9")}

        def ask(router_id: int, verb: str, *, ip: str, deadline_s: float) -> object:
            answer = seen.get(ip)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(rt.parts["routers"], "ask", ask)
        return seen

    def test_the_mac_is_the_one_that_the_gateway_saw(self, rt, told):
        guest = identify(rt, Told("10.77.0.9", client_mac="02:00:5e:10:00:99", client_ip="10.77.0.99"))
        assert (guest.mac, guest.ip) == (PHONE, "10.77.0.9")

    def test_a_device_that_it_has_not_seen_is_told_to_join_again(self, rt, told):
        with pytest.raises(UnknownDevice):
            identify(rt, Told("10.77.0.50", client_mac=PHONE))

    def test_a_gateway_that_does_not_answer_is_no_reason_to_believe_the_guest(self, rt, told):
        told["10.77.0.9"] = RouterUnreachable("gone")
        with pytest.raises(RouterUnreachableNow):
            identify(rt, Told("10.77.0.9", client_mac=PHONE))
