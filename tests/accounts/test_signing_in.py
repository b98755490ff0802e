"""Signing in for programs: names and passwords, tokens, and what slows a guesser down."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pyotp
import pytest
from sqlalchemy import select, update
from werkzeug.security import generate_password_hash

from bawaba.accounts import passwords, people, signing_in
from bawaba.accounts.errors import SignInBusy, TokenReused
from bawaba.accounts.models import Login, SignInTry, User
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from tests.staff import PASSWORD, Person, error_of, faults_of, let_in, signed_in

ELSEWHERE = "198.51.100.7"


@pytest.fixture
def checked(monkeypatch):
    """Counts the passwords that were really looked at."""
    looked: list[str] = []
    real = passwords.check_password_hash

    def counting(stored, password):
        looked.append(stored)
        return real(stored, password)

    monkeypatch.setattr(passwords, "check_password_hash", counting)
    return looked


def test_a_name_and_a_password_become_tokens_and_no_cookie(app, rt):
    let_in(rt, "hana", "admin")
    answer = Person(app, "Hana ").sign_in()
    body: Any = answer.json
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in", "user"}
    assert body["user"] == {"id": body["user"]["id"], "username": "hana", "role": "admin"}
    assert body["expires_in"] == 900


def test_the_access_token_opens_the_api(hana, omar):
    me = hana.get("/api/me").json
    assert (me["username"], me["role"], me["language"]) == ("hana", "admin", "en")
    assert "users:write" in me["permissions"]
    assert hana.get("/api/users").status_code == 200
    assert omar.get("/api/users").status_code == 403


def test_a_wrong_password_and_an_unknown_name_look_the_same(app, rt, checked):
    let_in(rt, "hana", "admin")
    wrong = Person(app, "hana").sign_in("not-it-at-all")
    unknown = Person(app, "nobody").sign_in("not-it-at-all")
    disabled = Person(app, "gone")
    let_in(rt, "gone", "viewer")
    rt.transact(lambda db: db.execute(update(User).where(User.username == "gone").values(disabled_at=rt.clock.now())))
    barred = disabled.sign_in()
    assert {answer.status_code for answer in (wrong, unknown, barred)} == {401}
    assert {error_of(answer) for answer in (wrong, unknown, barred)} == {"bad_credentials"}
    assert len(checked) == 3  # as much work for a name that nobody has


def test_what_is_missing_is_named(app):
    answer = app.test_client().post("/api/auth/login", json={"username": "hana"})
    assert list(faults_of(answer)) == ["password"]


@pytest.mark.parametrize("method", ["scrypt", "pbkdf2:sha256:1000"])
def test_a_hash_of_werkzeug_is_taken_and_made_anew(app, rt, method):
    let_in(rt, "hana", "admin")
    old = generate_password_hash(PASSWORD, method=method)
    rt.transact(lambda db: db.execute(update(User).values(password_hash=old)))
    assert Person(app, "hana").sign_in("wrong-one-here").status_code == 401
    assert Person(app, "hana").sign_in().status_code == 200
    assert rt.read(lambda db: db.scalar(select(User.password_hash))).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert Person(app, "hana").sign_in().status_code == 200


# Tokens


def test_an_access_token_ends_after_a_quarter_of_an_hour(hana, clock):
    clock.advance(899)
    assert hana.get("/api/me").status_code == 200
    clock.advance(2)
    answer = hana.get("/api/me")
    assert (answer.status_code, error_of(answer)) == (401, "unauthenticated")


def forged(rt: Runtime, token: str, key: bytes | str, algorithm: str, **claims: object) -> str:
    said = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**said, **claims}, key, algorithm=algorithm)


@pytest.mark.filterwarnings("ignore:The HMAC key")
def test_only_tokens_that_we_signed_for_ourselves_count(hana, omar, rt):
    key = rt.keyring.token_key
    ours = forged(rt, hana.token, key, "HS256")
    forgeries = [
        forged(rt, hana.token, b"x" * 32, "HS256"),
        forged(rt, hana.token, "", "none"),
        forged(rt, hana.token, key, "HS512"),
        forged(rt, hana.token, key, "HS256", aud="somebody"),
        forged(rt, hana.token, key, "HS256", iss="somebody"),
        forged(rt, hana.token, key, "HS256", sid="one"),
        hana.token[:-2],
        hana.token + "x",
        hana.refresh_token,
        "",
        "bwk_",
    ]
    hana.token = ours
    assert hana.get("/api/me").status_code == 200
    for token in forgeries:
        hana.token = token
        assert hana.get("/api/me").status_code == 401, token


def test_a_refresh_token_is_good_once_and_brings_new_ones(hana, clock):
    first = hana.refresh_token
    clock.advance(3600)
    answer = hana.app.test_client().post("/api/auth/refresh", json={"refresh_token": first})
    body = answer.json
    assert answer.status_code == 200 and body["refresh_token"] != first and body["user"]["username"] == "hana"
    hana.token = body["access_token"]
    assert hana.get("/api/me").status_code == 200


def test_a_copied_refresh_token_ends_the_whole_family(hana, clock):
    client = hana.app.test_client()
    stolen = hana.refresh_token
    newer = client.post("/api/auth/refresh", json={"refresh_token": stolen}).json
    reused = client.post("/api/auth/refresh", json={"refresh_token": stolen})
    assert (reused.status_code, error_of(reused)) == (401, "token_reused")
    after = client.post("/api/auth/refresh", json={"refresh_token": newer["refresh_token"]})
    assert after.status_code == 401
    hana.token = newer["access_token"]
    assert hana.get("/api/me").status_code == 401


def test_of_two_parallel_refreshes_one_wins_and_the_family_ends(hana, rt):
    together = threading.Barrier(4)

    def refresh():
        together.wait()
        try:
            return signing_in.refresh(rt, hana.refresh_token).refresh_token
        except TokenReused:
            return "token_reused"

    with ThreadPoolExecutor(4) as pool:
        answers = [future.result() for future in [pool.submit(refresh) for _ in range(4)]]
    winners = [answer for answer in answers if answer != "token_reused"]
    assert len(winners) == 1
    with pytest.raises(Problem):
        signing_in.refresh(rt, winners[0])


def test_a_refresh_token_of_nobody_is_refused(app):
    answer = app.test_client().post("/api/auth/refresh", json={"refresh_token": "x" * 43})
    assert (answer.status_code, error_of(answer)) == (401, "unauthenticated")


def test_a_refresh_token_ends_after_a_month(hana, clock):
    clock.advance(30 * 86_400 + 1)
    answer = hana.app.test_client().post("/api/auth/refresh", json={"refresh_token": hana.refresh_token})
    assert answer.status_code == 401


def test_logging_out_ends_the_access_token_too(hana):
    client = hana.app.test_client()
    assert client.post("/api/auth/logout", json={"refresh_token": hana.refresh_token}).status_code == 204
    assert hana.get("/api/me").status_code == 401
    assert client.post("/api/auth/refresh", json={"refresh_token": hana.refresh_token}).status_code == 401
    assert client.post("/api/auth/logout", json={"refresh_token": hana.refresh_token}).status_code == 204


def test_logging_out_with_the_access_token_alone(hana):
    assert hana.post("/api/auth/logout").status_code == 204
    assert hana.get("/api/me").status_code == 401
    assert hana.post("/api/auth/logout").status_code == 401


# What a person may do is the database's word


def test_a_change_of_role_bites_at_once(hana, omar):
    assert omar.get("/api/users").status_code == 403
    assert hana.patch(f"/api/users/{omar.user_id}", {"role": "admin"}).status_code == 200
    assert omar.get("/api/users").status_code == 200


def test_a_change_in_another_process_bites_within_seconds(hana, omar, rt, clock):
    assert omar.get("/api/me").status_code == 200
    rt.transact(lambda db: db.execute(update(User).where(User.id == omar.user_id).values(disabled_at=clock.now())))
    clock.advance(2.1)
    assert omar.get("/api/me").status_code == 401


def test_whoever_is_disabled_is_out_at_once(hana, omar):
    assert hana.patch(f"/api/users/{omar.user_id}", {"disabled": True}).status_code == 200
    assert omar.get("/api/me").status_code == 401
    refreshed = omar.app.test_client().post("/api/auth/refresh", json={"refresh_token": omar.refresh_token})
    assert refreshed.status_code == 401
    assert omar.sign_in().status_code == 401


# Own password


def test_a_new_password_of_ones_own_ends_every_other_sign_in(hana, app, rt):
    elsewhere = Person(app, "hana")
    elsewhere.sign_in()
    answer = hana.post("/api/me/password", {"old_password": PASSWORD, "new_password": "another-lantern-8"})
    assert answer.status_code == 204
    assert hana.get("/api/me").status_code == 200
    assert elsewhere.get("/api/me").status_code == 401
    assert Person(app, "hana").sign_in().status_code == 401
    assert Person(app, "hana").sign_in("another-lantern-8").status_code == 200


def test_a_sign_in_that_raced_a_new_password_is_void(hana, rt):
    """The old password was checked a moment before it was changed; its login was written a moment after."""
    proof = signing_in.validate_credentials(rt, "hana", PASSWORD, None, ELSEWHERE)
    rt.clock.advance(1)
    hana.post("/api/me/password", {"old_password": PASSWORD, "new_password": "another-lantern-8"})
    digest = rt.keyring.digest(signing_in.REFRESH_KIND, b"late")
    rt.transact(signing_in._open, proof, signing_in.TOKENS, digest, "", ELSEWHERE, rt.clock.now())
    with pytest.raises(Problem):
        signing_in.refresh(rt, "late")


def test_the_old_password_must_be_known(hana):
    answer = hana.post("/api/me/password", {"old_password": "a-strangers-guess", "new_password": "another-lantern-8"})
    assert (answer.status_code, error_of(answer)) == (401, "bad_credentials")
    assert list(faults_of(hana.post("/api/me/password", {"old_password": PASSWORD, "new_password": "hana"}))) == [
        "new_password"
    ]


# Guessing


def test_ten_wrong_tries_are_free_and_then_even_the_right_one_waits(app, rt, clock, checked):
    let_in(rt, "hana", "admin")
    person = Person(app, "hana")
    assert [person.sign_in("wrong-password").status_code for _ in range(10)] == [401] * 10
    refused = person.sign_in()
    assert (refused.status_code, error_of(refused)) == (429, "too_many_tries")
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert len(checked) == 10  # a refused try costs no work
    clock.advance(int(refused.headers["Retry-After"]))
    assert person.sign_in().status_code == 200
    assert [person.sign_in("wrong-password").status_code for _ in range(10)] == [401] * 10


def test_the_wait_grows_with_each_wrong_try_after_it(app, rt, clock):
    let_in(rt, "hana", "admin")
    person, waits = Person(app, "hana"), []
    for _ in range(10):
        person.sign_in("wrong-password")
    for _ in range(3):
        waits.append(int(person.sign_in("wrong-password").headers["Retry-After"]))
        clock.advance(waits[-1])
        person.sign_in("wrong-password")
    assert waits[0] < waits[1] < waits[2]


def test_many_tries_at_once_gain_nothing(app, rt, checked):
    let_in(rt, "hana", "admin")

    def guess(number):
        try:
            signing_in.validate_credentials(rt, "hana", f"guess-number-{number}", None, ELSEWHERE)
        except Problem as problem:
            return problem.code
        return "in"

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(guess, range(40)))
    assert len(checked) == 10
    assert answers.count("bad_credentials") + answers.count("sign_in_busy") == 10
    assert answers.count("too_many_tries") == 30


def test_nobody_can_lock_a_person_out_from_elsewhere(hana, app, rt):
    """The account is under attack from many addresses; where Hana signed in before, she still can."""
    for number in range(60):
        with pytest.raises(Problem):
            signing_in.validate_credentials(rt, "hana", "wrong-password", None, f"203.0.113.{number}")
    stranger = Person(app, "hana", address=ELSEWHERE).sign_in("wrong-password")
    assert (stranger.status_code, error_of(stranger)) == (429, "too_many_tries")
    assert int(stranger.headers["Retry-After"]) <= 301
    assert hana.sign_in().status_code == 200


def test_one_address_cannot_try_every_account(app, rt):
    let_in(rt, "hana", "admin")
    for number in range(60):
        with pytest.raises(Problem):
            signing_in.validate_credentials(rt, f"name-{number}", "wrong-password", None, ELSEWHERE)
    assert Person(app, "hana", address=ELSEWHERE).sign_in().status_code == 429
    assert Person(app, "hana", address="192.0.2.99").sign_in().status_code == 200


def test_names_that_were_typed_are_not_kept(app, rt):
    Person(app, "my-secret-password").sign_in("wrong-password")
    rows = rt.read(lambda db: db.execute(select(SignInTry.account, SignInTry.address)).all())
    assert rows and all(b"secret" not in account for account, _ in rows)


def test_at_most_two_passwords_are_looked_at_at_once(monkeypatch):
    running, most, lock, gate = [0], [0], threading.Lock(), threading.Event()

    class Slow:
        def verify(self, stored, password):
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            gate.wait(5)
            with lock:
                running[0] -= 1
            return True

    monkeypatch.setattr(passwords, "HASHER", Slow())
    monkeypatch.setattr(passwords, "WAIT_S", 0.3)

    def check(_):
        try:
            return passwords.check_password_hash("$argon2id$", "x")
        except SignInBusy:
            return "busy"

    with ThreadPoolExecutor(10) as pool:
        answers = pool.map(check, range(10))
        threading.Timer(1.0, gate.set).start()
        found = list(answers)
    assert most[0] == 2
    assert found.count(True) == 2 and found.count("busy") == 8


def test_being_too_busy_costs_no_try(app, rt, monkeypatch):
    let_in(rt, "hana", "admin")

    def busy(stored, password):
        raise SignInBusy()

    with monkeypatch.context() as patched:
        patched.setattr(passwords, "check_password_hash", busy)
        assert {Person(app, "hana").sign_in().status_code for _ in range(12)} == {503}
    assert Person(app, "hana").sign_in().status_code == 200


# One-time codes


@pytest.fixture
def secret(hana):
    """Hana's secret, switched on."""
    begun = hana.post("/api/me/totp", {"password": PASSWORD}).json
    assert begun["otpauth_uri"].startswith("otpauth://totp/Bawaba:hana?secret=" + begun["secret"])
    assert hana.post("/api/me/totp/confirm", {"totp": code(begun["secret"], hana)}).status_code == 204
    return begun["secret"]


