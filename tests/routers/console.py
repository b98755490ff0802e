"""A reader of RouterOS's console language, as far as our scripts use it (RouterOS manual: Scripting).

It checks what the console checks when it reads a script: that strings, braces and brackets close, and that what is
handed to `[:parse]` and to a script of the router can be read in its turn. It lists the commands that it met.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CLOSING = {"{": "}", "[": "]", "(": ")"}
SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "_": " "}


class Unreadable(Exception):
    """The console would refuse it."""


@dataclass
class Read:
    """What was met: the commands, with their strings opened, and the strings."""

    commands: list[str] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)


def read(text: str) -> Read:
    """Read a script with all that is nested in it. Raises `Unreadable`."""
    found = Read()
    _read(text, found)
    return found


def _read(text: str, found: Read) -> None:
    open_ones: list[str] = []
    command, at = "", 0
    while at < len(text):
        sign = text[at]
        if sign == "#" and not command.strip():
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
            continue
        if sign == '"':
            string, at = _string(text, at + 1)
            found.strings.append(string)
            if command.endswith(("[:parse ", "-script=", "source=")):
                _read(string, found)
            command += f'"{string}"'
            continue
        if sign in CLOSING:
            open_ones.append(CLOSING[sign])
        elif sign in CLOSING.values() and (not open_ones or open_ones.pop() != sign):
            raise Unreadable(f"{sign} closes nothing: {text[max(0, at - 40) : at + 1]}")
        if sign in "\n;{}":
            _note(command, found)
            command = ""
        else:
            command += sign
        at += 1
    if open_ones:
        raise Unreadable(f"{''.join(open_ones)} is missing")
    _note(command, found)


def _note(command: str, found: Read) -> None:
    if command.strip():
        found.commands.append(command.strip())


def _string(text: str, at: int) -> tuple[str, int]:
    whole = ""
    while at < len(text):
        sign = text[at]
        if sign == '"':
            return whole, at + 1
        if sign in "$\n":
            raise Unreadable(f"a bare {sign!r} in a string: {text[max(0, at - 30) : at + 1]}")
        if sign == "\\":
            code = text[at + 1 : at + 3]
            if code[0] in SIMPLE_ESCAPES:
                whole, at = whole + SIMPLE_ESCAPES[code[0]], at + 2
            else:
                whole, at = whole + chr(int(code, 16)), at + 3
            continue
        whole, at = whole + sign, at + 1
    raise Unreadable("a string does not end")
