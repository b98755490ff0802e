"""What can go wrong for a person, by family. Each folder names its own; `web` turns them into answers once."""

from __future__ import annotations

from typing import Any, ClassVar


class Problem(Exception):
    """Something a person hit. `code` is the name in the API and the key of the translated sentence.

    `details` goes into the answer as it is; keep secrets out of it.
    """

    code: ClassVar[str] = "problem"
    status: ClassVar[int] = 500

    def __init__(self, **details: Any) -> None:
        super().__init__(self.code)
        self.details = details


class Invalid(Problem):
    """The input does not fit; `details["fields"]` has the faults by field."""

    code = "invalid"
    status = 422


class Unauthenticated(Problem):
    """Nobody is signed in."""

    code = "unauthenticated"
    status = 401


class Forbidden(Problem):
    """Signed in, and not allowed."""

    code = "forbidden"
    status = 403


class NotFound(Problem):
    """Not there, or of a site that the caller may not see."""

    code = "not_found"
    status = 404


class Conflict(Problem):
    """The state of things does not allow it."""

    code = "conflict"
    status = 409


class Gone(Problem):
    """It was there and its time is over."""

    code = "gone"
    status = 410


class TooLarge(Problem):
    """More bytes than we take."""

    code = "too_large"
    status = 413


class TooMany(Problem):
    """Too often; `details["retry_after_s"]` says how long to wait."""

    code = "too_many"
    status = 429


class Unavailable(Problem):
    """Something that we need does not answer now."""

    code = "unavailable"
    status = 503


def field_fault(field: str, fault: str) -> Invalid:
    """One fault in one field, with the fault's code (translated at the edge)."""
    return Invalid(fields={field: [fault]})