def code(secret: str, person: Person) -> str:
    rt: Runtime = person.app.extensions["bawaba"]
    return pyotp.TOTP(secret).at(rt.clock.now())


def test_who_switched_codes_on_needs_one(hana, secret, clock):
    clock.advance(60)
    missing = hana.sign_in()
    assert (missing.status_code, error_of(missing)) == (401, "totp_required")
    wrong = hana.sign_in(totp="000000")
    assert (wrong.status_code, error_of(wrong)) == (401, "bad_credentials")
    assert hana.sign_in("wrong-password", totp=code(secret, hana)).status_code == 401
    assert hana.sign_in(totp=code(secret, hana)).status_code == 200
    assert hana.get("/api/me").json["totp"] is True


def test_a_code_works_once(hana, secret, clock, app):
    clock.advance(60)
    seen = code(secret, hana)
    assert hana.sign_in(totp=seen).status_code == 200
    assert Person(app, "hana").sign_in(totp=seen).status_code == 401


def test_a_code_works_once_also_for_two_at_once(hana, secret, clock, rt):
    clock.advance(60)
    seen, together = code(secret, hana), threading.Barrier(2)

    def enter(number):
        together.wait()
        try:
            return signing_in.sign_in_program(rt, "hana", PASSWORD, seen, hana.address).access_token
        except Problem as problem:
            return problem.code

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(enter, range(2)))
    assert answers.count("bad_credentials") == 1


