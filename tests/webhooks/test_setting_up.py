"""Setting webhooks up over the API and on the pages: the secret once, the log, and who may."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from bawaba.core.runtime import Runtime
from bawaba.core.touched import NOTES
from bawaba.webhooks.sender import sender
from tests.cast import Cast
from tests.pages.browser import Browser, words
from tests.staff import Person, error_of, faults_of
from tests.webhooks.conftest import Receiver
from tests.webhooks.test_webhooks import happen, is_signed, webhook_of

DOCS = Path(__file__).parents[2] / "docs"


def wanted(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"name": "Shop", "url": receiver.url, "events": ["router.down"], "allow_private": True} | more


def test_the_secret_is_shown_once_and_kept_sealed(hana: Person, rt: Runtime, receiver: Receiver):
    made: Any = hana.post("/api/webhooks", wanted(receiver))
    assert made.status_code == 201 and made.json["secret"].startswith("whsec_")
    secret = made.json["secret"]
    assert secret not in hana.get("/api/webhooks").text + hana.get("/api/webhooks/1").text
    assert secret.encode() not in webhook_of(rt).secret_sealed

    tested: Any = hana.post("/api/webhooks/1/test").json
    renewed: Any = hana.post("/api/webhooks/1/secret").json
    hana.post("/api/webhooks/1/test")

    assert (tested["state"], tested["status"], tested["type"]) == ("done", 200, "webhook.test")
    first, second = receiver.taken
    assert is_signed(first, secret) and is_signed(second, renewed["secret"]) and not is_signed(second, secret)


def test_a_message_is_found_in_the_log_and_sent_again(hana: Person, rt: Runtime, cast: Cast, receiver: Receiver):
    hana.post("/api/webhooks", wanted(receiver))
    receiver.status = 500
    for _ in range(3):
        happen(rt, cast.site.id)
    sender(rt).round()

    first: Any = hana.get("/api/webhooks/1/deliveries?limit=2").json
    rest: Any = hana.get(f"/api/webhooks/1/deliveries?limit=2&cursor={first['next']}").json
    assert [one["id"] for one in first["items"] + rest["items"]] == [3, 2, 1] and rest["next"] is None
    assert first["items"][0]["error"] == "not_taken" and first["items"][0]["next_try_at"] is not None

    receiver.status = 200
    again: Any = hana.post("/api/webhooks/1/deliveries/2/again").json
    assert (again["state"], again["status"], again["attempts"]) == ("done", 200, 1)
    done: Any = hana.get("/api/webhooks/1/deliveries?state=done").json
    assert [one["id"] for one in done["items"]] == [2]
    assert "state" in faults_of(hana.get("/api/webhooks/1/deliveries?state=odd"))
    assert error_of(hana.post("/api/webhooks/1/deliveries/99/again")) == "webhook_delivery_not_found"


def test_what_does_not_fit_is_named(hana: Person, receiver: Receiver):
    for wrong, field in (
        ({"url": "http://shop.example/"} | {"allow_private": False}, "url"),
        ({"url": "https://a:b@shop.example/"}, "url"),
        ({"events": ["voucher.eaten"]}, "events.0"),
        ({"events": []}, "events"),
    ):
        assert field in faults_of(hana.post("/api/webhooks", wanted(receiver, **wrong)))


def test_every_deed_is_in_the_audit_log(hana: Person, receiver: Receiver):
    hana.post("/api/webhooks", wanted(receiver))
    hana.patch("/api/webhooks/1", {"name": "Till"})
    hana.post("/api/webhooks/1/secret")
    hana.post("/api/webhooks/1/test")
    hana.post("/api/webhooks/1/deliveries/1/again")
    assert hana.delete("/api/webhooks/1").status_code == 204
    entries: Any = hana.get("/api/audit?action=webhook").json
    assert [one["action"].partition(".")[2] for one in entries["items"]] == [
        "removed", "sent_again", "tested", "secret_renewed", "changed", "added",
    ]  # fmt: skip


def test_the_pages_lead_from_setting_up_to_sending_again(
    app: Flask, hana: Person, rt: Runtime, cast: Cast, receiver: Receiver
):
    browser = Browser(app, "hana")
    assert "/webhooks" in browser.get("/notifications").text
    made = browser.post("/webhooks", wanted(receiver, allow_private="true"))
    secret = re.search(r"whsec_[\w-]+", made.text)
    assert made.status_code == 200 and secret is not None
    assert secret[0] not in browser.get("/webhooks/1").text

    assert browser.submit("/webhooks/1/test").endswith("said=webhook_sent")
    receiver.status = 500
    happen(rt, cast.site.id)
    sender(rt).round()
    log = browser.read("/webhooks/1")
    assert "It answered that it does not take it." in log and "500" in log and "router_id" in log

    assert browser.submit("/webhooks/1/deliveries/2/again").endswith("said=webhook_not_sent")
    receiver.status = 200
    assert browser.submit("/webhooks/1/deliveries/2/again").endswith("said=webhook_sent")
    assert is_signed(receiver.taken[-1], secret[0])

    refused = browser.post("/webhooks/1", {"name": "Shop", "url": "http://shop.example/", "events": ["batch.ready"]})
    assert refused.status_code == 422 and "Must begin with https://" in words(refused.text)
    browser.submit("/webhooks/1", wanted(receiver, allow_private="true", name="Till"))
    browser.submit("/webhooks/1/enabled", {"enabled": "false"})
    assert "Till" in browser.read("/webhooks") and not webhook_of(rt).enabled
    browser.submit("/webhooks/1/remove")
    assert "Till" not in browser.read("/webhooks")


def test_a_redemption_does_nothing_more_where_there_is_no_webhook(rt: Runtime, cast: Cast):
    from bawaba.core import outward

    def step(db: Any) -> set[str]:
        outward.tell(db, "voucher.redeemed", cast.site.id, dict, rt.clock.now())
        return set(db.info[NOTES])

    assert rt.transact(step) == set()


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_the_documented_check_in_python_takes_a_real_message(hana: Person, receiver: Receiver, clock):
    example = re.search(r"```python\n(.*?)```", (DOCS / "webhooks.md").read_text("utf-8"), re.S)
    made: Any = hana.post("/api/webhooks", wanted(receiver)).json
    hana.post("/api/webhooks/1/test")
    (taken,) = receiver.taken
    sent = [made["secret"], taken.headers["X-Bawaba-Timestamp"], taken.headers["X-Bawaba-Signature"]]
    assert example is not None
    program = f"{example[1]}\nimport sys\ntime.time = lambda: {clock.now().timestamp()}\n"
    program += "print(is_from_bawaba(*sys.argv[1:4], sys.stdin.buffer.read()))"
    for body, told in ((taken.body, "True"), (taken.body + b" ", "False")):
        done = subprocess.run([sys.executable, "-c", program, *sent], input=body, capture_output=True, check=True)
        assert done.stdout.decode().strip() == told
