"""What gateways catch, through the whole front of the program: some of its doors lie before the pages."""

from __future__ import annotations

import http.client

import pytest

from bawaba.portal.captive import PROBES
from bawaba.routers.drivers import fake
from bawaba.server import build_front
from bawaba.web.static_files import StaticFiles
from tests.serving import serving


@pytest.fixture
def front(rt, cast, clock):
    """The program on a port, behind a gateway whose guests are this machine."""
    fake.box(cast.make_router(cast.site.id, options={"lan4": "127.0.0.0/8"}).id, clock)
    with serving(build_front(rt)) as served:
        yield served


def ask(front, path: str, host: str) -> tuple[int, str | None]:
    """What a guest gets who asks for a page of `host`: the status, and where it leads."""
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=5)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers["Location"]


def test_every_systems_probe_leads_to_the_portal(front):
    """Fedora's lies below /static/, where our own files are."""
    assert "/static/hotspot.txt" in PROBES
    for path in PROBES:
        assert ask(front, path, "probe.example") == (302, "http://login.wifi/"), path


def test_our_own_files_are_still_ours(front):
    assert ask(front, StaticFiles().url("app.css"), "login.wifi") == (200, None)
    assert ask(front, "/static/no-such-file.css", "login.wifi")[0] == 404