def test_codes_typed_in_arabic_digits_and_with_a_space_fit(hana, secret, clock):
    clock.advance(60)
    digits = code(secret, hana).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    assert hana.sign_in(totp=f"{digits[:3]} {digits[3:]}").status_code == 200


def test_an_old_code_does_not_fit(hana, secret, clock):
    clock.advance(60)
    old = code(secret, hana)
    clock.advance(90)
    assert hana.sign_in(totp=old).status_code == 401


def test_guessing_codes_is_slowed_down_too(hana, secret, clock):
    clock.advance(60)
    assert [hana.sign_in(totp="000000").status_code for _ in range(10)] == [401] * 10
    assert hana.sign_in(totp=code(secret, hana)).status_code == 429


def test_a_secret_counts_only_once_a_code_was_seen(hana):
    begun = hana.post("/api/me/totp", {"password": PASSWORD}).json
    assert hana.post("/api/me/totp/confirm", {"totp": "000000"}).status_code == 401
    assert hana.sign_in().status_code == 200
    assert begun["secret"]


def test_a_code_before_a_secret_is_refused(hana):
    answer = hana.post("/api/me/totp/confirm", {"totp": "000000"})
    assert (answer.status_code, error_of(answer)) == (409, "totp_not_begun")


def test_codes_are_switched_on_and_off_with_the_password_only(hana, secret, clock):
    assert hana.post("/api/me/totp", {"password": "a-strangers-guess"}).status_code == 401
    assert hana.delete("/api/me/totp", {"password": "a-strangers-guess"}).status_code == 401
    assert hana.delete("/api/me/totp", {"password": PASSWORD}).status_code == 204
    assert hana.sign_in().status_code == 200


