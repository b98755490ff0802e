"""What a simulated router does when it is told to go wrong."""

from __future__ import annotations

import socket
import time

import pytest

from tests.routers.simulators.raw import Raw, attributes

ADD = "/ip/hotspot/user/add"


def names(router) -> set[str]:
    return {row["name"] for row in router.find("/ip/hotspot/user")} - {"default-trial"}


def add_ten(raw: Raw) -> None:
    """Ten adds on their way at once."""
    for number in range(10):
        raw.send(ADD, f"=name=u{number}", f".tag={number}")
    for _ in range(10):
        raw.read()


class TestOnTheWay:
    @pytest.mark.parametrize(("kind", "is_done"), [("cut-before", False), ("cut-after", True), ("half-reply", True)])
    def test_the_link_is_cut(self, routeros, kind, is_done):
        routeros.fail(kind, ADD)
        with Raw(routeros.api_port) as raw:
            raw.login()
            with pytest.raises(ConnectionError):
                raw.ask(ADD, "=name=x")
        assert names(routeros) == ({"x"} if is_done else set())

    @pytest.mark.parametrize(("kind", "is_done"), [("deaf", False), ("silent", True)])
    def test_no_answer_comes(self, routeros, kind, is_done):
        routeros.fail(kind, ADD)
        with Raw(routeros.api_port, timeout_s=0.2) as raw:
            raw.login()
            with pytest.raises(TimeoutError):
                raw.ask(ADD, "=name=x")
        assert names(routeros) == ({"x"} if is_done else set())

    def test_an_answer_makes_no_sense(self, routeros):
        routeros.fail("garbage", ADD)
        with Raw(routeros.api_port) as raw:
            raw.login()
            with pytest.raises(AssertionError, match="control byte"):
                raw.ask(ADD, "=name=x")

    def test_a_batch_is_cut_in_its_middle(self, routeros):
        routeros.fail("cut-before", ADD, skip=5)
        with Raw(routeros.api_port) as raw:
            raw.login()
            with pytest.raises(ConnectionError):
                add_ten(raw)
        assert names(routeros) == {f"u{number}" for number in range(5)}

    def test_a_fatal_ends_it(self, routeros):
        routeros.fail("fatal", ADD)
        with Raw(routeros.api_port) as raw:
            assert raw.login().ask(ADD, "=name=x")[0][0] == "!fatal"
            with pytest.raises(ConnectionError):
                raw.read()
        assert names(routeros) == set()

    @pytest.mark.parametrize(
        ("kind", "message"),
        [("disk-full", "not enough space"), ("no-rights", "not enough permissions (9)"), ("trap", "simulated")],
    )
    def test_a_command_is_refused(self, routeros, kind, message):
        routeros.fail(kind, ADD)
        with Raw(routeros.api_port) as raw:
            assert message in attributes(raw.login().ask(ADD, "=name=x")[0])["message"]
            assert raw.ask(ADD, "=name=x")[0][0] == "!done"

    def test_the_answer_comes_in_pieces(self, routeros):
        routeros.behaviour.split_bytes = 3
        with Raw(routeros.api_port) as raw:
            assert len(raw.login().ask("/ip/service/print")) > 5


class TestConnecting:
    def test_a_login_is_refused_until_it_is_healed(self, routeros):
        routeros.fail("auth", times=None)
        with Raw(routeros.api_port) as raw:
            assert raw.ask("/login", "=name=admin", "=password=secret")[0][0] == "!trap"
            routeros.heal()
            raw.login()

    def test_nobody_listens(self, routeros):
        routeros.fail_connections("refuse")
        with pytest.raises(ConnectionRefusedError):
            Raw(routeros.api_port)

    def test_a_black_hole_answers_no_syn(self, routeros):
        routeros.fail_connections("black-hole")
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", routeros.api_port), 0.3)

    def test_silence_after_accepting(self, routeros):
        routeros.fail_connections("accept-silence")
        with Raw(routeros.api_port, timeout_s=0.2) as raw, pytest.raises(TimeoutError):
            raw.login()

    @pytest.mark.parametrize("kind", ["refuse", "black-hole", "accept-silence", "full"])
    def test_it_heals_on_the_same_port(self, routeros, kind):
        routeros.fail_connections(kind)
        routeros.heal()
        with Raw(routeros.api_port) as raw:
            raw.login()

    def test_open_connections_are_cut_when_the_power_goes(self, routeros):
        with Raw(routeros.api_port) as raw:
            raw.login()
            routeros.power_off()
            with pytest.raises(ConnectionError):
                raw.read()
        with pytest.raises(ConnectionRefusedError):
            Raw(routeros.api_port)
        routeros.power_on()
        with Raw(routeros.api_port) as raw:
            raw.login()

    def test_one_connection_too_many_is_closed(self, make_routeros):
        router = make_routeros(password="secret", max_sessions=1)
        with Raw(router.api_port) as first, Raw(router.api_port) as second:
            first.login()
            with pytest.raises(ConnectionError):
                second.login()


class TestSlowness:
    def test_a_slow_link_delays_but_does_not_queue(self, routeros):
        with Raw(routeros.api_port) as raw:
            raw.login()
            routeros.behaviour.delay_s = 0.1
            began = time.monotonic()
            for number in range(20):
                raw.send(ADD, f"=name=u{number}", f".tag={number}")
            tags = [raw.read()[-1] for _ in range(20)]
        assert tags == [f".tag={number}" for number in range(20)]
        assert 0.1 <= time.monotonic() - began < 1.0

    def test_a_slow_router_does_one_after_the_other(self, routeros):
        routeros.behaviour.add_s = 0.05
        with Raw(routeros.api_port) as raw:
            raw.login()
            began = time.monotonic()
            for number in range(4):
                raw.send(ADD, f"=name=u{number}", f".tag={number}")
            for _ in range(4):
                raw.read()
        assert time.monotonic() - began >= 0.2

    def test_all_calls_can_be_walked(self, routeros):
        calls = routeros.record()
        with Raw(routeros.api_port) as raw:
            raw.login().ask(ADD, "=name=x")
        assert [call.command for call in calls] == ["/login", ADD]
        assert calls[1].arguments == {"name": "x"} and calls[1].done
        assert routeros.count_calls("/ip/*") == 1
