"""What every page of the product keeps to, whoever asks for it and whatever names are in it."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from werkzeug.routing import Rule

from bawaba.core.runtime import Runtime
from bawaba.plans.models import PlanVersion
from bawaba.routers.models import Router
from bawaba.sites.models import Site
from tests.cast import Cast
from tests.pages.browser import Browser

ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{1789*1917}}{%raw%}"
EVIL = "evil.example"


def pages(app: Flask) -> list[str]:
    """Every address that can be opened without naming a thing, or with the first one."""
    adapter = app.url_map.bind("localhost")

    def path(rule: Rule) -> str:
        return adapter.build(rule.endpoint, dict.fromkeys(rule.arguments, 1))

    whole = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    return sorted({path(rule) for rule in whole if all("int:" in part for part in re.findall("<([^>]+)>", rule.rule))})


def test_every_answer_forbids_foreign_scripts_frames_and_guessed_types(app: Flask, hana: Browser, cast: Cast):
    cast.make_voucher()
    seen = 0
    for path in pages(app):
        answer = hana.open(path)
        policy = answer.headers.get("Content-Security-Policy", "")
        if path == "/logout" or answer.status_code >= 500:
            pytest.fail(f"{path}: {answer.status_code}")
        assert "default-src" in policy and "frame-ancestors 'none'" in policy, path
        assert "unsafe-eval" not in policy and "*" not in policy, path
        scripts = re.search(r"script-src ([^;]+)", policy)
        assert scripts is None or scripts[1].strip() in ("'self'", "'none'"), (path, policy)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert answer.headers["X-Frame-Options"] == "DENY", path
        if answer.mimetype == "text/html":
            seen += 1
            assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|\son[a-z]+=\"", answer.text), path
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//(?!localhost|login\.wifi|127\.)", answer.text), path
        answer.close()
    assert seen > 25


def test_names_are_text_on_every_page_and_never_templates(app: Flask, rt: Runtime, hana: Browser, cast: Cast):
    voucher = cast.make_voucher()

    def rename(db):
        db.query(Site).update({"name": ATTACK, "support": ATTACK, "wifi_name": ATTACK[:32]})
        db.query(Router).update({"name": ATTACK[:80]})
        db.query(PlanVersion).update({"name": ATTACK[:80]})

    rt.transact(rename)
    found = 0
    for path in [*pages(app), f"/cards/{voucher.id}"]:
        answer = hana.open(path)
        if answer.mimetype == "text/html":
            found += "onerror" in answer.text
            assert "<script>alert" not in answer.text and "<img src=x" not in answer.text, path
            assert "3429513" not in answer.text, path
        answer.close()
    assert found > 5  # the names were there


def test_a_foreign_host_is_in_no_answer(app: Flask, rt: Runtime, hana: Browser, cast: Cast):
    """A link that is sent to somebody must not lead to whom the sender chose (host header injection)."""
    cast.make_voucher()
    for path in pages(app):
        answer = hana.open(path, {"Host": EVIL, "X-Forwarded-Host": EVIL})
        assert EVIL not in answer.headers.get("Location", ""), path
        if answer.mimetype in ("text/html", "application/json", "application/captive+json"):
            assert EVIL not in answer.text, path
        answer.close()
