"""`/ws`: who comes in, what they hear, and when it closes."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bawaba.accounts.events import AccessChanged
from bawaba.core.broadcast import ADMINS, OPERATORS, Audience, Broadcast
from bawaba.realtime import entrance, throttle, ws
from tests.realtime.conftest import House, until

TO_OPERATORS = frozenset({OPERATORS})
TO_ADMINS = frozenset({ADMINS})


@dataclass(frozen=True)
class Said(Broadcast):
    """Some news."""

    body: dict[str, Any]
    to: Audience
    urgent: bool = False

    def message(self) -> dict[str, Any]:
        return self.body

    def audience(self) -> Audience:
        return self.to


def router_status(router_id: int, site_id: int | None = 1) -> Said:
    body = {"type": "router_status", "router_id": router_id, "status": "up"}
    return Said(body, Audience(TO_OPERATORS, site_id))


def session_update(session_id: int, bytes_down: int, urgent: bool = False) -> Said:
    body = {"type": "session_update", "session": {"id": session_id, "bytes_down": bytes_down}}
    return Said(body, Audience(TO_OPERATORS, 1), urgent)


def heard(client: ClientConnection, seconds: float = 0.3) -> list[dict[str, Any]]:
    """All that comes until it is silent for a while."""
    messages = []
    try:
        while True:
            messages.append(json.loads(client.recv(seconds)))
    except TimeoutError:
        return messages


def close_code(client: ClientConnection, seconds: float = 5.0) -> int:
    """Read until the server closes; its code."""
    try:
        while True:
            client.recv(seconds)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 0


def test_news_reach_those_who_may_hear_them(house: House) -> None:
    with house.ws("hana") as hana, house.ws("omar") as omar, house.ws("salem") as salem:
        house.rt.publish(Said({"type": "new_voucher", "voucher": {"id": 1}}, Audience(TO_ADMINS, 1)))
        house.rt.publish(router_status(11, site_id=1))
        house.rt.publish(router_status(22, site_id=2))
        house.rt.publish(Said({"type": "batch_progress", "batch_id": 5}, Audience(TO_ADMINS, 1, user_id=2)))
        house.rt.publish(Said({"type": "batch_progress", "batch_id": 6}, Audience(TO_ADMINS, 2, user_id=2)))
        house.rt.publish(router_status(33, site_id=None))

        def facts(client: ClientConnection) -> list[Any]:
            return [m.get("router_id") or m.get("batch_id") or m["voucher"]["id"] for m in heard(client)]

        assert facts(hana) == [1, 11, 22, 5, 6, 33]
        assert facts(omar) == [11, 5, 33]  # batch 6 is his, but of a site that is not
        assert facts(salem) == [22, 33]


def test_times_go_out_as_the_api_writes_them(house: House) -> None:
    with house.ws("hana") as hana:
        at = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
        house.rt.publish(Said({"type": "router_status", "last_seen_at": at}, Audience(TO_OPERATORS)))
        assert heard(hana) == [{"type": "router_status", "last_seen_at": "2026-01-10T12:00:00Z"}]


def test_a_page_of_ours_comes_in_with_its_cookie(house: House) -> None:
    headers = {"Cookie": "login=omar"}
    with house.ws(additional_headers=headers, origin=house.served.url) as omar:
        house.rt.publish(router_status(1))
        assert [m["router_id"] for m in heard(omar)] == [1]


def test_a_cookie_counts_for_nothing_without_an_origin(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws, "AUTH_DEADLINE_S", 0.2)
    with house.ws(additional_headers={"Cookie": "login=omar"}) as nobody:
        house.rt.publish(router_status(1))
        assert close_code(nobody) == 4401


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1"])
def test_a_foreign_page_is_refused_whatever_it_holds(house: House, origin: str) -> None:
    headers = {"Cookie": "login=hana", "X-Forwarded-Host": "evil.example"}
    origin = origin.format(port=house.served.port)
    with pytest.raises(InvalidStatus) as refused, house.ws(additional_headers=headers, origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_the_public_address_is_ours_too(open_houses: Callable[..., House]) -> None:
    house = open_houses(public_url="https://wifi.example:443/portal")
    with house.ws("omar", origin="https://wifi.example"):
        pass
    with pytest.raises(InvalidStatus), house.ws(origin="http://wifi.example"):
        pass


def test_behind_a_trusted_proxy_its_name_counts(open_houses: Callable[..., House]) -> None:
    house = open_houses(trusted_proxies="127.0.0.1")
    headers = {"X-Forwarded-Host": "hotel.example", "X-Forwarded-Proto": "https", "Cookie": "login=omar"}
    with house.ws(origin="https://hotel.example", additional_headers=headers) as omar:
        house.rt.publish(router_status(1))
        assert heard(omar)


@pytest.mark.parametrize(
    "frame",
    ['{"type": "auth", "token": "nobody"}', '{"type": "auth"}', '{"type": "auth", "token": 7}', '{"type": "x"}', "hi"],
)
def test_a_bad_first_frame_closes(house: House, frame: str) -> None:
    with house.ws() as client:
        client.send(frame)
        assert close_code(client) == 4401


def test_who_says_nothing_is_closed_after_five_seconds(house: House) -> None:
    began = time.monotonic()
    with house.ws() as client:
        house.rt.publish(router_status(1))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(8)  # the first thing that comes is the end
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    assert 4.5 < time.monotonic() - began < 7


def test_the_socket_closes_when_its_token_ends(house: House) -> None:
    house.lasting("omar", 0.4)
    with house.ws("omar") as omar:
        house.rt.publish(router_status(1))
        assert heard(omar, 0.1)
        assert close_code(omar) == 4401
    with house.ws() as late:
        late.send('{"type": "auth", "token": "omar"}')
        assert close_code(late) == 4401


def test_a_new_token_on_an_open_socket_prolongs_it(house: House) -> None:
    house.lasting("omar", 0.5)
    with house.ws("omar") as omar:
        house.lasting("omar", 60)
        omar.send('{"type": "auth", "token": "omar"}')
        assert heard(omar, 0.8) == [{"type": "ready"}]
        house.rt.publish(router_status(1))
        assert heard(omar)


def test_who_loses_access_loses_the_socket(house: House) -> None:
    with house.ws("omar") as omar, house.ws("omar elsewhere") as elsewhere, house.ws("hana") as hana:
        house.rt.publish(AccessChanged(2, login_id=20))  # one of his sign-ins ended
        assert close_code(omar) == 4401
        house.rt.publish(router_status(1))
        assert heard(elsewhere)
        house.rt.publish(AccessChanged(2))
        assert close_code(elsewhere) == 4401
        house.rt.publish(router_status(2))
        assert [m["router_id"] for m in heard(hana)] == [1, 2]


def test_frames_too_big_or_too_many_close(house: House) -> None:
    with house.ws("omar") as omar:
        omar.send("x" * 4097)
        assert close_code(omar) == 1009
    with house.ws("omar") as omar:
        with suppress(ConnectionClosed):  # it may close before all are sent
            for _ in range(entrance.FRAMES_AT_ONCE + 5):
                omar.send('{"type": "hello"}')
        assert close_code(omar) == 1008


def test_frames_that_mean_nothing_are_ignored(house: House) -> None:
    with house.ws("omar") as omar:
        for frame in ("nonsense", "[]", '{"type": "subscribe"}', b"\xff\x00"):
            omar.send(frame)
        house.rt.publish(router_status(1))
        assert [m["type"] for m in heard(omar)] == ["router_status"]


def test_other_addresses_are_no_sockets(house: House) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"{house.served.ws_url}/other"):
        pass
    assert refused.value.response.status_code == 403
    assert httpx.get(f"{house.served.url}/ws").status_code == 404
    assert httpx.get(f"{house.served.url}/hello").text == "hello"


def test_one_session_is_updated_at_most_once_in_the_time_and_the_last_word_comes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert throttle.EVERY_S == 5.0
    house.realtime.hub._throttle._every_s = 0.5
    with house.ws("omar") as omar:
        for bytes_down in range(1, 6):
            house.rt.publish(session_update(7, bytes_down))
        house.rt.publish(session_update(8, 100))
        assert [m["session"] for m in heard(omar, 0.3)] == [{"id": 7, "bytes_down": 1}, {"id": 8, "bytes_down": 100}]
        assert [m["session"] for m in heard(omar, 0.5)] == [{"id": 7, "bytes_down": 5}]

        time.sleep(0.6)
        house.rt.publish(session_update(7, 6))
        house.rt.publish(session_update(7, 7))
        house.rt.publish(session_update(7, 8, urgent=True))  # its end: at once, and nothing older after it
        assert [m["session"]["bytes_down"] for m in heard(omar, 0.3)] == [6, 8]
        assert heard(omar, 0.8) == []


def test_a_client_that_reads_nothing_is_dropped_and_others_hear_all(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "CATCH_UP_S", 0.5)
    monkeypatch.setattr(ws, "CLOSE_S", 0.2)
    with stuck_client(house, "omar"), house.ws("hana", max_size=None) as hana:
        assert house.served.connections == 2
        total = 0
        for _ in range(40):  # 10,000 news of 1 KB
            for _ in range(250):
                house.rt.publish(Said({"type": "router_status", "x": "y" * 1000}, Audience(TO_OPERATORS, 1)))
                total += 1
            for _ in range(250):
                assert json.loads(hana.recv(5))["type"] == "router_status"
        assert total == 10_000
        assert until(lambda: house.served.connections == 1)
        house.rt.publish(router_status(1))
        assert heard(hana)
    assert until(lambda: house.realtime.websocket.is_empty)


def test_a_slow_client_that_comes_back_is_told_to_read_afresh(house: House) -> None:
    news = Said({"type": "router_status", "x": "y" * 1000}, Audience(TO_OPERATORS, 1))
    with stuck_client(house, "omar") as slow:
        for _ in range(20):
            for _ in range(500):
                house.rt.publish(news)
            time.sleep(0.01)
        time.sleep(0.2)
        data = b""
        slow.settimeout(0.5)
        try:
            while part := slow.recv(1 << 20):
                data += part
        except TimeoutError:
            pass
        assert data.endswith(b'{"type":"resync"}')
        assert data.count(b'"resync"') == 1
        assert data.count(b'"router_status"') < 10_000
        house.rt.publish(router_status(5))
        assert b'"router_id":5' in slow.recv(4096)  # and goes on hearing


def test_a_flood_that_the_loop_cannot_follow_becomes_a_resync(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bawaba.realtime.hub.MOST_WAITING", 100)
    with house.ws("omar") as omar:
        house.realtime.hub.post(time.sleep, 0.3)
        time.sleep(0.1)  # the loop is asleep now
        for number in range(150):
            house.rt.publish(router_status(number))
        messages = heard(omar)
        assert messages[0] == {"type": "resync"}
        assert messages[-1]["router_id"] == 149
        assert len(messages) < 102


def test_a_burst_reaches_who_reads_whole_and_in_order(house: House) -> None:
    with house.ws("omar") as omar:
        for number in range(2000):
            house.rt.publish(router_status(number))
        assert [m.get("router_id") for m in heard(omar)] == list(range(2000))


def test_nobody_listening_costs_no_message(house: House) -> None:
    assert not house.realtime.hub.anybody_listens
    with house.ws("omar"):
        assert house.realtime.hub.anybody_listens
    assert until(lambda: not house.realtime.hub.anybody_listens)


def stuck_client(house: House, who: str) -> socket.socket:
    """A client that signs in, and then reads nothing although its connection stands."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", house.served.port))
    connection.sendall(
        b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b" 101 " in connection.recv(4096)
    payload = json.dumps({"type": "auth", "token": who}).encode()
    connection.sendall(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)  # a mask of zeros masks nothing
    assert b"ready" in connection.recv(4096)
    return connection
