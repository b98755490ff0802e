"""The options of a make in its form: one field each, named `options.name`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import request

from bawaba.routers.links import driver_class, known_drivers
from bawaba.routers.models import Router
from bawaba.routers.options import Kind, Option, options_of, split_words
from bawaba.web.forms import plain_number

PREFIX = "options."


@dataclass(frozen=True, slots=True)
class Field:
    """An option in a form. `hint` is an example of what stands there when nothing is filled in."""

    option: Option
    name: str
    hint: str
    is_kept: bool  # a secret that is set, and stays when the field is left empty


def fields(make: str, router: Router | None) -> list[Field]:
    """The fields of a make."""
    kept = (router.secrets_sealed or {}) if router else {}
    return [
        Field(option, PREFIX + option.name, _text(option.default), option.name in kept)
        for option in options_of(driver_class(make).Options)
    ]


def defaults(make: str) -> dict[str, str]:
    """What is ticked or chosen in the form of a new router: the defaults. None for an unknown make."""
    if make not in known_drivers():
        return {}
    options = options_of(driver_class(make).Options)
    return {PREFIX + option.name: _text(option.default) for option in options if option.kind in ("choice", "flag")}


def values(router: Router) -> dict[str, str]:
    """What stands in the fields of a router as it is: its options, else their defaults. Secrets are empty."""
    found: dict[str, str] = {}
    for option in options_of(driver_class(router.driver).Options):
        value = router.options.get(option.name)
        if value is None and option.kind in ("choice", "flag"):
            value = option.default
        found[PREFIX + option.name] = _text(value)
    return found


def options_sent(make: str) -> dict[str, Any]:
    """The options as the form was sent, without those that are as they would be anyway; none for an unknown make."""
    if make not in known_drivers():
        return {}
    sent = {option.name: _READ[option.kind](option) for option in options_of(driver_class(make).Options)}
    return {name: value for name, value in sent.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _typed(option: Option) -> str:
    return request.form.get(PREFIX + option.name, "").strip()


def _flag(option: Option) -> bool | None:
    checked = _typed(option) == "true"
    return None if checked == option.default else checked


def _filled(option: Option) -> str | None:
    text = _typed(option)
    return None if text in ("", option.default) else text


def _number(option: Option) -> str | None:
    return plain_number(_typed(option)) or None


def _words(option: Option) -> list[str] | None:
    return list(split_words(_typed(option).replace("،", ","))) or None


_READ: Mapping[Kind, Callable[[Option], Any]] = {
    "text": _filled,
    "choice": _filled,
    "secret": _filled,
    "flag": _flag,
    "number": _number,
    "words": _words,
}
