"""Gateways that let a phone in only when its own browser asks them: the promise stays open until that is seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import select

from bawaba.routers.drivers import fake
from bawaba.routers.models import Router, RouterJob
from bawaba.sessions.models import GuestSession
from tests.cast import HOUR, PHONE, TABLET
from tests.portal.phone import Phone, query_of
from tests.sessions.test_accounting import look, the_session

OPENED = "The gate is open"


class Gate:
    """A gateway's own sign-in address, over real HTTP, in front of a router in memory."""

    def __init__(self, router_id: int) -> None:
        self.router_id, self.came = router_id, 0
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                gate.answer(self, self.rfile.read(int(self.headers["Content-Length"])).decode())

            def do_GET(self) -> None:
                gate.answer(self, urlsplit(self.path).query)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/login"

    def answer(self, request: BaseHTTPRequestHandler, sent: str) -> None:
        self.came += 1
        opened = fake.box(self.router_id).browser_came(dict(parse_qsl(sent)).get("word", ""))
        request.send_response(200 if opened else 403)
        request.end_headers()
        request.wfile.write(OPENED.encode() if opened else b"no")


@pytest.fixture
def gate(cast, clock) -> Iterator[Gate]:
    """The café has a second router, which wants browsers."""
    router = cast.make_router(cast.site.id)
    fake.box(router.id, clock)
    made = Gate(router.id)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(params=["POST", "GET"])
def phone(app, rt, gate, request) -> Phone:
    options(rt, gate, browser_login=gate.url, browser_method=request.param)
    return Phone(app, PHONE, router=str(gate.router_id))


def options(rt, gate, **values: str) -> None:
    def change(db):
        db.get_one(Router, gate.router_id).options = values

    rt.transact(change)


def submit(form, method: str) -> str:
    """What a browser does with a form of another site."""
    sent = urlencode(form.fields)
    request = Request(form.action, sent.encode()) if method == "POST" else Request(f"{form.action}?{sent}")
    with urlopen(request, timeout=5) as answer:
        return answer.read().decode()


def method_of(page) -> str:
    return "GET" if 'method="get"' in page.html else "POST"


def admit_jobs(rt) -> list[RouterJob]:
    return list(rt.read(lambda db: db.scalars(select(RouterJob).where(RouterJob.kind == "admit")).all()))


def test_the_phone_is_given_one_button_and_its_time_begins_when_it_was_pressed(rt, phone, gate, cast, clock):
    phone.open()
    page = phone.type(cast.make_voucher().code)
    assert page.status == 200 and "Press the button" in page.text
    form = page.form(gate.url)
    assert f"form-action 'self' {gate.url.removesuffix('/login')}" in page.headers["Content-Security-Policy"]
    assert form.fields["back"].startswith("http://login.wifi/status?") and "back=1" in form.fields["back"]
    assert (the_session(rt).state, the_session(rt).start_time) == ("opening", None)
    clock.advance(60)

    assert submit(form, method_of(page)) == OPENED
    page = phone.go(form.fields["back"].removeprefix("http://login.wifi"))
    assert "You are online" in page.text and "Time left 3 h" in page.text
    assert (the_session(rt).state, the_session(rt).start_time) == ("online", clock.now())
    assert [job.state for job in admit_jobs(rt)] == ["done"]


def test_a_get_goes_by_itself_once_and_a_post_never(phone, gate, cast):
    phone.open()
    page = phone.type(cast.make_voucher().code)
    seconds, address = page.refresh_to()
    assert address.startswith(f"{gate.url}?word=" if method_of(page) == "GET" else "/status")
    page = phone.follow("Look again")
    assert page.refresh_to()[1].startswith("/status?") and query_of(page.refresh_to()[1])["back"] == "1"
    assert gate.came == 0 and seconds > 0


def test_who_closes_the_page_after_the_button_is_found_by_the_poll(rt, phone, gate, cast, clock):
    phone.open()
    form = phone.type(cast.make_voucher().code).form(gate.url)
    submit(form, method_of(phone.page))
    clock.advance(30)
    look(rt, gate.router_id)

    assert the_session(rt).state == "online"
    assert [job.state for job in admit_jobs(rt)] == ["done"]


def test_typing_the_code_again_gives_the_button_again_and_promises_nothing_twice(rt, phone, gate, cast):
    card = cast.make_voucher()
    for _ in range(3):
        phone.open("/c/" + card.code)
        assert phone.type(card.code).form(gate.url)
    assert len(admit_jobs(rt)) == 1 and len(rt.read(lambda db: db.scalars(select(GuestSession)).all())) == 1


def test_a_promise_that_waits_for_a_browser_is_no_error_and_is_looked_at_late(rt, phone, gate, cast, clock):
    phone.open()
    form = phone.type(cast.make_voucher().code).form(gate.url)
    (job,) = admit_jobs(rt)
    assert (job.state, job.last_error, job.attempts) == ("open", None, 0)
    submit(form, method_of(phone.page))
    clock.advance(601)
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(gate.router_id)).result(10)
    assert the_session(rt).state == "online" and admit_jobs(rt)[0].state == "done"


def test_a_program_gets_the_form_in_its_answer(rt, app, phone, gate, cast):
    sent = {"code": cast.make_voucher().code, "router": str(gate.router_id), "client_mac": PHONE}
    told = app.test_client().post("/api/voucher/redeem", json=sent).json
    assert told["status"] == "opening" and told["session"]["start_time"] is None
    assert set(told["handoff"]) == {"action_url", "method", "fields"}
    request = urlencode(told["handoff"]["fields"])
    with urlopen(f"{told['handoff']['action_url']}?{request}", timeout=5) as answer:
        assert answer.read().decode() == OPENED
    told = app.test_client().post("/api/voucher/redeem", json=sent).json
    assert (told["status"], told["session"]["resumed"], "handoff" in told) == ("online", True, False)


def test_the_form_is_for_this_guest_alone(app, phone, gate, cast):
    phone.open()
    phone.type(cast.make_voucher().code)
    other = Phone(app, TABLET, router=str(gate.router_id))
    assert gate.url not in other.open("/status").html


def test_a_spare_router_hands_nothing_to_a_browser_that_is_not_behind_it(rt, app, gate, cast, clock):
    def group(db):
        for router in db.scalars(select(Router)):
            router.failover_group = "roof"

    options(rt, gate, browser_login=gate.url)
    rt.transact(group)
    fake.box(cast.router.id).break_with("unreachable", ["admit"])
    phone = Phone(app, PHONE, router=str(cast.router.id))
    phone.open()
    page = phone.type(cast.make_voucher(duration_seconds=HOUR).code)
    assert "Opening the way" in page.text and gate.url not in page.html
    assert the_session(rt).router_id == cast.router.id


def test_a_form_that_leads_to_no_web_address_is_given_to_nobody(rt, app, gate, cast):
    options(rt, gate, browser_login="javascript:alert(1)")
    phone = Phone(app, PHONE, router=str(gate.router_id))
    phone.open()
    page = phone.type(cast.make_voucher().code)
    assert "Opening the way" in page.text and "javascript" not in page.html
    assert "sign-in form" in (admit_jobs(rt)[0].last_error or "")
