"""Every route of the product: as nobody, as somebody without the permission, and as somebody of another site.

New routes are walked without being named here. What is named below is what has no site: people, and one's own things.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.routing import Map, Rule

from bawaba.accounts import roles
from bawaba.core.runtime import Runtime
from bawaba.notifications.models import Notification, NotificationChannel
from bawaba.radius.door import USER, secret_of
from bawaba.routers.models import RouterJob
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.models import Batch, Voucher
from bawaba.web.guard import EVERYONE, MACHINE, SIGNED_IN, permission_of
from bawaba.webhooks.models import Webhook, WebhookDelivery
from tests.cast import PHONE, Cast
from tests.staff import Person, error_of, signed_in

NO_SITE = ("/api/users", "/people", "/api/keys", "/account", "/api/backups", "/api/requests", "/metrics")
FOREIGN_SITE, FOREIGN_THING = "Foreign Café", "Foreign thing"
Role = str


class Door(NamedTuple):
    """One method of one route."""

    method: str
    rule: Rule
    permission: str | None

    @property
    def path(self) -> str:
        """The route with the first row's id, or some device or code, where it takes one."""
        values = {
            name: 1 if "int" in self.rule.rule.split(f"{name}>")[0][-5:] else PHONE for name in self.rule.arguments
        }
        adapter = Map([self.rule.empty()], converters=self.rule.map.converters).bind("localhost")
        return adapter.build(self.rule.endpoint, values)

    @property
    def is_page(self) -> bool:
        return not self.path.startswith("/api/")


def doors(app: Flask) -> list[Door]:
    """Everything that can be asked of the app."""
    found = []
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            found.append(Door(method, rule, permission_of(app.view_functions[rule.endpoint])))
    return found


def closed(app: Flask) -> list[Door]:
    """All that needs somebody who is signed in."""
    return [door for door in doors(app) if door.permission not in (EVERYONE, MACHINE)]


def for_machines(app: Flask) -> list[Door]:
    """All that no person may use, whoever it is."""
    return [door for door in doors(app) if door.permission == MACHINE]


def test_the_walk_finds_the_product(app: Flask) -> None:
    paths = {door.rule.rule for door in doors(app)}
    assert {"/api/auth/login", "/api/sites", "/api/plans/<int:plan_id>", "/api/vouchers", "/dashboard"} <= paths
    assert len(closed(app)) > 60


def test_every_door_says_who_may_come_in(app: Flask) -> None:
    known = roles.PERMISSIONS["admin"] | {EVERYONE, SIGNED_IN, MACHINE}
    assert [str(door) for door in doors(app) if door.permission not in known] == []


def test_what_is_open_is_meant_to_be(app: Flask) -> None:
    for door in doors(app):
        staff = door.path.startswith(("/api/", "/dashboard", "/people", "/plans", "/cards", "/routers", "/sessions"))
        if staff and door.permission == EVERYONE:
            assert door.path.startswith(("/api/auth/", "/api/voucher/redeem", "/api/docs", "/api/openapi.json")), door


def test_nobody_comes_in(app: Flask) -> None:
    for door in closed(app):
        answer = app.test_client().open(door.path, method=door.method)
        if door.is_page:
            assert answer.status_code == 303 and answer.headers["Location"].startswith("/login"), door
        else:
            assert (answer.status_code, error_of(answer)) == (401, "unauthenticated"), door


def test_a_door_for_a_machine_is_shut_to_people_and_to_machines_elsewhere(app: Flask, rt: Runtime) -> None:
    hana = signed_in(app, rt, "hana", "admin")
    assert len(for_machines(app)) >= 2
    for door in for_machines(app):
        right: Any = {"auth": (USER, secret_of(rt.keyring)), "method": door.method, "json": {}}
        for refused in (
            app.test_client().open(door.path, method=door.method),
            hana.ask(door.method, door.path, {}),
            app.test_client().open(door.path, **right | {"auth": (USER, "guessed")}),
            app.test_client().open(door.path, environ_base={"REMOTE_ADDR": "192.168.1.9"}, **right),
        ):
            assert (refused.status_code, error_of(refused)) == (401, "unauthenticated"), door
        assert app.test_client().open(door.path, **right).status_code not in {401, 403}, door


@pytest.mark.parametrize("role", ["clerk", "viewer", "operator"])
def test_who_lacks_the_permission_is_refused_before_anything_is_looked_at(app: Flask, rt: Runtime, role: Role) -> None:
    person = signed_in(app, rt, "somebody", role)
    refused = [door for door in closed(app) if door.permission not in roles.permissions_of(role) | {SIGNED_IN}]
    assert len(refused) > 20
    for door in refused:
        answer = person.ask(door.method, door.path, None if door.method == "GET" else {"nonsense": 1})
        assert answer.status_code == 403, door
        if not door.is_page:
            assert error_of(answer) == "forbidden", door


@pytest.mark.parametrize("role", ["clerk", "viewer", "operator", "admin"])
def test_who_has_the_permission_is_not_refused_for_it(app: Flask, rt: Runtime, role: Role) -> None:
    person = signed_in(app, rt, "somebody", role)
    for door in closed(app):
        if door.permission in roles.permissions_of(role) and door.method == "GET":
            assert person.get(door.path).status_code not in {401, 403, 500}, door


