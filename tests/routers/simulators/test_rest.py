"""The REST face shows the same router, in the shapes and with the statuses that live routers were seen to use."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest


@pytest.fixture
def rest(routeros) -> Iterator[httpx.Client]:
    base = f"https://127.0.0.1:{routeros.web_tls_port}/rest"
    with httpx.Client(base_url=base, auth=("admin", "secret"), verify=False, timeout=3) as client:
        yield client


def test_rows_are_listed_made_changed_and_removed(rest):
    made = rest.put("/ip/hotspot/user", json={"name": "x", "limit-bytes-total": 1000})
    assert (made.status_code, made.json()["limit-bytes-total"], made.json()[".id"]) == (201, "1000", "*2")
    changed = rest.patch("/ip/hotspot/user/*2", json={"disabled": True})
    assert (changed.status_code, changed.json()["disabled"]) == (200, "true")
    assert rest.get("/ip/hotspot/user", params={"name": "x", ".proplist": "name"}).json() == [{"name": "x"}]
    assert rest.get("/ip/hotspot/user/*2").json()["name"] == "x"
    assert rest.delete("/ip/hotspot/user/*2").status_code == 204
    gone = rest.delete("/ip/hotspot/user/*2")
    assert (gone.status_code, gone.json()) == (404, {"error": 404, "message": "Not Found"})


def test_actions_and_queries_are_posted(rest, routeros):
    assert rest.post("/ip/hotspot/user/add", json={"name": "x"}).json() == {"ret": "*2"}
    asked = {".proplist": ["name"], ".query": ["name=x", "name=y", "#|"]}
    assert rest.post("/ip/hotspot/user/print", json=asked).json() == [{"name": "x"}]
    phone = routeros.join()
    answer = rest.post("/ip/hotspot/active/login", json={"user": "x", "password": "", "ip": phone.ip})
    assert (answer.status_code, answer.json()) == (200, []) and phone.online


def test_a_menu_of_one_thing_is_an_object(rest):
    assert rest.get("/system/identity").json() == {"name": "MikroTik"}


def test_refusals(rest, routeros):
    rest.put("/ip/hotspot/user", json={"name": "x"})
    duplicate = rest.put("/ip/hotspot/user", json={"name": "x"})
    assert duplicate.status_code == 400
    assert duplicate.json()["detail"] == "failure: already have user with this name for this server"
    assert rest.get("/ip/hotspots").status_code == 400
    assert rest.post("/system/identity/remove").status_code == 406
    assert rest.get("/system/identity", auth=("admin", "wrong")).status_code == 401
    routeros.add("/user", name="reader", group="read")
    assert rest.put("/ip/hotspot/user", json={"name": "y"}, auth=("reader", "")).status_code == 500


@pytest.mark.parametrize(("version", "plain", "tls"), [("6.49.18", 404, 404), ("7.8", 404, 200), ("7.9", 200, 200)])
def test_it_came_with_v7(make_routeros, version, plain, tls):
    router = make_routeros(version=version, password="secret")
    urls = (f"http://127.0.0.1:{router.web_port}", f"https://127.0.0.1:{router.web_tls_port}")
    answers = [httpx.get(f"{url}/rest/system/identity", auth=("admin", "secret"), verify=False) for url in urls]
    assert [answer.status_code for answer in answers] == [plain, tls]
