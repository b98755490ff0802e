"""What is known of a request afterwards: its timeline, where its time went, and never what somebody typed."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
import structlog
from sqlalchemy import select, text
from structlog.testing import capture_logs

from bawaba.core import tracing
from bawaba.core.clock import ManualClock
from bawaba.core.runtime import Runtime
from bawaba.diagnostics import recorder
from bawaba.diagnostics.analysis import analyze_request_flow
from bawaba.diagnostics.errors import TraceNotFound
from bawaba.diagnostics.models import RequestTrace
from bawaba.routers.drivers import fake
from bawaba.routers.models import RouterJob
from bawaba.routers.part import part
from tests.cast import PHONE, Cast
from tests.staff import Person, error_of

numbers = itertools.count(1)


def redeem(person: Person, code: str, request_id: str) -> Any:
    """A guest's request under an id of the test's."""
    return person.app.test_client().post(
        "/api/voucher/redeem", json={"code": code, "client_mac": PHONE}, headers={"X-Request-ID": request_id}
    )


def test_a_redemption_is_seen_from_its_arrival_to_its_answer(cast: Cast, hana: Person):
    card = cast.make_voucher()
    assert redeem(hana, card.code, "first.redeem").status_code == 200

    for path in ("/api/requests/first.redeem", "/api/diagnostics/requests/first.redeem"):
        told: Any = hana.get(path).json
        events = [step["event"] for step in told["timeline"]]
        assert events[0] == "request_start" and events[-1] == "response_sent"
        for event in ("auth_check", "database_query", "business_logic", "router_wait", "router_call"):
            assert event in events, event
        assert [step["at_ms"] for step in told["timeline"]] == sorted(step["at_ms"] for step in told["timeline"])
    assert told["statements"] == events.count("database_query") > 3
    assert 0 < told["database_ms"] <= told["took_ms"] and told["router_ms"] > 0
    assert (told["method"], told["route"], told["status"]) == ("POST", "/api/voucher/redeem", 200)
    assert any("voucher" in step.get("text", "") for step in told["timeline"])
    assert any("admit fake" in step.get("text", "") for step in told["timeline"])


def test_nothing_that_a_guest_typed_is_kept(cast: Cast, hana: Person, rt: Runtime):
    card = cast.make_voucher()
    redeem(hana, card.code, "secret.one")
    hana.app.test_client().get(f"/c/{card.code}?code={card.code}")
    hana.app.test_client().get(f"/nowhere/{card.code}")
    recorder.part(rt).write()

    rows = rt.read(lambda db: db.execute(select(RequestTrace.__table__)).all())
    assert {row.route for row in rows} >= {"/c/<code>", "(no such page)", "/api/voucher/redeem"}
    assert not any(card.code in str(column) or PHONE in str(column) for row in rows for column in row)


def test_what_another_process_wrote_down_is_found(cast: Cast, hana: Person, rt: Runtime):
    redeem(hana, cast.make_voucher().code, "theirs")
    recorder.part(rt).write()
    recorder.part(rt)._newest.clear()

    flow = analyze_request_flow(rt, "theirs")
    assert flow.facts["statements"] > 3 and flow.timeline[-1].kind == "response_sent"
    assert [row["request_id"] for row in _items(hana, "route=redeem")] == ["theirs"]
    assert hana.get("/api/requests/nobodys").status_code == 404
    with pytest.raises(TraceNotFound):
        analyze_request_flow(rt, "nobodys")


def test_a_request_id_that_would_forge_a_log_line_is_replaced(hana: Person):
    for sent in ("a\tb", "x" * 65, "name with blanks", "<b>", "ü", ""):
        kept = hana.get("/api/me", X_Request_ID=sent).headers["X-Request-ID"]
        assert kept != sent and len(kept) == 16
    assert hana.get("/api/me", X_Request_ID="Mine-1.2_3").headers["X-Request-ID"] == "Mine-1.2_3"


def test_a_routers_job_carries_the_request_that_it_follows_from(cast: Cast, hana: Person, rt: Runtime):
    redeem(hana, cast.make_voucher().code, "followed")

    job = rt.read(lambda db: db.scalars(select(RouterJob).where(RouterJob.kind == "admit")).one())
    assert job.request_id == "followed"


def test_work_delivered_later_is_logged_under_the_request_that_it_follows_from(
    cast: Cast, hana: Person, rt: Runtime, clock: ManualClock
):
    fake.box(cast.router.id).fail = "unreachable"
    redeem(hana, cast.make_voucher().code, "late.one")
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        clock.advance(10)
        part(rt).loop.submit(part(rt)._deliver_due(cast.router.id)).result(30)
    assert {line.get("request_id") for line in logs if line["event"] == "a router did not take a job"} == {"late.one"}


def test_a_question_for_each_row_of_a_list_is_named(rt: Runtime):
    def ask_for_each(db: Any) -> None:
        for number in range(6):
            db.execute(text("SELECT name FROM site WHERE id = :id"), {"id": number})

    found = analysed(rt, lambda: rt.read(ask_for_each))
    ((bottleneck, recommendation),) = found
    assert (bottleneck.code, bottleneck.times) == ("n_plus_one", 6) and "SELECT name" in bottleneck.text
    assert "6" in recommendation


def test_a_slow_question_comes_with_its_plan(rt: Runtime, cast: Cast, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bawaba.diagnostics.rules.SLOW_QUERY_MS", 0.0)
    wanted = select(RouterJob.id).where(RouterJob.kind == "admit", RouterJob.ref == 7)
    trace = traced(rt, lambda: rt.read(lambda db: db.scalars(wanted).all()))

    flow = analyze_request_flow(rt, trace.request_id)
    slow = next(one for one in flow.bottlenecks if one.code == "slow_query" and "router_job" in one.text)
    plan = "\n".join(flow.plans[slow.text])
    assert "router_job" in plan and ("SEARCH" in plan or "Scan" in plan), plan
    assert "7" not in slow.text.replace("$7", "")


def test_a_wait_for_the_one_writer_is_named(rt: Runtime):
    if not rt.database.is_sqlite:
        pytest.skip("PostgreSQL has many writers")
    import threading

    busy = threading.Thread(target=lambda: rt.transact(lambda db: time.sleep(0.15)))

    def write_behind_it() -> None:
        busy.start()
        time.sleep(0.03)
        rt.transact(lambda db: db.execute(text("UPDATE site SET name = name")))

    codes = {bottleneck.code for bottleneck, _words in analysed(rt, write_behind_it)}
    busy.join()
    assert "writer_wait" in codes


def test_a_traced_function_logs_its_start_end_and_failure_and_never_its_arguments(rt: Runtime):
    @tracing.trace_data_flow
    def divide(card_code: int, by: int) -> float:
        return card_code / by

    with capture_logs() as logs:
        trace = traced(rt, lambda: divide(4821, 2))
        with pytest.raises(ZeroDivisionError):
            divide(4821, 0)
    assert [line["event"] for line in logs if "function" in line["event"]] == [
        "a function begins", "a function ended", "a function begins", "a function failed",
    ]  # fmt: skip
    assert all("4821" not in str(line) for line in logs) and logs[-1]["error"] == "ZeroDivisionError"
    assert [span.kind for span in trace.spans] == ["function"]


def test_of_a_flood_what_failed_the_slowest_and_the_newest_are_kept(rt: Runtime):
    kept = recorder.part(rt)
    for number in range(1000):
        kept.take(made(f"{number}", 500 if number == 3 else 200, 9.0 if number == 5 else 0.1))
    kept.write()

    ids = set(rt.read(lambda db: db.scalars(select(RequestTrace.request_id)).all()))
    assert {"3", "5", *map(str, range(900, 1000))} <= ids
    assert len(ids) == recorder.NEWEST_MOST + recorder.STANDING_OUT_MOST == 1000 - kept.left_out


def test_the_newest_and_the_slowest_stay(rt: Runtime):
    kept = recorder.part(rt)
    for number in range(300):
        kept.take(made(f"n{number}", 200, 60.0 if number == 0 else 0.01 * (number % 7)))
        if number % 50 == 49:
            kept.write()
    rt.transact(recorder.prune, rt.clock.now(), 20)
    ids = rt.read(lambda db: db.scalars(select(RequestTrace.request_id)).all())
    assert "n0" in ids and {f"n{number}" for number in range(280, 300)} <= set(ids)
    assert len(ids) <= 20 + recorder.SLOWEST


def test_only_an_admin_sees_requests(hana: Person, omar: Person, vera: Person):
    for person, status in ((omar, 403), (vera, 403), (hana, 200)):
        assert person.get("/api/requests").status_code == status
    assert error_of(hana.get("/api/requests?kind=strange")) == "invalid"


def made(request_id: str, status: int, took_s: float) -> tracing.Trace:
    began = 100.0 * next(numbers)
    trace = tracing.Trace(request_id, "GET", "/api/me", {}, began)
    trace.status, trace.ended = status, began + took_s
    return trace


def traced(rt: Runtime, work: Any) -> tracing.Trace:
    """Do something as if it were a request."""
    trace = tracing.Trace("made.up", "GET", "/api/me", {}, tracing.clock())
    token = tracing.CURRENT.set(trace)
    try:
        work()
    finally:
        tracing.CURRENT.reset(token)
    trace.ended, trace.status = tracing.clock(), 200
    recorder.part(rt).take(trace)
    return trace


def analysed(rt: Runtime, work: Any) -> list[Any]:
    """The bottlenecks of something, each with its recommendation."""
    trace = traced(rt, work)
    flow = analyze_request_flow(rt, trace.request_id)
    return [(found, flow.recommendation(found)) for found in flow.bottlenecks]


def _items(person: Person, query: str) -> list[dict[str, Any]]:
    body: Any = person.get(f"/api/requests?{query}").json
    items: list[dict[str, Any]] = body["items"]
    return items
