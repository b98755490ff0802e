"""Two clients that no one here wrote agree with the simulator on what the protocol is."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import librouteros
import pytest
import routeros_api
from librouteros.exceptions import FatalError, MultiTrapError, TrapError
from librouteros.query import Key
from routeros_api.exceptions import RouterOsApiCommunicationError

from bawaba.routers.simulators.routeros.router import Router

VERSIONS = ("6.49.18", "7.16", "7.20", "7.24.1")


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """librouteros connected to a router; closed after the test."""
    opened: list[Any] = []

    def open_one(router: Router, **more: Any) -> Any:
        wanted = {"password": "secret", "port": router.api_port, **more}
        opened.append(librouteros.connect("127.0.0.1", "admin", timeout=3, **wanted))
        return opened[-1]

    yield open_one
    for api in opened:
        api.close()


@pytest.fixture(params=VERSIONS)
def router(make_routeros, request) -> Router:
    return make_routeros(version=request.param, password="secret")


class TestLibrouteros:
    def test_logs_in_reads_adds_changes_and_removes(self, router, connect):
        users = connect(router).path("ip", "hotspot", "user")

        made = users.add(name="ahmad", password="pw", **{"limit-uptime": "90m", "limit-bytes-total": "10737418240"})
        users.update(**{".id": made, "limit-uptime": "3600s"})

        row = next(row for row in users if row[".id"] == made)
        assert (row["name"], row["limit-uptime"], row["limit-bytes-total"]) == ("ahmad", "1h", 10737418240)
        users.remove(made)
        assert [row["name"] for row in users] == ["default-trial"]

    def test_asks_with_queries(self, router, connect):
        for name in ("a1", "a2", "b1"):
            router.add("/ip/hotspot/user", name=name, comment="odd" if name.endswith("1") else "even")
        name, comment = Key("name"), Key("comment")

        users = connect(router).path("ip", "hotspot", "user").select(name)

        assert {row["name"] for row in users.where(comment == "odd", name != "b1")} == {"a1"}
        assert {row["name"] for row in users.where(name.In("a2", "b1"))} == {"a2", "b1"}

    def test_an_empty_answer_is_no_rows(self, router, connect):
        assert list(connect(router).path("ip", "hotspot", "active")) == []

    def test_hears_why_not(self, router, connect):
        users = connect(router).path("ip", "hotspot", "user")
        users.add(name="one")
        cases = {
            "already have user with this name for this server": {"name": "one"},
            "input does not match any value of profile": {"name": "two", "profile": "gold"},
            "invalid value for argument limit-uptime": {"name": "two", "limit-uptime": "soon"},
            "invalid value for argument limit-bytes-in": {"name": "two", "limit-bytes-in": "1G"},
            "unknown parameter colour": {"name": "two", "colour": "red"},
        }

        for message, arguments in cases.items():
            with pytest.raises(TrapError, match=message):
                users.add(**arguments)
        with pytest.raises(TrapError, match="no such item"):
            users.remove("*FFFF")

    def test_a_menu_that_is_not_there_is_refused_twice_by_v7(self, router, connect):
        expected = TrapError if router.version.major < 7 else MultiTrapError
        with pytest.raises(expected):
            list(connect(router).path("ip", "hotspots"))

    def test_a_wrong_password_is_refused(self, router, connect):
        with pytest.raises(TrapError, match="invalid user name or password"):
            connect(router, password="wrong")

    def test_tells_utf8_from_ascii(self, router, connect):
        made = connect(router, encoding="utf-8").path("ip", "hotspot", "user").add(name="x", comment="بطاقة")

        assert router.find("/ip/hotspot/user", name="x")[0]["comment"] == "بطاقة"
        assert made == "*2"

    def test_the_old_login(self, make_routeros, connect):
        old = make_routeros(version="6.42", password="secret")

        api = connect(old, login_method=librouteros.login.token)

        assert list(api("/system/identity/print")) == [{"name": "MikroTik"}]

    def test_tls_with_a_certificate_of_its_own(self, router, connect):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

        api = connect(router, port=router.tls_port, ssl_wrapper=context.wrap_socket)

        assert list(api("/system/identity/print")) == [{"name": "MikroTik"}]

    def test_hears_fatal(self, router, connect):
        api = connect(router)
        router.fail("fatal", "/system/identity/print")

        with pytest.raises(FatalError):
            list(api("/system/identity/print"))


class TestRouterOsApi:
    def pool(self, router: Router, **more: Any) -> Any:
        return routeros_api.RouterOsApiPool(
            "127.0.0.1", "admin", "secret", port=router.api_port, **{"plaintext_login": True, **more}
        )

    def test_logs_in_reads_adds_changes_and_removes(self, router):
        pool = self.pool(router)
        profiles = pool.get_api().get_resource("/ip/hotspot/user/profile")

        profiles.add(name="bw-1x", rate_limit="2M/10M", shared_users="2")
        profiles.set(id=profiles.get(name="bw-1x")[0]["id"], keepalive_timeout="none")

        found = profiles.get(name="bw-1x")[0]
        assert (found["rate-limit"], found["shared-users"], found["keepalive-timeout"]) == ("2M/10M", "2", "none")
        profiles.remove(id=found["id"])
        assert [row["name"] for row in profiles.get()] == ["default"]
        pool.disconnect()

    def test_hears_why_not(self, router):
        pool = self.pool(router)
        with pytest.raises(RouterOsApiCommunicationError, match="input does not match any value of profile"):
            pool.get_api().get_resource("/ip/hotspot/user").add(name="x", profile="gold")
        pool.disconnect()

    def test_its_old_login_works_on_an_old_router_only(self, make_routeros):
        old, new = (make_routeros(version=version, password="secret") for version in ("6.42", "6.49.18"))

        pool = self.pool(old, plaintext_login=False)
        assert pool.get_api().get_resource("/system/identity").get() == [{"name": "MikroTik"}]
        pool.disconnect()
        with pytest.raises(RouterOsApiCommunicationError):
            self.pool(new, plaintext_login=False).get_api()
