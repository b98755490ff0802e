"""Letting people in, changing what they may do, and letting them go."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from bawaba.accounts import passwords, people
from bawaba.accounts.models import Login, User
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from tests.cast import person as actor_of_role
from tests.staff import PASSWORD, YEMEN, Person, error_of, faults_of, let_in

NEW = {"username": "Omar", "password": PASSWORD, "role": "operator"}


def test_the_first_start_makes_an_admin_with_a_password_shown_once(rt, app):
    shown = people.ensure_admin(rt)
    assert shown is not None and len(shown) == 19 and people.ensure_admin(rt) is None
    admin: Any = Person(app, "admin")
    assert admin.sign_in(shown).status_code == 200
    assert admin.get("/api/me").json["role"] == "admin"
    assert people.ensure_admin(rt) is None and admin.sign_in(shown).status_code == 200  # valid until changed


def test_a_chosen_first_password_is_not_shown(rt, app):
    rt.config = rt.config.model_copy(update={"admin_username": "Owner", "admin_password": "my-own-password"})
    assert people.ensure_admin(rt) is None
    assert Person(app, "owner").sign_in("my-own-password").status_code == 200


def test_two_first_starts_at_once_make_one_admin(rt):
    with ThreadPoolExecutor(4) as pool:
        shown = [password for password in pool.map(lambda _: people.ensure_admin(rt), range(4)) if password]
    assert len(shown) == 1 and len(rt.read(lambda db: db.scalars(select(User)).all())) == 1


def test_passwords_that_are_made_up_differ_and_can_be_read_off_a_screen():
    many = {passwords.made_up() for _ in range(1000)}
    assert len(many) == 1000
    assert not set("".join(many)) & set("ilo01 ")


def test_an_admin_lets_an_operator_in(hana):
    answer = hana.post("/api/users", NEW)
    user = answer.json
    assert answer.status_code == 201
    assert {**user, "id": 0, "created_at": "", "permissions": []} == {
        "id": 0, "username": "omar", "role": "operator", "permissions": [], "language": "ar", "site_ids": [],
        "disabled": False, "totp": False, "created_at": "",
    }  # fmt: skip
    assert hana.get(f"/api/users/{user['id']}").json == user
    assert hana.get("/api/users").json["items"][0] == user
    assert Person(hana.app, "omar").sign_in().status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [("username", "two words"), ("username", ""), ("password", "short"), ("password", "changeme"), ("role", "janitor"),
     ("language", "xx"), ("site_ids", [99]), ("site_ids", [2**63]), ("role", None), ("more", 1), ("username", "a\0b")],
)  # fmt: skip
def test_what_does_not_fit_is_named(hana, field, value):
    found = faults_of(hana.post("/api/users", NEW | {field: value}))
    assert any(name.startswith((field, "body")) for name in found)


def test_two_people_have_two_names(hana, omar):
    for name in ("omar", "OMAR", "ｏｍａｒ"):
        answer = hana.post("/api/users", NEW | {"username": name})
        assert (answer.status_code, error_of(answer)) == (409, "username_taken")
    answer = hana.patch(f"/api/users/{omar.user_id}", {"username": "Hana"})
    assert (answer.status_code, error_of(answer)) == (409, "username_taken")


def test_what_is_left_out_stays(hana, omar):
    before = hana.get(f"/api/users/{omar.user_id}").json
    after = hana.patch(f"/api/users/{omar.user_id}", {"language": "ar"}).json
    assert after == before | {"language": "ar"}
    assert hana.patch(f"/api/users/{omar.user_id}", {}).json == after


@pytest.mark.parametrize("field", ["username", "password", "role", "language", "site_ids", "disabled"])
def test_nothing_of_a_person_can_be_no_value(hana, omar, field):
    assert list(faults_of(hana.patch(f"/api/users/{omar.user_id}", {field: None}))) == [field]


def test_a_password_given_by_an_admin_ends_the_sign_ins(hana, omar):
    assert hana.patch(f"/api/users/{omar.user_id}", {"password": "another-lantern-8"}).status_code == 200
    assert omar.get("/api/me").status_code == 401
    assert omar.sign_in("another-lantern-8").status_code == 200


def test_who_is_renamed_signs_in_under_the_new_name(hana, omar):
    assert hana.patch(f"/api/users/{omar.user_id}", {"username": "Umar"}).json["username"] == "umar"
    assert omar.sign_in().status_code == 401
    assert Person(hana.app, "umar").sign_in().status_code == 200


def test_who_was_disabled_can_come_back(hana, omar):
    assert hana.patch(f"/api/users/{omar.user_id}", {"disabled": True}).json["disabled"] is True
    assert hana.patch(f"/api/users/{omar.user_id}", {"disabled": False}).json["disabled"] is False
    assert omar.get("/api/me").status_code == 401  # the old sign-ins do not
    assert omar.sign_in().status_code == 200


def test_a_person_who_goes_is_gone_and_their_name_is_free(hana, omar):
    key = omar.post("/api/keys", {"name": "till"}).json["key"]
    assert hana.delete(f"/api/users/{omar.user_id}").status_code == 204
    assert omar.get("/api/me").status_code == 401 and omar.sign_in().status_code == 401
    omar.token = key
    assert omar.get("/api/me").status_code == 401
    for answer in (hana.get(f"/api/users/{omar.user_id}"), hana.delete(f"/api/users/{omar.user_id}")):
        assert answer.status_code == 404
    assert "omar" not in {user["username"] for user in hana.get("/api/users").json["items"]}
    again = hana.post("/api/users", NEW)
    assert again.status_code == 201 and again.json["id"] != omar.user_id


def test_the_audit_log_keeps_the_name_of_who_has_gone(hana, omar):
    hana.delete(f"/api/users/{omar.user_id}")
    entry = hana.get("/api/audit?action=user.removed").json["items"][0]
    assert (entry["actor"], entry["facts"]["username"]) == ("hana", "omar")


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"disabled": True}])
def test_the_last_admin_stays(hana, omar, change):
    answer = hana.patch(f"/api/users/{hana.user_id}", change)
    assert (answer.status_code, error_of(answer)) == (409, "last_admin")
    removed = hana.delete(f"/api/users/{hana.user_id}")
    assert (removed.status_code, error_of(removed)) == (409, "last_admin")
    hana.patch(f"/api/users/{omar.user_id}", {"role": "admin"})
    assert hana.patch(f"/api/users/{hana.user_id}", change).status_code == 200


def test_a_disabled_admin_is_no_admin_to_count_on(hana, omar):
    hana.patch(f"/api/users/{omar.user_id}", {"role": "admin", "disabled": True})
    assert hana.delete(f"/api/users/{hana.user_id}").status_code == 409


@pytest.mark.parametrize("round_", range(3))
def test_of_two_admins_who_remove_each_other_one_stays(rt: Runtime, round_):
    ids = [let_in(rt, "hana", "admin"), let_in(rt, "sara", "admin")]
    together = threading.Barrier(2)

    def remove(other):
        together.wait()
        try:
            people.remove_person(rt, actor_of_role("admin", user_id=sum(ids) - other), other)
        except Problem as problem:
            return problem.code
        return "removed"

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(remove, ids))
    assert answers == ["last_admin", "removed"]


def test_nobody_gives_more_than_they_are(rt):
    """Whatever permissions a later role has: an operator with `users:write` makes no admin of themselves."""
    own = let_in(rt, "omar", "operator")
    boss = let_in(rt, "hana", "admin")
    omar = actor_of_role("operator", user_id=own)
    for user_id, change in ((own, {"role": "admin"}), (boss, {"password": "another-lantern-8"})):
        with pytest.raises(Problem) as refused:
            people.change_person(rt, omar, user_id, change)
        assert refused.value.code == "role_too_high"
    with pytest.raises(Problem):
        people.add_person(rt, omar, people.NewPerson("friend", PASSWORD, "admin"))
    with pytest.raises(Problem):
        people.remove_person(rt, omar, boss)


def test_people_may_choose_their_own_language_and_nothing_else(vera):
    assert vera.patch("/api/me", {"language": "ar"}).json["language"] == "ar"
    assert list(faults_of(vera.patch("/api/me", {"language": "xx"}))) == ["language"]
    assert list(faults_of(vera.patch("/api/me", {"language": "ar", "role": "admin"}))) == ["role"]


# Sites


def test_the_first_site_is_where_everybody_works(hana, omar):
    assert omar.get("/api/me").json["site_ids"] == []
    first = hana.post("/api/sites", YEMEN).json["id"]
    second = hana.post("/api/sites", YEMEN).json["id"]
    omar.sign_in()
    assert omar.get("/api/me").json["site_ids"] == [first]
    assert hana.get("/api/me").json["site_ids"] == [first, second]


def test_with_one_site_nothing_need_be_said_and_with_two_it_must(hana):
    first = hana.post("/api/sites", YEMEN).json["id"]
    assert hana.post("/api/users", NEW).json["site_ids"] == [first]
    second = hana.post("/api/sites", YEMEN).json["id"]
    assert list(faults_of(hana.post("/api/users", NEW | {"username": "ali"}))) == ["site_ids"]
    chosen = hana.post("/api/users", NEW | {"username": "ali", "site_ids": [second, first, second]})
    assert chosen.json["site_ids"] == [first, second]
    assert hana.post("/api/users", NEW | {"username": "sara", "role": "admin"}).status_code == 201


def test_an_admin_who_steps_down_needs_a_site(hana):
    hana.post("/api/sites", YEMEN)
    hana.post("/api/sites", YEMEN)
    sara = hana.post("/api/users", NEW | {"username": "sara", "role": "admin"}).json["id"]
    assert list(faults_of(hana.patch(f"/api/users/{sara}", {"role": "operator"}))) == ["site_ids"]
    assert hana.patch(f"/api/users/{sara}", {"role": "operator", "site_ids": [2]}).json["site_ids"] == [2]


def test_people_come_in_pages(hana, rt):
    for number in range(5):
        let_in(rt, f"person-{number}", "viewer")
    first = hana.get("/api/users?limit=4").json
    rest = hana.get(f"/api/users?limit=4&cursor={first['next']}").json
    names = [user["username"] for user in first["items"] + rest["items"]]
    assert names == [f"person-{number}" for number in (4, 3, 2, 1, 0)] + ["hana"]
    assert rest["next"] is None
    for wrong in ("limit=0", "limit=501", "limit=x", "cursor=x"):
        assert hana.get(f"/api/users?{wrong}").status_code == 422


def test_a_person_that_no_database_could_hold_is_not_there(hana):
    assert hana.get(f"/api/users/{10**30}").status_code == 404


def test_the_command_line_lets_people_in(rt, app):
    shown = people.add_user(rt, "Omar", "operator")
    assert Person(app, "omar").sign_in(shown).status_code == 200


def test_no_password_and_no_token_is_in_the_audit_log_or_the_database(hana, rt):
    hana.post("/api/users", NEW)
    key = hana.post("/api/keys", {"name": "till"}).json["key"]
    rows = str(hana.get("/api/audit").json)
    assert PASSWORD not in rows and key not in rows
    digests = rt.read(lambda db: db.scalars(select(Login.digest)).all())
    assert all(hana.refresh_token.encode() not in digest for digest in digests)