def test_the_secret_lies_sealed_in_the_database(hana, secret, rt):
    sealed = rt.read(lambda db: db.scalar(select(User.totp_sealed).where(User.username == "hana")))
    assert secret.encode() not in sealed


# From the command line


def test_a_locked_out_owner_gets_a_new_password(hana, secret, rt, app):
    for _ in range(11):
        Person(app, "hana").sign_in("wrong-password")
    made_up = people.reset_password(rt, "Hana")
    assert hana.get("/api/me").status_code == 401  # sign-ins end
    assert Person(app, "hana").sign_in().status_code == 401
    assert Person(app, "hana").sign_in(made_up).status_code == 200  # neither wait nor code


def test_a_reset_for_nobody_says_so(rt):
    with pytest.raises(Problem) as refused:
        people.reset_password(rt, "nobody")
    assert refused.value.details["fields"] == {"username": ["nobody has this name"]}


def test_old_sign_ins_are_forgotten(hana, rt, clock):
    clock.advance(timedelta(days=31).total_seconds())
    signed_in(hana.app, rt, "omar", "operator")
    rt.transact(signing_in.prune, clock.now())
    assert rt.read(lambda db: db.scalars(select(Login.user_id)).all()) != []
    assert hana.user_id not in rt.read(lambda db: db.scalars(select(Login.user_id)).all())
