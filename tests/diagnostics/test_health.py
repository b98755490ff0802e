"""Health, figures, readiness, the log file, and what is forgotten in time."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select, text

from bawaba.core.log import RotatingFile
from bawaba.core.runtime import Runtime
from bawaba.diagnostics import retention
from bawaba.reports import counting
from bawaba.sales.models import Sale
from bawaba.sessions.models import GuestSession
from tests.cast import PHONE, Cast
from tests.staff import Person, error_of


def figures(person: Person) -> dict[str, float]:
    """What Prometheus reads, by name and labels."""
    answer = person.get("/metrics")
    assert answer.status_code == 200
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_prometheus_reads_what_happened(cast: Cast, hana: Person):
    figures(hana)  # counting begins with the first look
    ask = {"code": cast.make_voucher().code, "client_mac": PHONE}
    hana.app.test_client().post("/api/voucher/redeem", json=ask)
    hana.app.test_client().post("/api/voucher/redeem", json={"code": "000000000000", "client_mac": PHONE})

    found = figures(hana)
    assert found["bawaba_redeems_total['let_in']"] == 1
    assert found["bawaba_requests_total['200', 'POST']"] == 1
    assert found["bawaba_routers['up']"] == 1 and found["bawaba_routers['down']"] == 0
    assert found["bawaba_memory_bytes[]"] > 1 << 20 and found["bawaba_database_up[]"] == 1
    assert found["bawaba_outbox_open[]"] == 0 and found["bawaba_database_bytes[]"] > 4096
    assert found["bawaba_request_seconds_count[]"] >= 2


def test_figures_are_for_admins_and_their_keys(hana: Person, omar: Person):
    assert omar.get("/metrics").status_code == 403
    key: Any = hana.post("/api/keys", {"name": "prometheus"}).json
    hana.token = key["key"]
    assert "bawaba_routers" in hana.get("/metrics").text


def test_the_health_page_has_every_finding_and_how_to_mend_it(cast: Cast, hana: Person):
    told: Any = hana.get("/api/diagnostics/health").json
    codes = {one["code"] for one in told["findings"]}
    assert {"database", "disk", "key_file", "clock", "routers", "promises", "backup", "second_factor"} <= codes
    weak = next(one for one in told["findings"] if one["code"] == "second_factor")
    assert weak["level"] == "warn" and "hana" in weak["fact"] and weak["mend"]
    assert {one["table"] for one in told["kept"]} >= {"sale", "guest_session", "request_trace"}


def test_ready_means_the_newest_shape_and_a_loop_that_comes_round(rt: Runtime, hana: Person):
    client = hana.app.test_client()
    assert client.get("/readyz").status_code == client.get("/healthz").status_code == 200
    rt.transact(lambda db: db.execute(text("UPDATE alembic_version SET version_num = '0001'")))
    answer = client.get("/readyz", headers={"Accept": "application/json"})
    assert (answer.status_code, error_of(answer)) == (503, "not_ready")
    rt.transact(
        lambda db: db.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": rt.parts["shape"]})
    )
    assert client.get("/readyz").status_code == 200
    rt.parts["routers"].loop.call(lambda: time.sleep(1.5))  # it is stuck
    assert client.get("/readyz", headers={"Accept": "application/json"}).status_code == 503


def test_old_sessions_of_cards_that_are_over_go_and_their_sales_stay(cast: Cast, hana: Person, rt: Runtime):
    for code in (cast.make_voucher().code, cast.make_voucher(kind="used_time").code):
        hana.app.test_client().post("/api/voucher/redeem", json={"code": code, "client_mac": PHONE})
    rt.transact(_end_all, rt.clock.now())
    later = rt.clock.now() + timedelta(days=500)

    assert rt.transact(retention.prune_sessions, later, 0) == 0
    assert rt.transact(retention.prune_sessions, rt.clock.now() + timedelta(days=399), 400) == 0
    assert rt.transact(retention.prune_sessions, later, 400) == 0  # the reports have not counted it yet
    counting.count_all(rt)
    assert rt.transact(retention.prune_sessions, later, 400) == 1  # the other card has no end: it may come back
    counted = rt.read(lambda db: [db.scalar(select(func.count()).select_from(of)) for of in (GuestSession, Sale)])
    assert counted == [1, 2]


def _end_all(db: Any, now: Any) -> None:
    for session in db.scalars(select(GuestSession)):
        session.ended_at, session.state = now, "ended"


def test_the_database_grows_so_much_a_day(rt: Runtime):
    now = rt.clock.now()
    rt.transact(retention.note_size, now)
    assert rt.read(retention.growth_bytes) is None
    rt.transact(lambda db: db.execute(text("CREATE TABLE filler AS SELECT 1 AS a")))
    rt.transact(retention.note_size, now + timedelta(days=1))
    assert rt.read(retention.growth_bytes) is not None


def test_a_log_file_is_set_aside_at_its_size_and_few_are_kept(tmp_path: Path):
    log = RotatingFile(tmp_path / "log", 1000, 3)
    for number in range(100):
        log.write(f"{number:03} {'x' * 90}\n")
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["log", "log.1", "log.2"] and all((tmp_path / name).stat().st_size <= 1000 for name in kept)
    assert (tmp_path / "log").read_text().endswith(f"099 {'x' * 90}\n")


def test_a_full_disk_loses_log_lines_and_nothing_else(capsys: pytest.CaptureFixture[str]):
    RotatingFile(Path("/dev/full"), 1 << 20, 3).write("a line\n")
    assert "could not be written" in capsys.readouterr().err
