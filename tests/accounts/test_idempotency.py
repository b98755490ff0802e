"""A create that is sent twice happens once."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from sqlalchemy import select

from bawaba import wiring
from bawaba.accounts import idempotency
from bawaba.accounts.idempotency import KeyTaken, Once, idempotent
from bawaba.accounts.models import IdempotencyKey
from bawaba.app import create_app
from bawaba.sites.models import Site
from bawaba.web import guard
from tests.staff import YEMEN, Person, error_of, faults_of, signed_in

KEY = "till-3 #0042"


def sites(rt) -> int:
    return len(rt.read(lambda db: db.scalars(select(Site.id)).all()))


@pytest.fixture
def impatient(monkeypatch):
    """Waits a moment only for the first request's answer."""
    monkeypatch.setattr(idempotency, "LOOKS", 3)


def test_a_repeat_gets_the_first_answer_again(hana, rt, clock):
    first = hana.post("/api/sites", YEMEN, Idempotency_Key=KEY)
    clock.advance(86_000)
    hana.sign_in()
    again = hana.post("/api/sites", YEMEN, Idempotency_Key=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json and sites(rt) == 1
    assert "Idempotent-Replayed" not in first.headers and again.headers["Idempotent-Replayed"] == "true"


def test_the_first_answer_comes_even_when_the_thing_has_changed_since(hana):
    first = hana.post("/api/sites", YEMEN, Idempotency_Key=KEY).json
    hana.patch(f"/api/sites/{first['id']}", {"name": "Renamed"})
    assert hana.post("/api/sites", YEMEN, Idempotency_Key=KEY).json == first


def test_the_same_fields_in_another_order_are_the_same_request(hana, rt):
    hana.post("/api/sites", YEMEN, Idempotency_Key=KEY)
    assert hana.post("/api/sites", dict(reversed(YEMEN.items())), Idempotency_Key=KEY).status_code == 201
    assert sites(rt) == 1


@pytest.mark.parametrize(
    ("path", "body"), [("/api/sites", YEMEN | {"name": "Other"}), ("/api/users", YEMEN), ("/api/sites?x=1", YEMEN)]
)
def test_another_request_under_the_same_key_is_refused(hana, rt, path, body):
    hana.post("/api/sites", YEMEN, Idempotency_Key=KEY)
    answer = hana.post(path, body, Idempotency_Key=KEY)
    assert (answer.status_code, error_of(answer)) == (409, "idempotency_conflict")
    assert sites(rt) == 1


def test_a_key_is_ones_own(hana, rt, app):
    hana.post("/api/users", {"username": "sara", "password": "quiet-lantern-7", "role": "admin"})
    sara = Person(app, "sara")
    sara.sign_in()
    hana.post("/api/sites", YEMEN, Idempotency_Key=KEY)
    assert "Idempotent-Replayed" not in sara.post("/api/sites", YEMEN, Idempotency_Key=KEY).headers
    assert sites(rt) == 2


def test_a_refusal_is_not_kept_for_nothing_happened(hana, rt):
    assert hana.post("/api/sites", YEMEN | {"currency": "XYZ"}, Idempotency_Key=KEY).status_code == 422
    assert hana.post("/api/sites", YEMEN, Idempotency_Key=KEY).status_code == 201
    assert sites(rt) == 1


def test_a_page_that_says_no_in_its_own_way_is_not_kept_either(app, rt):
    view = guard.signed_in(idempotent()(lambda: ("not yet", 422)))
    app.add_url_rule("/api/stubborn", "stubborn", view, methods=["POST"])
    hana = signed_in(app, rt, "hana", "admin")
    assert [hana.post("/api/stubborn", Idempotency_Key=KEY).status_code for _ in range(2)] == [422, 422]


def test_after_a_day_the_key_is_free_again(hana, rt, clock):
    first = hana.post("/api/sites", YEMEN, Idempotency_Key=KEY).json
    clock.advance(86_401)
    hana.sign_in()
    assert hana.post("/api/sites", YEMEN | {"name": "Other"}, Idempotency_Key=KEY).json["id"] != first["id"]
    clock.advance(86_401)
    rt.transact(idempotency.prune, clock.now())
    assert rt.read(lambda db: db.scalars(select(IdempotencyKey.id)).all()) == []


@pytest.mark.parametrize("key", ["", "x" * 129, "tab\tin it", "عربي"])
def test_a_key_is_short_and_printable(hana, rt, key):
    answer = hana.app.test_client().post(
        "/api/sites",
        json=YEMEN,
        headers={"Authorization": f"Bearer {hana.token}"},
        environ_overrides={"HTTP_IDEMPOTENCY_KEY": key.encode().decode("latin-1")},
    )
    assert answer.status_code == 422 and sites(rt) == 0


def test_what_is_unknown_is_said_before_a_key_that_none_can_be(hana, omar):
    long = "x" * 129
    assert omar.post("/api/sites", YEMEN, Idempotency_Key=long).status_code == 403
    assert hana.post("/api/vouchers", {"plan_id": 999}, Idempotency_Key=long).status_code == 404


def test_without_the_permission_a_key_tells_nothing(hana, omar):
    hana.post("/api/sites", YEMEN, Idempotency_Key=KEY)
    assert omar.post("/api/sites", YEMEN, Idempotency_Key=KEY).status_code == 403


def test_a_secret_that_is_shown_once_is_shown_again_to_a_repeat_and_lies_sealed(hana, rt):
    first = hana.post("/api/keys", {"name": "till"}, Idempotency_Key=KEY).json
    assert hana.post("/api/keys", {"name": "till"}, Idempotency_Key=KEY).json == first
    kept = rt.read(lambda db: db.scalar(select(IdempotencyKey.answer)))
    assert first["key"].encode() not in kept and b"till" not in kept


def test_many_at_once_over_two_processes_make_one(hana, rt, config, clock):
    """Two processes are two runtimes on one database: on SQLite two writers, on PostgreSQL two pools."""
    other = wiring.build(config, clock=clock, rng=Random(8))
    people = [hana, Person(create_app(other), "hana", hana.token)]
    together = threading.Barrier(8)

    def order(number):
        together.wait()
        return people[number % 2].post("/api/sites", YEMEN, Idempotency_Key=KEY)

    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(order, range(8)))
    finally:
        wiring.stop(other)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 1 and sites(rt) == 1
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count("true") == 7


