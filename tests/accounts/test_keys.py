"""Personal keys for programs."""

import pytest

from tests.staff import PASSWORD, error_of, faults_of


@pytest.fixture
def keyed(hana):
    """Makes a key of Hana's with some permissions and gives its bearer."""

    def make(permissions=None, name="metrics"):
        body = {"name": name} if permissions is None else {"name": name, "permissions": permissions}
        made = hana.post("/api/keys", body)
        assert made.status_code == 201 and made.json["key"].startswith("bwk_")
        bearer = type(hana)(hana.app, "hana", made.json["key"], user_id=made.json["id"])
        return bearer

    return make


def test_a_key_may_do_what_it_was_given(keyed):
    metrics = keyed(["audit:read"])
    assert metrics.get("/api/audit").status_code == 200
    refused = metrics.get("/api/users")
    assert (refused.status_code, error_of(refused)) == (403, "forbidden")
    assert metrics.get("/api/me").json["permissions"] == ["audit:read"]


def test_a_key_without_a_choice_may_all_that_its_owner_may(keyed, hana):
    assert keyed().get("/api/me").json["permissions"] == hana.get("/api/me").json["permissions"]


def test_a_key_never_may_more_than_its_owner_may_now(hana, omar):
    omar.token, kept = omar.post("/api/keys", {"name": "till"}).json["key"], omar.token
    assert "vouchers:create" in omar.get("/api/me").json["permissions"]
    hana.patch(f"/api/users/{omar.user_id}", {"role": "viewer"})
    assert "vouchers:create" not in omar.get("/api/me").json["permissions"]
    hana.patch(f"/api/users/{omar.user_id}", {"role": "admin"})
    assert "users:write" not in omar.get("/api/me").json["permissions"]  # nor more than it was given
    omar.token = kept
    assert "users:write" in omar.get("/api/me").json["permissions"]


def test_nobody_gives_a_key_what_they_do_not_have(omar):
    answer = omar.post("/api/keys", {"name": "till", "permissions": ["vouchers:read", "users:write"]})
    assert list(faults_of(answer)) == ["permissions"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/keys", {"name": "more"}),
        ("DELETE", "/api/keys/1", None),
        ("PATCH", "/api/me", {"language": "ar"}),
        ("POST", "/api/me/password", {"old_password": PASSWORD, "new_password": "another-lantern-8"}),
        ("POST", "/api/me/totp", {"password": PASSWORD}),
        ("DELETE", "/api/me/totp", {"password": PASSWORD}),
    ],
)
def test_a_key_cannot_become_more_than_it_is(keyed, method, path, body):
    answer = keyed(["audit:read"]).ask(method, path, body)
    assert (answer.status_code, error_of(answer)) == (403, "needs_sign_in")


def test_a_key_is_shown_once(keyed, hana):
    secret = keyed().token
    listed = hana.get("/api/keys")
    assert secret not in listed.get_data(as_text=True)
    assert [key["name"] for key in listed.json["items"]] == ["metrics"]


def test_a_key_ends_when_its_owner_says_so(keyed, hana):
    metrics = keyed()
    assert metrics.get("/api/me").status_code == 200
    assert hana.delete(f"/api/keys/{metrics.user_id}").status_code == 204
    assert metrics.get("/api/me").status_code == 401
    assert hana.get("/api/keys").json["items"] == []
    assert hana.delete(f"/api/keys/{metrics.user_id}").status_code == 404


def test_keys_are_ones_own(keyed, hana, omar):
    key = keyed()
    assert omar.get("/api/keys").json["items"] == []
    assert omar.delete(f"/api/keys/{key.user_id}").status_code == 404
    assert key.get("/api/me").status_code == 200


def test_a_key_ends_with_its_owner(hana, omar):
    omar.token = omar.post("/api/keys", {"name": "till"}).json["key"]
    hana.patch(f"/api/users/{omar.user_id}", {"disabled": True})
    assert omar.get("/api/me").status_code == 401


def test_the_last_use_of_a_key_is_known_to_the_minute(keyed, hana, clock):
    metrics = keyed()
    clock.advance(120)
    metrics.get("/api/me")
    shown = hana.get("/api/keys").json["items"][0]["used_at"]
    clock.advance(30)
    metrics.get("/api/me")
    assert shown == hana.get("/api/keys").json["items"][0]["used_at"] is not None
    clock.advance(60)
    metrics.get("/api/me")
    assert hana.get("/api/keys").json["items"][0]["used_at"] > shown
