"""The query words of `print` (RouterOS manual, API, "Queries"): a stack of truth values for each row."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from bawaba.routers.simulators.routeros.errors import Trap
from bawaba.routers.simulators.routeros.values import duration_seconds

Get = Callable[[str], str | None]
_OPERATION = re.compile(r"(\d+)|(.)", re.DOTALL)


def matches(queries: Sequence[str], get: Get) -> bool:
    """Whether a row passes: no false is left on the stack. `queries` come without their question mark."""
    stack: list[bool] = []
    for query in queries:
        if query.startswith("#"):
            stack = _operate(stack, query[1:])
        else:
            stack.append(_test(query, get))
    return all(stack)


def _test(query: str, get: Get) -> bool:
    if query.startswith("-"):
        return get(query[1:]) is None
    sign = query[0] if query[:1] in ("<", ">", "=") else "="
    name, equals, wanted = query.removeprefix(sign).partition("=")
    value = get(name)
    if not equals:
        return value is not None
    if value is None:
        return False
    if sign == "=":
        return value == wanted
    left, right = _comparable(value, wanted)
    return bool(left < right if sign == "<" else left > right)


def _comparable(value: str, wanted: str) -> tuple[Any, Any]:
    """Numbers and durations by their size, all else by its letters."""
    for read in (int, duration_seconds):
        try:
            return read(value), read(wanted)
        except ValueError:
            pass
    return value, wanted


def _operate(stack: list[bool], operations: str) -> list[bool]:
    """An index copies the value at that depth (0 is the top), at the word's end it replaces the whole stack by it."""
    stack = list(stack)
    copied = False
    for match in _OPERATION.finditer(operations):
        index, sign = match.groups()
        try:
            if index is not None:
                value = stack[-1 - int(index)]
                if match.end() == len(operations):
                    return [value]
                stack.append(value)
            elif sign == "!":
                stack.append(not stack.pop())
            elif sign in "&|":
                right, left = stack.pop(), stack.pop()
                stack.append(left and right if sign == "&" else left or right)
            elif sign == ".":
                if not copied:
                    stack.append(stack[-1])
            else:
                raise Trap(f"invalid query operation {sign}", 5)
        except IndexError as error:
            raise Trap("query stack underflow", 5) from error
        copied = index is not None
    return stack
