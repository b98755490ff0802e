"""What can go wrong around people and their sign-ins."""

from __future__ import annotations

from bawaba.core.errors import Conflict, Forbidden, TooMany, Unauthenticated, Unavailable
from bawaba.web.messages import say


class BadCredentials(Unauthenticated):
    """Name, password or code is wrong; it is never said which."""

    code = "bad_credentials"


class TotpRequired(Unauthenticated):
    """The password is right and this account asks for a code as well."""

    code = "totp_required"


class TotpNotBegun(Conflict):
    """A code was sent before a secret was asked for."""

    code = "totp_not_begun"


class TokenReused(Unauthenticated):
    """A refresh token that was traded in already: somebody has a copy, so the whole family is revoked."""

    code = "token_reused"


class TooManyTries(TooMany):
    """Too many wrong passwords; `details["retry_after_s"]` says how long to wait."""

    code = "too_many_tries"


class SignInBusy(Unavailable):
    """More people sign in at once than passwords can be checked."""

    code = "sign_in_busy"


class NeedsSignIn(Forbidden):
    """A personal key may not do this: it takes the person."""

    code = "needs_sign_in"


class RoleTooHigh(Forbidden):
    """Nobody may give more than they have."""

    code = "role_too_high"


class LastAdmin(Conflict):
    """Without an admin nobody could let people in again."""

    code = "last_admin"


class UsernameTaken(Conflict):
    """Two people with one name."""

    code = "username_taken"


class IdempotencyConflict(Conflict):
    """The same key with another request."""

    code = "idempotency_conflict"


class IdempotencyInProgress(Conflict):
    """The first request with this key is not answered yet."""

    code = "idempotency_in_progress"


say(
    bad_credentials="The user name, the password or the code is wrong.",
    form_incomplete="Type both your user name and your password.",
    totp_required="Type the code from your authenticator app as well.",
    totp_not_begun="Ask for a new secret first, then type a code that was made with it.",
    token_reused="This sign-in was used twice, so it was ended for safety. Sign in again.",
    too_many_tries="Too many wrong tries. Wait %(retry_after_s)s seconds and try again.",
    sign_in_busy="Many people are signing in at the moment. Try again in a few seconds.",
    needs_sign_in="A key cannot do this. Sign in with your name and password.",
    role_too_high="You cannot give a role above your own.",
    last_admin="This is the last administrator. Make another one first.",
    username_taken="There is somebody with this user name already. Choose another.",
    idempotency_conflict="This Idempotency-Key was used for another request. Use a new one.",
    idempotency_in_progress="The first request with this Idempotency-Key is still under way. Ask again in a moment.",
)
