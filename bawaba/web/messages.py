"""The sentence for each error code: what happened and what to do. Each folder adds its own with `say`."""

from __future__ import annotations

from typing import Any

from bawaba.web.language import translate

SENTENCES: dict[str, str] = {}


def say(**sentences: str) -> None:
    """Register the English sentences of error codes; the catalogues have the others."""
    SENTENCES.update(sentences)


def sentence(code: str, details: dict[str, Any] | None = None) -> str:
    """The sentence of a code in the reader's language, filled in from the details."""
    text = translate(SENTENCES.get(code, SENTENCES["internal"]))
    try:
        return text % (details or {})
    except (KeyError, TypeError, ValueError):
        return text


say(
    invalid="Some of what was sent does not fit. Correct the fields named and send it again.",
    unauthenticated="Sign in first.",
    forbidden="You are not allowed to do this. Ask an administrator.",
    csrf_failed="This page is too old. Reload it and try again.",
    not_found="There is nothing here.",
    method_not_allowed="This address does not take that kind of request.",
    too_large="That is too big. Send less.",
    unsupported_type="That kind of content is not understood here.",
    bad_request="The request could not be read.",
    internal="Something went wrong on our side. Try again; if it stays, give the request number to your administrator.",
    database_away="The database does not answer at the moment. Nothing was lost; try again in a minute.",
    conflict="That does not fit with how things stand now. Reload and look again.",
    too_many="Too many requests. Wait a moment and try again.",
    unavailable="This is not available right now. Try again in a minute.",
)
