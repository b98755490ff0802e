"""Keyset paging: a page begins after the last row of the one before, so page 10,000 costs what page 1 costs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import request

from bawaba.core.errors import Invalid
from bawaba.web.input import PAGE_MOST, PAGE_SIZE, whole_number

T = TypeVar("T")
CURSOR_VERSION = "a"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How many rows, and after which id (newest first: smaller ids come later); None is the first page."""

    limit: int
    after_id: int | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page and the cursor of the next, None on the last."""

    items: Sequence[T]
    next: str | None

    def answer(self, show: Callable[[T], Any]) -> dict[str, Any]:
        """The JSON of a list."""
        return {"items": [show(item) for item in self.items], "next": self.next}


def page_request() -> PageRequest:
    """Read `limit` and `cursor` from the query string. Raises `Invalid` for wrong ones."""
    text = request.args.get("cursor", "")
    return PageRequest(whole_number("limit", PAGE_SIZE, PAGE_MOST), _decode(text) if text else None)


def page_of(rows: Sequence[T], wanted: PageRequest, id_of: Callable[[T], int]) -> Page[T]:
    """Make a page of up to `limit + 1` fetched rows: the one too many only says that there is more."""
    more = len(rows) > wanted.limit
    shown = rows[: wanted.limit]
    return Page(shown, _encode(id_of(shown[-1])) if more else None)


def _encode(row_id: int) -> str:
    return base64.urlsafe_b64encode(f"{CURSOR_VERSION}{row_id}".encode()).decode().rstrip("=")


def _decode(text: str) -> int:
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        if plain[:1] == CURSOR_VERSION and plain[1:].isdigit() and len(plain) < 20:
            return int(plain[1:])
    except (binascii.Error, UnicodeDecodeError, ValueError):
        plain = ""
    raise Invalid(fields={"cursor": ["is not one that this list gave out"]})
