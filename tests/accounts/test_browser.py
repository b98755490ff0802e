"""Signing in with a browser: the login page, its cookie, and the forms that it guards."""

import re

import pytest

from bawaba.accounts import authentication
from tests.staff import PASSWORD, error_of, let_in

OURS = {"Origin": "http://localhost"}


@pytest.fixture
def browser(app, rt):
    """A browser without a cookie; Hana exists."""
    let_in(rt, "hana", "admin")
    return app.test_client()


def sign_in(browser, path="/api/auth/login", headers=OURS, **form):
    typed = {"username": "hana", "password": PASSWORD, **form}
    return browser.post(path, data=typed, headers=headers)


def csrf_of(browser) -> str:
    """The token in the pages' forms."""
    rt = browser.application.extensions["bawaba"]
    cookie = browser.get_cookie(authentication.COOKIE)
    found = rt.read(authentication.caller_of_cookie, rt, cookie.value)
    return found.csrf


@pytest.mark.parametrize(("lang", "direction", "word"), [("ar", "rtl", "تسجيل الدخول"), ("en", "ltr", "Sign in")])
def test_the_login_page_speaks_both_languages(browser, lang, direction, word):
    page = browser.get(f"/login?lang={lang}")
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert f'<html lang="{lang}" dir="{direction}">' in text and word in text
    assert 'name="username"' in text and 'autocomplete="current-password"' in text


@pytest.mark.parametrize("path", ["/api/auth/login", "/login"])
def test_the_form_leads_to_the_dashboard_with_a_cookie(browser, path):
    answer = sign_in(browser, path)
    cookie = answer.headers["Set-Cookie"]
    assert answer.status_code == 303 and answer.headers["Location"] == "/dashboard"
    assert cookie.startswith("bawaba_login=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert "Secure" not in cookie  # on http
    assert browser.get("/api/me").json["username"] == "hana"
    assert browser.get("/login").headers["Location"] == "/dashboard"


def test_over_https_the_cookie_is_secure(browser):
    answer = browser.post(
        "/login",
        data={"username": "hana", "password": PASSWORD},
        headers={"Origin": "https://localhost"},
        base_url="https://localhost",
    )
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_wrong_password_shows_the_form_again_with_the_name(browser):
    answer = sign_in(browser, password="wrong-password")
    text = answer.get_data(as_text=True)
    assert answer.status_code == 401 and answer.mimetype == "text/html" and "Set-Cookie" not in answer.headers
    assert 'value="hana"' in text and "The user name, the password or the code is wrong." in text
    assert "wrong-password" not in text


def test_a_name_is_shown_as_text_and_nothing_else(browser):
    answer = sign_in(browser, username='"><script>alert(1)</script>', password="wrong-password")
    assert "<script>alert" not in answer.get_data(as_text=True)


def test_an_empty_form_says_what_to_do(browser):
    answer = sign_in(browser, username="")
    assert answer.status_code == 422 and "Type both" in answer.get_data(as_text=True)


def test_after_too_many_tries_the_page_says_how_long_to_wait(browser):
    for _ in range(10):
        sign_in(browser, password="wrong-password")
    answer = sign_in(browser)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0
    assert re.search(r"Wait \d+ seconds", answer.get_data(as_text=True))


@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [("/cards?q=B042", "/cards?q=B042"), ("//evil.example", "/dashboard"), ("https://evil.example/", "/dashboard"),
     ("/\\evil.example", "/dashboard"), ("/login?next=/login", "/dashboard"), ("/api/me", "/dashboard")],
)  # fmt: skip
def test_the_way_on_is_a_page_of_ours(browser, wanted, led_to):
    assert sign_in(browser, next=wanted).headers["Location"] == led_to


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost.evil.example"},
     {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/login", "/api/auth/login"])
def test_a_page_of_somebody_else_cannot_sign_a_browser_in(browser, headers, path):
    answer = sign_in(browser, path, headers)
    assert answer.status_code == 403 and "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [OURS, {"Origin": "https://localhost"}, {"Origin": "http://login.wifi"}, {"Sec-Fetch-Site": "same-origin"}, {}],
)
def test_our_own_page_can(browser, headers):
    assert sign_in(browser, headers=headers).status_code == 303


def test_a_write_by_cookie_must_prove_that_it_comes_from_our_page(browser):
    sign_in(browser)
    body = {"name": "Café", "time_zone": "Asia/Aden", "currency": "YER"}
    refused = browser.post("/api/sites", json=body)
    assert (refused.status_code, error_of(refused)) == (403, "csrf_failed")
    assert browser.post("/api/sites", json=body, headers={"X-CSRF-Token": "guess"}).status_code == 403
    assert browser.post("/api/sites", json=body, headers={"X-CSRF-Token": csrf_of(browser)}).status_code == 201


def test_each_login_has_a_token_of_its_own(browser, app):
    other = app.test_client()
    sign_in(browser)
    sign_in(other)
    assert csrf_of(browser) != csrf_of(other)
    body = {"name": "Café", "time_zone": "Asia/Aden", "currency": "YER"}
    assert browser.post("/api/sites", json=body, headers={"X-CSRF-Token": csrf_of(other)}).status_code == 403


