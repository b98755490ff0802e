"""Backups at a browser and over the API."""

from __future__ import annotations

import re
import time

import pytest

from bawaba.backups import key, making, runs
from bawaba.core.actor import SYSTEM
from tests.pages.browser import Browser, words
from tests.staff import app, let_in, signed_in  # noqa: F401


@pytest.fixture
def hana(app, rt, cast) -> Browser:  # noqa: F811
    let_in(rt, "hana", "admin")
    return Browser(app, "hana")


def test_the_key_is_shown_once_and_backups_begin(hana, rt):
    assert "they need a key" in hana.read("/backups")
    hana.read("/backups/key")

    shown = hana.post("/backups/key")

    assert shown.status_code == 200 and shown.headers["Cache-Control"] == "no-store"
    (identity,) = re.findall(r"AGE-SECRET-KEY-1[0-9A-Z]+", shown.text)
    assert str(key.read_identity(identity).to_public()) == rt.read(key.recipient)
    assert "AGE-SECRET-KEY" not in hana.get("/backups").text
    assert hana.submit("/backups").startswith("/backups")
    assert "about to begin" in hana.read("/backups")
    assert hana.post("/backups").status_code == 409


def test_what_was_made_is_listed_and_a_wrong_identity_puts_nothing_back(hana, rt, identity):
    run = making.make(rt, making.order(rt, SYSTEM, drill=True).id)
    text = hana.read("/backups")
    assert "Confirmed" in text and "Every row came back" in text and run.file in text

    page = f"/backups/{run.id}/restore"
    assert "another name" in hana.read(page)
    assert "encrypted to another key" in words(hana.post(page, {"identity": "nonsense"}).text)
    import pyrage

    hana.submit(page, {"identity": str(pyrage.x25519.Identity.generate())})
    until = time.monotonic() + 20
    while "Nothing has changed" not in (text := hana.read("/backups")):
        assert time.monotonic() < until, text
        time.sleep(0.05)
    assert "encrypted to another key" in text


def test_over_the_api_one_is_ordered_once_and_shown(app, rt, identity):  # noqa: F811
    hana = signed_in(app, rt, "hana", "admin")
    first = hana.post("/api/backups", {}, **{"Idempotency-Key": "one"})
    again = hana.post("/api/backups", {}, **{"Idempotency-Key": "one"})

    assert (first.status_code, again.status_code) == (202, 202)
    made = first.get_json()
    assert again.get_json()["id"] == made["id"] and made["state"] == "running"
    assert hana.post("/api/backups", {}).get_json()["error"] == "backup_running"
    making.make(rt, made["id"])
    shown = hana.get(f"/api/backups/{made['id']}").get_json()
    assert shown["state"] == "confirmed" and shown["stored_at"][0]["store"] == "local"
    assert shown["size_bytes"] > 0 and len(shown["sha256"]) == 64 and "error" not in shown
    assert [item["id"] for item in hana.get("/api/backups").get_json()["items"]] == [made["id"]]
    assert rt.read(runs.running) is None
