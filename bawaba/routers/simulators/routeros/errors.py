"""How a router says no, in its own words."""

from __future__ import annotations

NO_RIGHTS = "not enough permissions (9)"
BAD_LOGIN = "invalid user name or password (6)"


class Trap(Exception):
    """A `!trap`, or several. `category`: 0 missing item or command, 1 argument value, 2 interrupted (API manual)."""

    def __init__(self, message: str, category: int | None = None, *more: str) -> None:
        super().__init__(message)
        self.sentences = [(message, category), *((text, category) for text in more)]


class BadValue(Exception):
    """A value does not fit its argument; a whole sentence replaces the usual words."""


class LoginRefused(Exception):
    """A guest may not log in; the text is what the hotspot shows as `error-orig`."""


def no_such_item() -> Trap:
    """An id that is not, or no more, there."""
    return Trap("no such item", 0)


def unknown_parameter(name: str) -> Trap:
    """An argument that this command does not have."""
    return Trap(f"unknown parameter {name}")
