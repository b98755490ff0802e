"""Behind which router a guest is: by the network, then by a redirect that may be true, then by what is left."""

from __future__ import annotations

import pytest

from bawaba.portal.guests import Told, find_router
from bawaba.routers.directory import directory

NEAR, FAR = "10.77.0.9", "192.0.2.9"
HALL, ROOF = {"lan4": ["10.77.0.0/24"]}, {"lan4": ["10.88.0.0/24"]}
SHARED = {"lan4": ["10.77.0.0/16"]}


@pytest.fixture
def place(rt, cast):
    """Asks where a guest is, among routers with these names and options; the house's own router is away."""

    def where(routers: dict[str, dict], source: str, router: str | None = None, client_ip: str | None = None):
        rt.transact(lambda db: db.delete(db.merge(cast.router)))
        for name, options in routers.items():
            cast.make_router(cast.site.id, name=name, options=options)
        directory(rt).forget()
        found = find_router(rt, Told(source, router, "02:00:5e:10:00:01", client_ip))
        return found.name if found else None

    return where


@pytest.mark.parametrize(
    ("routers", "source", "named", "client_ip", "found"),
    [
        # the network wins, whatever the redirect says
        ({"hall": HALL, "roof": ROOF}, NEAR, "roof", "10.88.0.9", "hall"),
        ({"hall": HALL, "other": {}}, NEAR, "other", None, "hall"),
        ({"hall": HALL, "roof": ROOF}, NEAR, "no such router", None, "hall"),
        ({"hall": HALL, "roof": ROOF}, NEAR, None, None, "hall"),
        ({"hall": HALL, "twin": SHARED}, NEAR, "twin", None, "twin"),
        ({"hall": HALL, "twin": SHARED}, NEAR, "hall", None, "hall"),
        # from elsewhere, a redirect that may be true
        ({"hall": HALL, "other": {}}, FAR, "other", None, "other"),
        ({"a": {}, "b": {}}, FAR, "b", None, "b"),
        ({"hall": HALL, "roof": ROOF}, FAR, "roof", "10.88.0.9", "roof"),
        ({"hall": HALL, "roof": ROOF, "other": {}}, FAR, "roof", "10.88.0.9", "roof"),
        # one that may not: what is left
        ({"hall": HALL, "other": {}}, FAR, "hall", None, "other"),
        ({"hall": HALL, "other": {}}, FAR, "hall", "10.88.0.9", "other"),
        ({"hall": HALL, "roof": ROOF}, FAR, "roof", "10.99.0.9", None),
        ({"hall": HALL, "other": {}}, FAR, "no such router", None, None),
        # no redirect
        ({"hall": HALL, "roof": ROOF, "other": {}}, FAR, None, None, "other"),
        ({"hall": HALL, "a": {}, "b": {}}, FAR, None, None, None),
        ({"hall": HALL, "roof": ROOF}, FAR, None, None, None),
        ({"hall": HALL}, FAR, None, None, "hall"),
        ({"a": {}}, FAR, None, None, "a"),
        ({}, FAR, None, None, None),
    ],
)
def test_where_a_guest_is(place, routers, source, named, client_ip, found):
    assert place(routers, source, named, client_ip) == found
