"""What a router's `!trap` means. It seldom has a code: the category and the start of the text have to do (RouterOS
manual, API; the texts are those seen on live routers)."""

from __future__ import annotations

from bawaba.routers.driver import (
    GatewayError,
    Reason,
    RouterAuthFailed,
    RouterRejected,
    Unsupported,
)

MISSING, BAD_ARGUMENT, INTERRUPTED = "0", "1", "2"
NO_COMMAND = ("no such command", "unknown command", "bad command name")
NO_RIGHTS = ("not enough permissions", "cannot log in", "invalid user name or password", "could not authenticate")
REASONS: tuple[tuple[str, Reason], ...] = (
    ("no such item", Reason.NOT_FOUND),
    ("already have", Reason.DUPLICATE),
    ("already exists", Reason.DUPLICATE),
    ("unknown host ip", Reason.UNKNOWN_CLIENT),
    ("wrong mac provided", Reason.WRONG_MAC),
    ("not allowed to log in from this mac", Reason.WRONG_MAC),
    ("this mac address is not yours", Reason.WRONG_MAC),
    ("reached uptime limit", Reason.LIMIT_REACHED),
    ("reached traffic limit", Reason.LIMIT_REACHED),
    ("no more sessions are allowed", Reason.SESSIONS_FULL),
    ("session limit reached", Reason.SESSIONS_FULL),
    ("retry later", Reason.BUSY),
    ("shutting down", Reason.BUSY),
    ("invalid value", Reason.BAD_VALUE),
    ("does not match any value", Reason.BAD_VALUE),
    ("ambiguous value", Reason.BAD_VALUE),
    ("unknown parameter", Reason.BAD_VALUE),
)
BY_CATEGORY = {MISSING: Reason.NOT_FOUND, BAD_ARGUMENT: Reason.BAD_VALUE}


def refusal(message: str, category: str | None = None) -> GatewayError:
    """The error that a trap is."""
    said = message.lower()
    if said.startswith(NO_COMMAND):
        return Unsupported(f"the router does not know this: {message}")
    if any(words in said for words in NO_RIGHTS):
        return RouterAuthFailed(f"the router does not let us: {message}")
    reason = next((reason for words, reason in REASONS if words in said), None)
    return RouterRejected(message or "refused", reason or BY_CATEGORY.get(category or "", Reason.OTHER))


def worst(errors: list[GatewayError]) -> GatewayError:
    """Of several traps in one answer, the one that says most: a named reason before a general one."""
    return next((e for e in errors if getattr(e, "reason", None) is not Reason.OTHER), errors[0])


def is_rejected(error: BaseException | None, *reasons: Reason) -> bool:
    """Whether this is a refusal for one of these reasons."""
    return isinstance(error, RouterRejected) and error.reason in reasons