@pytest.fixture
def stranger(app: Flask, rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody with every permission there is, at one site; another site has one of everything, with the id 1."""
    cast = Cast(rt)
    cast.rt.transact(_name, cast)
    card = cast.make_voucher(name=FOREIGN_THING)
    rt.transact(_one_of_everything, cast, card.id)
    own_site = cast.make_site(name="Own Café")
    monkeypatch.setitem(roles.PERMISSIONS, "operator", roles.PERMISSIONS["admin"])
    return signed_in(app, rt, "stranger", "operator", [own_site.id])


def _name(db: Session, cast: Cast) -> None:
    site, router = db.merge(cast.site), db.merge(cast.router)
    site.name, router.name = FOREIGN_SITE, FOREIGN_THING
    assert site.id == router.id == 1


def _one_of_everything(db: Session, cast: Cast, voucher_id: int) -> None:
    voucher = db.get_one(Voucher, voucher_id)
    terms = {"plan_version_id": voucher.plan_version_id, "price_minor": 1, "currency": "YER", "created_at": cast.now}
    db.add(
        Batch(
            site_id=1, number=1, quantity=1, created=1, state="ready", code_style="digits", note=FOREIGN_THING, **terms
        )
    )
    live = {"start_time": cast.now, "created_at": cast.now, "state": "online"}
    db.add(GuestSession(site_id=1, voucher_id=voucher_id, router_id=1, client_mac=PHONE, **live))
    db.add(RouterJob(router_id=1, kind="kick", ref=1, state="failed", next_try_at=cast.now, created_at=cast.now))
    told = {"kind": "jobs", "severity": "warning", "key": "jobs:1", "path": "/jobs", "facts": {"name": FOREIGN_THING}}
    db.add(Notification(site_id=1, opened_at=cast.now, closing={}, **told))
    way = {"name": FOREIGN_THING, "kind": "json", "url_sealed": b"x", "language": "en", "least": "info"}
    db.add(NotificationChannel(site_id=1, created_at=cast.now, **way))
    told_elsewhere = {"url": "https://foreign.example", "events": " batch.ready ", "secret_sealed": b"x"}
    db.add(Webhook(name=FOREIGN_THING, site_id=1, created_at=cast.now, **told_elsewhere))
    times = dict.fromkeys(("created_at", "next_try_at", "give_up_at"), cast.now)
    db.add(WebhookDelivery(webhook_id=1, event_id="e", kind="batch.ready", body="{}", state="done", **times))
    db.flush()
    assert voucher_id == 1


def test_the_other_sites_things_are_there_for_an_admin(app: Flask, rt: Runtime, stranger: Person) -> None:
    hana: Any = signed_in(app, rt, "hana", "admin")
    for thing in ("sites", "plans", "routers", "vouchers", "batches", "sessions", "router-jobs", "notifications"):
        assert len(hana.get(f"/api/{thing}").json["items"]) >= 1, thing
    for thing in ("sites", "plans", "routers", "vouchers", "batches", "sessions"):
        assert hana.get(f"/api/{thing}/1").status_code == 200, thing


def test_another_sites_things_are_not_there(app: Flask, stranger: Person) -> None:
    walked = [door for door in closed(app) if "<int:" in door.rule.rule and not door.rule.rule.startswith(NO_SITE)]
    assert len(walked) > 20
    for door in walked:
        answer = stranger.ask(door.method, door.path, None if door.method == "GET" else {"nonsense": 1})
        assert answer.status_code == 404, door


def test_no_list_and_no_page_shows_another_sites_things(app: Flask, stranger: Person) -> None:
    for door in closed(app):
        if door.method == "GET" and not door.rule.arguments:
            answer = stranger.get(door.path)
            text = answer.get_data(as_text=True)
            assert answer.status_code < 500, door
            assert FOREIGN_SITE not in text and FOREIGN_THING not in text, door


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/plans", {"site_id": 1, "name": "x", "duration_seconds": 60, "price_minor": 1}),
        ("POST", "/api/plans", {"site_id": 1}),
        ("GET", "/api/plans?site_id=1", None),
        ("POST", "/api/vouchers", {"plan_id": 1}),
        ("POST", "/api/vouchers/bulk", {"plan_id": 1, "quantity": 2}),
        ("POST", "/api/routers", {"site_id": 1, "name": "x", "driver": "fake", "address": "memory"}),
        ("PUT", "/api/devices", {"site_id": 1, "mac": PHONE, "standing": "trusted"}),
        ("GET", "/api/devices?site_id=1", None),
    ],
)
def test_nothing_can_be_made_at_another_site(stranger: Person, method: str, path: str, body: Any) -> None:
    answer = stranger.ask(method, path, body)
    assert (answer.status_code, error_of(answer)) == (404, "not_found")


def test_a_door_without_a_mark_stays_shut(rt: Runtime) -> None:
    """Whoever forgets the mark has made a page that nobody sees, and hears of it from the walk."""
    from bawaba.app import create_app

    app = create_app(rt)
    app.add_url_rule("/api/forgotten", "forgotten", lambda: "secret")
    person = signed_in(app, rt, "hana", "admin")
    assert person.get("/api/forgotten").status_code == 403
    assert app.test_client().get("/api/forgotten").status_code == 401
