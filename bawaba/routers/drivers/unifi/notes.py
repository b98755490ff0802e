"""Our marks: lines in the note of a client at the controller, behind whatever its owner has written there.

An authorisation has no place for a mark; a client's note is kept, connected or not. A mark says whose the client's
right is and from where its counters count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

DEVICE = "device:"
TRUSTED, BLOCKED = DEVICE + "trusted", DEVICE + "blocked"
_MARK = re.compile(r"\s*\[bw1((?:\|[^|\[\]]*){10})\]")


@dataclass(frozen=True, slots=True)
class Mark:
    """What lies in a note. `since` is when the right was given (our clock, ms). `association`, `up` and `down` are how
    the counters stood when counting began: the time of the association (the controller's, seconds) and its bytes.
    `quota` is how many bytes are allowed from there on."""

    install: str
    key: str
    rev: int = 0
    epoch: int = 0  # our clock, ms
    since: int = 0
    association: int = 0
    up: int = 0
    down: int = 0
    quota: int | None = None
    before: str = ""  # the authorisation that ours is to replace: while it is the one that holds, ours does not

    def __str__(self) -> str:
        return "[bw1|" + "|".join("" if word is None else str(word) for word in astuple(self)) + "]"

    @property
    def is_device(self) -> bool:
        """Whether it is there for a trusted or blocked device, and not for a session."""
        return self.key.startswith(DEVICE)


def marks_in(note: object) -> list[Mark]:
    """The marks in a note, anybody's."""
    return [mark for found in _MARK.finditer(str(note or "")) if (mark := _read(found[1])) is not None]


def _read(words: str) -> Mark | None:
    install, key, *numbers, before = words.split("|")[1:]
    try:
        rev, epoch, since, association, up, down = map(int, numbers[:6])
        quota = int(numbers[6]) if numbers[6] else None
    except ValueError:
        return None
    return Mark(install, key, rev, epoch, since, association, up, down, quota, before)


def session_mark(note: object, install: str) -> Mark | None:
    """This installation's mark of a session."""
    return next((mark for mark in marks_in(note) if mark.install == install and not mark.is_device), None)


def device_mark(note: object, install: str) -> Mark | None:
    """This installation's mark of a trusted or blocked device."""
    return next((mark for mark in marks_in(note) if mark.install == install and mark.is_device), None)


def with_mark(note: object, mark: Mark) -> str:
    """The note with this mark in the place of that of its kind."""
    kept = without_mark(note, mark.install, device=mark.is_device)
    return f"{kept} {mark}".strip()


def without_mark(note: object, install: str, *, device: bool) -> str:
    """The note as it was before us; with another's marks, and ours of the other kind."""
    text = str(note or "")
    for found in reversed(list(_MARK.finditer(text))):
        mark = _read(found[1])
        if mark is not None and mark.install == install and mark.is_device is device:
            text = text[: found.start()] + text[found.end() :]
    return text.strip()


def note_of(rows: Iterable[Mapping[str, Any]]) -> object:
    """The note on whichever of these rows has one."""
    return next((row["note"] for row in rows if row.get("note")), "")
