"""Forms on pages: what was typed stays, and each fault stands at its field in the reader's language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import request
from pydantic import ValidationError

from bawaba.core.errors import Invalid, Problem
from bawaba.web.language import translate as _
from bawaba.web.messages import SENTENCES, sentence

THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
FAULTS = {  # pydantic's types of error, in words for a person
    "missing": "Fill this in.",
    "too_short": "Choose at least %(min_length)s.",
    "string_too_short": "At least %(min_length)s characters.",
    "string_too_long": "At most %(max_length)s characters.",
    "string_pattern_mismatch": "This is not written as it should be.",
    "greater_than": "More than %(gt)s.",
    "greater_than_equal": "At least %(ge)s.",
    "less_than": "Less than %(lt)s.",
    "less_than_equal": "At most %(le)s.",
    "int_type": "Write a whole number.",
    "int_parsing": "Write a whole number.",
    "int_from_float": "Write a whole number.",
    "literal_error": "Choose one from the list.",
    "datetime_from_date_parsing": "Write a date and time.",
    "datetime_parsing": "Write a date and time.",
    "timezone_aware": "Write a date and time.",
}


class Form:
    """What a form shows: values as typed (or as they are), and what was wrong with them."""

    def __init__(self, values: Mapping[str, Any], problem: Problem | None = None) -> None:
        self._values = values
        self._faults = faults_of(problem) if problem else {}
        self._shown: set[str] = set()
        self.message = sentence(problem.code, problem.details) if problem else ""

    def value(self, name: str) -> Any:
        """What stands in a field; an empty text where nothing does."""
        found = self._values.get(name)
        return "" if found is None else found

    def values_of(self, name: str) -> list[str]:
        """What is chosen of a group of check boxes."""
        if hasattr(self._values, "getlist"):
            return [str(value) for value in self._values.getlist(name)]
        return [str(value) for value in self._values.get(name) or ()]

    def fault(self, name: str) -> str:
        """What is wrong with a field or a part of it; an empty text when nothing is."""
        self._shown.add(name)
        return " ".join(text for path, texts in self._faults.items() if _is_within(path, name) for text in texts)

    def unshown(self) -> list[tuple[str, str]]:
        """Faults that no field of the form has shown."""
        return [
            (path, " ".join(texts))
            for path, texts in self._faults.items()
            if not any(_is_within(path, name) for name in self._shown)
        ]


def _is_within(path: str, name: str) -> bool:
    """Whether a fault is one of a field: "names.0" of "names", "options.lan4" of itself."""
    return path == name or path.startswith(f"{name}.")


def typed(problem: Problem | None = None) -> Form:
    """The form as the person just sent it, with what was wrong."""
    return Form(request.form, problem)


def faults_of(problem: Problem) -> dict[str, list[str]]:
    """Faults by field, in the reader's language."""
    if isinstance(problem.__cause__, ValidationError):
        return _pydantic_faults(problem.__cause__)
    by_field = problem.details.get("fields", {}) if isinstance(problem, Invalid) else {}
    return {name: [_fault_sentence(text) for text in texts] for name, texts in by_field.items()}


def _pydantic_faults(error: ValidationError) -> dict[str, list[str]]:
    by_field: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False):
        known = FAULTS.get(item["type"])
        context: dict[str, Any] = {
            name: value for name, value in item.get("ctx", {}).items() if isinstance(value, int | float | str)
        }
        text = _(known, **context) if known else _fault_sentence(item["msg"].removeprefix("Value error, "))
        by_field.setdefault(".".join(map(str, item["loc"])), []).append(text)
    return by_field


def _fault_sentence(text: str) -> str:
    """A fault is a code that has a sentence, or an English sentence itself ("must be in the future")."""
    if text in SENTENCES:
        return sentence(text)
    said = _(text)
    return said[:1].upper() + said[1:] + ("" if said.endswith((".", "?", "!")) else ".")


def amount(name: str, per_unit: Decimal | int = 1, *, optional: bool = True) -> int | None:
    """A number typed in a larger unit, in whole small ones: 1.5 (hours) is 5400. Raises `Invalid`.

    Any script's digits, a comma or a point. None for an empty field, where that may be.
    """
    return amount_of(name, request.form.get(name, ""), per_unit, optional=optional)


def amount_of(name: str, typed_text: str, per_unit: Decimal | int = 1, *, optional: bool = True) -> int | None:
    """The same of a text that was typed in the field `name`."""
    text = plain_number(typed_text)
    if not text and optional:
        return None
    try:
        value = Decimal(text) * per_unit
    except InvalidOperation as error:
        raise Invalid(fields={name: [_("Write a number.") if text else _("Fill this in.")]}) from error
    if "_" in text or not value.is_finite() or value < 0 or value > 10**15 or value != value.to_integral_value():
        raise Invalid(fields={name: [_("This number is too fine, too large or negative.")]})
    return int(value)


def plain_number(text: str) -> str:
    """A number as people type it, in plain digits with a point: ١٬٥٠٠٫٥, 1,500.5 and 1 500,5 are all 1500.5."""
    digits = "".join(
        str(unicodedata.decimal(symbol)) if unicodedata.decimal(symbol, None) is not None else symbol for symbol in text
    )
    digits = digits.replace("٬", "").replace("٫", ".").replace("\u200f", "").replace("\u200e", "")
    digits = THOUSANDS.sub("", "".join(digits.split()))
    return digits.replace(",", ".")
