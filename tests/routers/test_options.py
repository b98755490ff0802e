"""Each make asks for what it needs, refuses what it does not know, and gets its secrets opened."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from bawaba.routers import told
from bawaba.routers.links import driver_class, known_drivers
from bawaba.routers.models import Router
from bawaba.routers.options import guest_networks, options_of
from tests.staff import error_of, faults_of

ACME = {"name": "Roof", "driver": "acme", "address": "10.0.0.1", "username": "bawaba", "password": "pw-of-acme"}
KEY = "a-key-of-acme"
LINUX = {"name": "Gateway", "driver": "linux", "address": "/run/bawaba/gateway.sock"}
FAKE = {"name": "Café", "driver": "fake"}


def probe(hana, router_id):
    """What the driver was told, as it tells it itself."""
    return hana.post(f"/api/routers/{router_id}/test").json


@pytest.fixture
def roof(hana, cast, acme):
    """A router of ACME with its key."""
    return hana.post("/api/routers", ACME | {"options": {"faskey": KEY, "poll_s": 9}}).json


class TestWhatIsAskedFor:
    def test_a_make_names_what_is_missing_to_reach_it(self, hana, cast, acme):
        answer = hana.post("/api/routers", {"name": "Roof", "driver": "acme", "options": {"faskey": KEY}})

        assert answer.status_code == 422 and sorted(faults_of(answer)) == ["address", "password", "username"]

    def test_a_make_that_needs_nothing_gets_along_with_its_name(self, hana, cast):
        assert hana.post("/api/routers", FAKE).status_code == 201

    def test_linux_asks_where_its_guests_are(self, hana, cast):
        answer = hana.post("/api/routers", LINUX)

        assert answer.status_code == 422 and list(faults_of(answer)) == ["options.lan4"]

    def test_an_unknown_option_is_refused_with_the_known_ones(self, hana, cast):
        answer = hana.post("/api/routers", FAKE | {"options": {"lan_4": "10.0.0.0/8"}})

        assert answer.status_code == 422 and error_of(answer) == "invalid"
        ((name, (fault,)),) = faults_of(answer).items()
        assert name == "options.lan_4" and fault.startswith("unknown option; known: lan4, lan6, traffic, fail,")

    @pytest.mark.parametrize(
        ("name", "value"),
        [("lan4", "café"), ("lan4", "fd00::/64"), ("lan4", 7), ("lan4", [7.5, {}]), ("lan6", "10.0.0.0/8"),
         ("delay_s", -1), ("fail", "sometimes"), ("traffic", "perhaps"), ("fail_verbs", {"admit": 1})],
    )  # fmt: skip
    def test_a_value_that_does_not_fit_is_named(self, hana, cast, name, value):
        answer = hana.post("/api/routers", FAKE | {"options": {name: value}})

        assert answer.status_code == 422 and [path.split(".")[1] for path in faults_of(answer)] == [name]

    def test_networks_are_kept_as_a_list_however_they_are_written(self, hana, cast):
        options = {"lan4": "10.77.0.9/24, 10.78.0.0/16", "lan6": ["fd77::1/64"]}
        made = hana.post("/api/routers", LINUX | {"options": options}).json

        assert made["options"] == {"lan4": ["10.77.0.0/24", "10.78.0.0/16"], "lan6": ["fd77::/64"]}


class TestChanging:
    def test_options_are_checked_on_a_change_too(self, hana, cast):
        answer = hana.patch(f"/api/routers/{cast.router.id}", json={"options": {"nonsense": 1}})

        assert answer.status_code == 422 and list(faults_of(answer)) == ["options.nonsense"]

    def test_a_change_that_names_no_options_leaves_them(self, hana, cast, roof):
        changed = hana.patch(f"/api/routers/{roof['id']}", json={"name": "Tower"}).json

        assert changed["options"] == {"poll_s": 9} and probe(hana, roof["id"])["version"] == KEY

    def test_a_router_from_before_there_were_options_can_still_be_renamed(self, hana, cast):
        old = cast.make_router(cast.site.id, driver="linux", options={"anything": 1})

        assert hana.patch(f"/api/routers/{old.id}", json={"name": "Old"}).status_code == 200

    def test_another_make_keeps_what_it_knows_and_no_secret(self, hana, cast, roof):
        hana.patch(f"/api/routers/{roof['id']}", json={"options": {"lan4": "10.9.0.0/24", "poll_s": 3}})
        changed = hana.patch(f"/api/routers/{roof['id']}", json={"driver": "linux"}).json

        assert changed["options"] == {"lan4": ["10.9.0.0/24"]} and changed["secret_options"] == []

    def test_another_make_asks_for_what_it_needs(self, hana, cast, acme):
        answer = hana.patch(f"/api/routers/{cast.router.id}", json={"driver": "acme", "options": {"faskey": KEY}})

        assert answer.status_code == 422 and sorted(faults_of(answer)) == ["password", "username"]


class TestSecrets:
    def test_the_driver_gets_a_secret_opened_and_nobody_else_sees_it(self, hana, cast, roof):
        told_by_driver = probe(hana, roof["id"])
        seen = [roof, hana.get(f"/api/routers/{roof['id']}").json, hana.get("/api/routers").json]

        assert told_by_driver["version"] == KEY and told_by_driver["notes"] == ["api", "9"]
        assert roof["secret_options"] == ["faskey"] and roof["options"] == {"poll_s": 9}
        assert KEY not in json.dumps(seen)

    def test_a_secret_lies_sealed_in_the_database(self, rt, hana, cast, roof):
        row = rt.read(lambda db: db.execute(text("SELECT * FROM router WHERE id = :id"), {"id": roof["id"]}).one())

        assert KEY not in repr(tuple(row)) and KEY not in repr(cast.row(Router, roof["id"]).secrets_sealed)

    def test_a_secret_that_is_left_out_stays_and_null_forgets_it(self, hana, cast, roof):
        path = f"/api/routers/{roof['id']}"
        hana.patch(path, json={"options": {"spare_key": "second"}})
        assert probe(hana, roof["id"])["board"] == "second" and probe(hana, roof["id"])["version"] == KEY

        changed = hana.patch(path, json={"options": {"spare_key": None}}).json
        assert changed["secret_options"] == ["faskey"]

    def test_a_secret_that_is_needed_cannot_be_forgotten(self, hana, cast, roof):
        answer = hana.patch(f"/api/routers/{roof['id']}", json={"options": {"faskey": ""}})

        assert list(faults_of(answer)) == ["options.faskey"]

    def test_a_refusal_does_not_repeat_the_secret(self, hana, cast, acme):
        answer = hana.post("/api/routers", ACME | {"options": {"faskey": "short!"}})

        assert list(faults_of(answer)) == ["options.faskey"] and "short!" not in answer.text


class TestStored:
    def test_options_of_an_older_version_do_not_reach_the_driver(self):
        assert told.for_driver(driver_class("fake"), {"traffic": True, "old": 1}, {}) == {"traffic": True}

    def test_networks_are_read_as_a_list_or_as_one_text(self):
        of_before = guest_networks({"lan4": "10.77.0.0/24", "lan6": "fd77::/64", "traffic": True})
        of_today = guest_networks({"lan4": ["10.77.0.0/24"], "lan6": ["fd77::/64"]})

        assert of_before == of_today and len(of_today) == 2
        assert guest_networks({"lan4": "café", "lan6": None}) == ()

    @pytest.mark.parametrize("make", known_drivers())
    def test_every_make_says_its_options_in_words(self, make):
        for option in options_of(driver_class(make).Options):
            assert option.title.lower() != option.name, option
