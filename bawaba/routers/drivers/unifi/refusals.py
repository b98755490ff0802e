"""What a controller's refusals mean: its own words (`api.err.…`) first, the HTTP status where it has none."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from bawaba.routers.driver import (
    GatewayError,
    Reason,
    RouterAuthFailed,
    RouterProtocolError,
    RouterRejected,
    RouterUnreachable,
    Unsupported,
)

MORE_FACTORS = 499  # UniFi OS: this account signs in with a second factor
LOGGED_OUT = frozenset({"api.err.LoginRequired", "api.err.NotLoggedIn"})
NO_RIGHTS = frozenset({"api.err.NoPermission", "api.err.Ubic2faTokenRequired", "api.err.InvalidCredentials"})
REASONS = {
    "api.err.NoSiteContext": Reason.NOT_FOUND,
    "api.err.IdInvalid": Reason.NOT_FOUND,
    "api.err.UnknownStation": Reason.UNKNOWN_CLIENT,
    "api.err.UnknownUser": Reason.UNKNOWN_CLIENT,
    "api.err.Invalid": Reason.BAD_VALUE,
    "api.err.InvalidPayload": Reason.BAD_VALUE,
    "api.err.InvalidValue": Reason.BAD_VALUE,
    "api.err.MacUsed": Reason.DUPLICATE,
}
UNKNOWN_HERE = frozenset({"api.err.NotFound", "api.err.UnknownCommand"})
BY_STATUS = {400: Reason.BAD_VALUE, 404: Reason.NOT_FOUND, 409: Reason.DUPLICATE, 422: Reason.OTHER, 429: Reason.BUSY}


class LoggedOut(RouterAuthFailed):
    """The log-in has run out; a new one may do."""


class NoSuchApi(Unsupported):
    """There is no API of this kind."""


def refusal(status: int, said: Any, *, writes: bool) -> GatewayError:
    """The error that an answer is; `said` is its JSON, `writes` that the question may have changed something."""
    word, text = _words(said)
    if word in NO_RIGHTS or status == MORE_FACTORS:
        return RouterAuthFailed(f"the controller does not let us: {text or status}")
    if word in LOGGED_OUT or status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):  # 403: another CSRF token
        return LoggedOut(f"the controller does not know us: {text or status}")
    if word in UNKNOWN_HERE:
        return Unsupported(f"the controller does not know this: {text}")
    if word in REASONS:
        return RouterRejected(f"the controller refused: {text}", REASONS[word])
    if status == HTTPStatus.NOT_FOUND and said is None:
        return NoSuchApi("the controller has no such API")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RouterUnreachable(f"the controller is not well: HTTP {status}", outcome_known=not writes)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return RouterProtocolError(f"the controller sends us elsewhere: HTTP {status}")
    return RouterRejected(f"the controller refused: {text or f'HTTP {status}'}", BY_STATUS.get(status, Reason.OTHER))


def _words(said: Any) -> tuple[str, str]:
    """The name of an error and what can be read of it, from either API's form."""
    if not isinstance(said, dict):
        return "", ""
    meta = said.get("meta")
    if isinstance(meta, dict):
        word = str(meta.get("msg", ""))
        return word, word
    return str(said.get("code", "")), " ".join(str(said[name]) for name in ("code", "message") if said.get(name))[:200]


def is_rejected(error: BaseException | None, *reasons: Reason) -> bool:
    """Whether this is a refusal for one of these reasons."""
    return isinstance(error, RouterRejected) and error.reason in reasons
