"""An owner adds a controller: by key or by account, and is told its fingerprint before anything is sent."""

from __future__ import annotations

from tests.staff import faults_of

KEY = "a-key-of-our-own"


def facts(controller, **more):
    return {"name": "Café", "driver": "unifi", "address": "127.0.0.1", "port": controller.port} | more


def test_with_a_key_no_account_is_asked_for_and_the_key_is_never_shown(hana, cast, controllers):
    controller = controllers.start(api_key=KEY)
    added = hana.post("/api/routers", facts(controller, options={"api_key": KEY}))
    assert added.status_code == 201 and KEY not in added.text
    shown = hana.post(f"/api/routers/{added.json['id']}/test").json
    assert bytes.fromhex(controller.fingerprint).hex(":").upper() in str(shown) and controller.calls == []

    options = {"certificate": controller.fingerprint, "lan4": ["10.20.0.0/24"]}
    assert hana.patch(f"/api/routers/{added.json['id']}", {"options": options}).status_code == 200
    assert "10.6.106" in str(hana.post(f"/api/routers/{added.json['id']}/test").json)


def test_what_does_not_fit_is_named(hana, cast, unifi):
    options = {"site": "../x", "certificate": "ab", "api": "both"}
    answer = hana.post("/api/routers", facts(unifi, options=options))
    assert sorted(faults_of(answer)) == ["options.api", "options.certificate", "options.site"]


def test_the_form_says_that_the_account_may_be_left_out(hana, cast):
    page = hana.get("/routers/new?driver=unifi").text
    assert "Not needed with an API key" in page
    for name in ("username", "password", "options.api_key", "options.certificate", "options.lan4"):
        assert "required" not in page.split(f'name="{name}"')[1].split(">")[0], name