def test_a_process_that_dies_after_the_create_is_made_good(hana, rt, config, clock, impatient):
    command = [sys.executable, "-m", "tests.accounts.crash", str(config.data_dir), config.sqlalchemy_url]
    died = subprocess.run(
        [*command, hana.token, KEY, json.dumps(YEMEN)], check=False, timeout=60, capture_output=True, text=True
    )
    assert died.returncode == 9, died.stderr
    assert sites(rt) == 1
    early = hana.post("/api/sites", YEMEN, Idempotency_Key=KEY)  # it may still be at work, for all we know
    assert (early.status_code, error_of(early)) == (409, "idempotency_in_progress")
    clock.advance(11)
    late = hana.post("/api/sites", YEMEN, Idempotency_Key=KEY)
    assert late.status_code == 201 and late.headers["Idempotent-Replayed"] == "true"
    assert late.json["name"] == YEMEN["name"] and sites(rt) == 1
    other = hana.post("/api/sites", YEMEN | {"name": "Other"}, Idempotency_Key=KEY)
    assert (other.status_code, error_of(other)) == (409, "idempotency_conflict")


def test_a_lost_secret_cannot_be_told_anew(hana, rt, clock, impatient, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "_keep", lambda rt, used, answer: answer)
        hana.post("/api/keys", {"name": "till"}, Idempotency_Key=KEY)
    clock.advance(11)
    answer = hana.post("/api/keys", {"name": "till"}, Idempotency_Key=KEY)
    assert (answer.status_code, error_of(answer)) == (409, "idempotency_in_progress")
    assert len(hana.get("/api/keys").json["items"]) == 1


NO_CREATES = (
    "/api/auth/",
    "/api/me/",
    "/api/voucher/redeem",
    "/api/router-jobs/",
    "/api/notifications/read",
    "/api/backups",  # one at a time, whoever asks
    "/api/cards/check",
)  # nothing is made, or it is the card that is there once


def test_every_create_takes_a_key(hana, app, cast):
    """A key that can't be one is refused by whoever looks at keys, creates of later days too."""
    rules = [rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ()) and not rule.arguments]
    creates = [str(rule) for rule in rules if rule.rule.startswith("/api/") and not rule.rule.startswith(NO_CREATES)]
    refused = {
        path for path in creates if "Idempotency-Key" in faults_of(hana.post(path, {}, Idempotency_Key="k" * 200))
    }

    assert len(creates) >= 7 and sorted(set(creates) - refused) == []


def test_a_router_is_added_once(hana, cast):
    router = {"name": "Roof", "driver": "fake"}
    first, again = (hana.post("/api/routers", router, Idempotency_Key=KEY) for _ in range(2))

    assert first.json["id"] == again.json["id"] and again.headers["Idempotent-Replayed"] == "true"
    assert [one["name"] for one in hana.get("/api/routers").json["items"]].count("Roof") == 1


def test_the_key_and_the_thing_are_there_together_or_not_at_all(hana, rt):
    used = Once(hana.user_id, KEY, b"x" * 32, rt.clock.now())

    def make(db, fail):
        db.add(Site(**YEMEN, currency_decimals=0, created_at=used.now))
        used.record(db, 1)
        if fail:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rt.transact(make, True)
    assert sites(rt) == 0
    rt.transact(make, False)
    with pytest.raises(KeyTaken):
        rt.transact(make, False)
    assert sites(rt) == 1


def test_a_view_that_forgets_to_record_its_key_is_found_out(hana, rt, monkeypatch):
    monkeypatch.setattr(Once, "record", lambda self, db, subject_id: None)
    assert hana.post("/api/sites", YEMEN, Idempotency_Key=KEY).status_code == 500