def test_signing_out_ends_the_cookie_and_a_copy_of_it(browser, app):
    sign_in(browser)
    copy = browser.get_cookie(authentication.COOKIE).value
    token = csrf_of(browser)
    assert browser.post("/sign-out").status_code == 403  # another page could not do it
    answer = browser.post("/sign-out", data={"csrf_token": token})
    assert answer.status_code == 303 and answer.headers["Location"] == "/login"
    thief = app.test_client()
    thief.set_cookie(authentication.COOKIE, copy)
    assert thief.get("/api/me").status_code == 401


def test_a_page_can_log_out_over_the_api_too(browser):
    sign_in(browser)
    assert browser.post("/api/auth/logout").status_code == 403
    assert browser.post("/api/auth/logout", headers={"X-CSRF-Token": csrf_of(browser)}).status_code == 204
    assert browser.get("/api/me").status_code == 401


def test_a_login_that_nobody_uses_ends(browser, clock):
    sign_in(browser)
    clock.advance(11 * 3600)
    assert browser.get("/api/me").status_code == 200
    clock.advance(11 * 3600)
    assert browser.get("/api/me").status_code == 200
    clock.advance(12 * 3600 + 1)
    assert browser.get("/api/me").status_code == 401


def test_a_login_ends_after_a_week_however_much_it_is_used(browser, clock):
    sign_in(browser)
    for _ in range(7 * 24 // 8 - 1):
        clock.advance(8 * 3600)
        assert browser.get("/api/me").status_code == 200
    clock.advance(8 * 3600 + 1)
    assert browser.get("/api/me").status_code == 401


def test_a_token_that_does_not_hold_is_not_made_good_by_a_cookie(browser):
    sign_in(browser)
    assert browser.get("/api/me", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert browser.get("/api/me", headers={"Authorization": "Basic aGFuYTp4"}).status_code == 401


@pytest.mark.parametrize("cookie", ["", "nonsense", "ي", "x" * 3000])
def test_a_cookie_that_is_not_ours_opens_nothing(app, cookie):
    browser = app.test_client()
    browser.set_cookie(authentication.COOKIE, cookie)
    assert browser.get("/api/me").status_code == 401


def test_the_cookie_is_not_in_the_database(browser, rt):
    from bawaba.accounts.models import Login

    sign_in(browser)
    value = browser.get_cookie(authentication.COOKIE).value
    digest = rt.read(lambda db: db.query(Login.digest).scalar())
    assert value.encode() not in digest and len(digest) == 32


def test_sockets_know_who_a_cookie_or_token_speaks_for_and_until_when(browser, rt, app):
    sign_in(browser)
    cookie = browser.get_cookie(authentication.COOKIE).value
    tokens = app.test_client().post("/api/auth/login", json={"username": "hana", "password": PASSWORD}).json
    by_cookie = rt.read(authentication.caller_of_cookie, rt, cookie)
    by_token = rt.read(authentication.caller_of_token, rt, tokens["access_token"])
    assert by_cookie.actor.username == by_token.actor.username == "hana"
    assert (by_token.expires_at - rt.clock.now()).total_seconds() == 900
    assert (by_cookie.expires_at - rt.clock.now()).total_seconds() == 12 * 3600
    for read, value in ((authentication.caller_of_cookie, "x"), (authentication.caller_of_token, "x")):
        assert rt.read(read, rt, value) is None
    assert rt.read(authentication.caller_of_token, rt, cookie) is None


@pytest.fixture
def first_admin(app, rt):
    """A browser in front of a new installation; whoever made it chose no language."""
    let_in(rt, "hana", "admin", language=None)
    return app.test_client()


def page_language(browser, **headers) -> str:
    page = browser.get("/account", headers=headers).get_data(as_text=True)
    return re.findall(r'<html lang="(\w+)"', page)[0]


@pytest.mark.parametrize(("accepted", "language"), [("en-GB,en", "en"), ("ar-YE,ar;q=0.9,en;q=0.1", "ar")])
def test_the_first_sign_in_goes_on_in_the_login_pages_language(first_admin, accepted, language):
    sign_in(first_admin, headers={**OURS, "Accept-Language": accepted})
    assert first_admin.get("/api/me").json["language"] == language
    other = {"en": "ar", "ar": "en"}[language]
    assert page_language(first_admin, **{"Accept-Language": other}) == language


def test_the_language_that_was_switched_to_on_the_login_page_stays_theirs(browser):
    page = browser.get("/login?lang=ar").get_data(as_text=True)
    action = re.findall(r'action="([^"]+)"', page)[0]
    wrong = sign_in(browser, action, password="wrong-password", headers={**OURS, "Accept-Language": "en"})
    assert '<html lang="ar"' in wrong.get_data(as_text=True)
    assert 'href="/login?lang=en' in wrong.get_data(as_text=True)
    sign_in(browser, action, headers={**OURS, "Accept-Language": "en"})
    assert browser.get("/api/me").json["language"] == "ar"


def test_another_browsers_language_does_not_change_the_persons_own(app, browser):
    sign_in(browser, headers={**OURS, "Accept-Language": "ar"})
    assert browser.get("/api/me").json["language"] == "en"


def test_after_signing_out_the_login_page_speaks_as_the_pages_did(browser):
    sign_in(browser, headers={**OURS, "Accept-Language": "ar"})
    browser.post("/account/language", data={"csrf_token": csrf_of(browser), "language": "ar"})
    browser.post("/sign-out", data={"csrf_token": csrf_of(browser)})
    page = browser.get("/login", headers={"Accept-Language": "en"}).get_data(as_text=True)
    assert '<html lang="ar"' in page
