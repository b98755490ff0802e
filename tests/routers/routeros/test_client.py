"""The API client: both log-ins, certificates, deadlines, and a far end that says anything at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bawaba.routers.driver import (
    Connection,
    GatewayError,
    RouterAuthFailed,
    RouterProtocolError,
    RouterUnreachable,
)
from bawaba.routers.drivers.routeros import Driver
from bawaba.routers.drivers.routeros.client import Api, reading
from bawaba.routers.drivers.routeros.reach import Way, bare, check_plain, is_private
from bawaba.routers.drivers.routeros.wire import encoded
from tests.cast import PHONE
from tests.routers.contract import grant
from tests.routers.routeros.far import PHONE_CLIENT, FarEnd

NOWHERE = Way("192.0.2.1", 8728, "bawaba", "pw", tls=False)
USERS = reading("/ip/hotspot/user", "name")


def way_to(router, **facts) -> Way:
    port = router.tls_port if facts.get("tls") else router.api_port
    known = {"tls": False} | facts
    return Way("127.0.0.1", port, router.settings.username, facts.pop("password", "secret"), **{
        name: value for name, value in known.items() if name != "password"
    })  # fmt: skip


def ask(way, *questions):
    async def all_of_it():
        api = Api(way)
        try:
            return [await api.ask(words) for words in questions]
        finally:
            await api.close()

    return asyncio.run(all_of_it())


class TestSigningIn:
    @pytest.mark.parametrize("version", ["6.42.12", "6.49.18", "7.24.1"])
    def test_it_signs_in_to_routers_old_and_new(self, make_routeros, version):
        router = make_routeros(version=version, password="secret")
        (reply,) = ask(way_to(router), USERS)
        assert reply.rows

    def test_to_an_old_router_the_password_itself_need_not_be_sent(self, make_routeros):
        router = make_routeros(version="6.42.12", password="secret")
        calls = router.record()
        ask(way_to(router, old_login=True), USERS)
        assert not any("secret" in value for call in calls for value in call.arguments.values())

    @pytest.mark.parametrize("failure", ["trap", "fatal"])
    def test_a_wrong_password_is_said_to_be_that(self, make_routeros, failure):
        router = make_routeros(password="another")
        router.behaviour.login_failure = failure
        with pytest.raises((RouterAuthFailed, RouterUnreachable)) as wrong:
            ask(way_to(router), USERS)
        assert failure == "fatal" or isinstance(wrong.value, RouterAuthFailed)


class TestTheWay:
    def test_a_router_that_is_not_known_yet_shows_its_fingerprint_and_gets_no_password(self, routeros):
        calls = routeros.record()
        with pytest.raises(RouterAuthFailed) as unknown:
            ask(way_to(routeros, tls=True), USERS)
        assert bare(routeros.fingerprint) in bare(str(unknown.value))
        assert not list(calls)

    def test_a_known_certificate_is_spoken_to(self, routeros):
        (reply,) = ask(way_to(routeros, tls=True, pin=bare(routeros.fingerprint)), USERS)
        assert reply.rows

    def test_another_certificate_gets_no_password(self, routeros):
        calls = routeros.record()
        with pytest.raises(RouterAuthFailed, match="another certificate"):
            ask(way_to(routeros, tls=True, pin="ab" * 32), USERS)
        assert not list(calls)

    def test_tls_with_a_port_that_has_none_ends_well(self, routeros):
        way = Way("127.0.0.1", routeros.api_port, "admin", "secret", tls=True, pin="ab" * 32)
        with pytest.raises(GatewayError):
            ask(way, USERS)

    def test_in_clear_only_where_nobody_listens(self):
        assert is_private("127.0.0.1", "127.0.0.1") and is_private("::1", "::1")
        with pytest.raises(RouterAuthFailed):
            check_plain(NOWHERE, "198.51.100.2", "198.51.100.1")
        check_plain(Way("", 1, "", "", tls=False, plain_anywhere=True), "198.51.100.2", "198.51.100.1")

    @pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/net/tun").exists(), reason="makes a tunnel")
    def test_a_tunnel_is_private_and_a_bridge_is_not(self):
        made = [("tunnel", "bwtun0", "198.51.100.1"), ("bridge", "bwbr0", "198.51.100.5")]
        try:
            subprocess.run(["ip", "tuntap", "add", "bwtun0", "mode", "tun"], check=True)
            subprocess.run(["ip", "link", "add", "bwbr0", "type", "bridge"], check=True)
            for _, name, address in made:
                subprocess.run(["ip", "address", "add", f"{address}/32", "dev", name], check=True)
            assert [is_private(address, "198.51.100.9") for _, _, address in made] == [True, False]
        finally:
            for _, name, _ in made:
                subprocess.run(["ip", "link", "delete", name], check=False)


class TestAsking:
    def test_questions_of_one_moment_are_answered_together_whoever_is_slow(self, routeros):
        routeros.fail("slow", "/ip/arp/print", seconds=1.0)

        async def all_of_it():
            api = Api(way_to(routeros))
            slow = asyncio.create_task(api.ask(reading("/ip/arp", "address")))
            await asyncio.sleep(0.1)
            began = time.monotonic()
            await api.ask(USERS)
            quick_s = time.monotonic() - began
            still_waits = not slow.done()
            await slow
            await api.close()
            return quick_s, still_waits

        quick_s, still_waits = asyncio.run(all_of_it())
        assert still_waits and quick_s < 0.9

    def test_past_the_deadline_the_connection_is_let_go_and_the_next_question_has_a_new_one(self, routeros):
        routeros.fail("silent", "/ip/hotspot/user/print")

        async def all_of_it():
            api = Api(way_to(routeros))
            first = await api.line()
            with pytest.raises(RouterUnreachable):
                await api.ask(USERS, deadline_s=0.2)
            rows = (await api.ask(USERS)).rows
            second = await api.line()
            await api.close()
            return first.ended, rows, first is second

        ended, rows, same = asyncio.run(all_of_it())
        assert ended is not None and rows and not same

    def test_a_write_whose_answer_is_lost_may_have_been_done_and_a_reading_is_asked_again(self, routeros):
        async def all_of_it():
            api = Api(way_to(routeros))
            await api.ask(USERS)
            routeros.fail("cut-after", "/ip/hotspot/user/print")
            assert (await api.ask(USERS)).rows
            routeros.fail("cut-after", "/ip/hotspot/user/add")
            with pytest.raises(RouterUnreachable) as lost:
                await api.ask(("/ip/hotspot/user/add", "=name=once"))
            await api.close()
            return lost.value.outcome_known

        assert asyncio.run(all_of_it()) is False
        assert len(routeros.find("/ip/hotspot/user", name="once")) == 1

    def test_changes_are_heard_until_the_listener_stops(self, routeros):
        async def all_of_it():
            api = Api(way_to(routeros))
            heard = api.listen("/ip/hotspot/user", ".id,name,.dead")
            first = asyncio.ensure_future(anext(heard))
            await asyncio.sleep(0.2)
            number = (await api.ask(("/ip/hotspot/user/add", "=name=heard"))).ret
            added = await asyncio.wait_for(first, 3)
            await api.ask(("/ip/hotspot/user/remove", f"=.id={number}"))
            gone = await asyncio.wait_for(anext(heard), 3)
            await heard.aclose()
            await api.ask(USERS)
            await api.close()
            return added["name"], gone[".id"], number

        name, gone, number = asyncio.run(all_of_it())
        assert (name, gone) == ("heard", number)


class TestNonsense:
    """A far end that answers every question with the same bytes."""

    async def _talk(self, answer: bytes, verb: str) -> None:
        talks: list[asyncio.Task[None] | None] = []

        async def far(reader, writer):
            talks.append(asyncio.current_task())
            with contextlib.suppress(OSError), contextlib.closing(writer):
                await reader.read(4096)
                writer.write(encoded(["!done", ".tag=1"]))
                await reader.read(65536)
                writer.write(answer)

        server = await asyncio.start_server(far, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        driver = Driver(Connection(1, "127.0.0.1", port, "a", "b", {"tls": False}, "install8"))
        calls = {
            "admit": lambda: driver.admit(grant(1), PHONE_CLIENT),
            "kick": lambda: driver.kick(PHONE_CLIENT),
            "put": lambda: driver.put([grant(1)]),
            "drop": lambda: driver.drop(["card:1"]),
            "sessions": driver.sessions,
            "owned": driver.owned,
            "health": driver.health,
            "probe": driver.probe,
            "locate": lambda: driver.locate(mac=PHONE),
            "devices": lambda: driver.set_devices([], [PHONE]),
        }
        try:
            with contextlib.suppress(GatewayError):
                await asyncio.wait_for(calls[verb](), 20)
        finally:
            await driver.close()
            server.close()
            await asyncio.gather(*filter(None, talks))
            await server.wait_closed()

    VERBS = ("admit", "kick", "put", "drop", "sessions", "owned", "health", "probe", "locate", "devices")

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=300), st.sampled_from(VERBS))
    def test_any_bytes_end_in_an_answer_or_a_gateway_error(self, answer, verb):
        asyncio.run(self._talk(answer, verb))

    NAMES = st.sampled_from(
        [".id", "name", "comment", "user", "address", "mac-address", "uptime", "bytes-in", "bytes-out", "limit-uptime",
         "limit-bytes-total", "email", "disabled", "type", "date", "time", "gmt-offset", "version", "nlevel", "ret",
         "message", "category", "total-memory", "session-time-left", "profile", "login-by", "interface"]
    )  # fmt: skip
    VALUES = st.one_of(
        st.text(max_size=12),
        st.sampled_from(["", "*1", "1h", "-1", "12345678901234567890123", "bw1 install8 session:1 r1 e5", "no",
                         "bw.install8.session:1x", "00:00:00:00:00:00", "2026-13-45", "feb/30/2026", "1w"]),
    )  # fmt: skip
    WORD = st.tuples(NAMES, VALUES).map(lambda pair: f"={pair[0]}={pair[1]}")
    SENTENCE = st.tuples(
        st.sampled_from(["!re", "!re", "!re", "!done", "!trap", "!empty", "!fatal", "!new"]),
        st.lists(WORD, max_size=6),
        st.integers(2, 9).map(lambda tag: f".tag={tag}"),
    ).map(lambda parts: [parts[0], *parts[1], parts[2]])

    @settings(max_examples=150, deadline=None)
    @given(st.lists(SENTENCE, max_size=20), st.sampled_from(VERBS))
    def test_any_sentences_end_in_an_answer_or_a_gateway_error(self, sentences, verb):
        done = [["!done", f".tag={tag}"] for tag in range(2, 16)]
        asyncio.run(self._talk(b"".join(map(encoded, [*sentences, *done])), verb))

    def test_words_that_nobody_knows_do_no_harm(self):
        async def all_of_it():
            over = asyncio.Event()

            async def far(reader, writer):
                await reader.read(4096)
                writer.write(encoded(["!done", ".tag=1", ".new=word"]))
                await reader.read(4096)
                writer.write(encoded(["!re", "something", "=name=x", "=new=1", ".section=4", ".tag=2"]))
                writer.write(encoded(["!progress", ".tag=2"]) + encoded(["!empty", ".tag=2"]) + b"\0")
                writer.write(encoded(["!done", ".tag=2"]))
                await reader.read(1)
                writer.close()
                over.set()

            server = await asyncio.start_server(far, "127.0.0.1", 0)
            api = Api(Way("127.0.0.1", server.sockets[0].getsockname()[1], "a", "b", tls=False))
            try:
                return (await api.ask(USERS)).rows
            finally:
                await api.close()
                await over.wait()
                server.close()

        assert asyncio.run(all_of_it()) == [{"name": "x", "new": "1"}]

    def test_bytes_that_make_no_sense_are_said_to_be_that(self, routeros):
        routeros.fail("garbage", "/ip/hotspot/user/add", times=None)
        with pytest.raises((RouterProtocolError, RouterUnreachable)):
            ask(way_to(routeros), ("/ip/hotspot/user/add", "=name=x"))


def test_nobody_there_is_noticed_in_time(routeros):
    far_end = FarEnd(routeros)
    far_end.vanish()
    began = time.monotonic()
    with pytest.raises(RouterUnreachable):
        far_end.run(lambda driver: driver.health())
    assert time.monotonic() - began < 6
