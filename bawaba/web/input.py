"""Input, parsed once at the edge. Whatever does not fit is a 422 that names each field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import orjson
from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from werkzeug.exceptions import BadRequest

from bawaba.core.errors import Invalid

Model = TypeVar("Model", bound=BaseModel)
View = TypeVar("View", bound=Callable[..., Any])
Id = Annotated[int, Field(ge=1, lt=2**63)]  # a row's id in a body: what a 64-bit column holds
PAGE_SIZE = 50
PAGE_MOST = 500


class Input(BaseModel):
    """What every request body derives from: unknown fields are refused, text is trimmed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _no_nul(cls, data: Any) -> Any:
        """PostgreSQL has no such character, and nobody means it."""
        if isinstance(data, dict) and any(isinstance(value, str) and "\0" in value for value in data.values()):
            raise ValueError("a text holds a NUL character")
        return data


def body(model: type[Model]) -> Model:
    """The JSON body as `model`; an empty body counts as {}. Raises `Invalid`."""
    raw = request.get_data(cache=True)
    try:
        data = orjson.loads(raw) if raw.strip() else {}
    except orjson.JSONDecodeError as error:
        raise Invalid(fields={"body": ["not_json"]}) from error
    return parse(model, data)


def body_id(name: str) -> int | None:
    """A row's id in the JSON body, before the body is checked: for the look-up whose 404 goes before any 422.

    None where there is none that a row could have.
    """
    try:
        data = orjson.loads(request.get_data(cache=True) or b"{}")
    except orjson.JSONDecodeError:
        return None
    found = data.get(name) if isinstance(data, dict) else None
    return (as_number(str(found)) or None) if isinstance(found, int | str) else None


def form(model: type[Model]) -> Model:
    """The browser form as `model`: an empty field counts as left out. Raises `Invalid`."""
    return parse(model, {k: v for k, v in request.form.items() if v.strip() and k != "csrf_token"})


def body_or_form(model: type[Model]) -> Model:
    """JSON where the caller sends JSON, else the form."""
    return body(model) if request.is_json else form(model)


def query(model: type[Model]) -> Model:
    """The query string as `model`. Raises `Invalid`."""
    return parse(model, {k: v for k, v in request.args.items() if v != ""})


def parse(model: type[Model], data: Any) -> Model:
    """Check `data`; the faults come out by field, each a code with pydantic's own sentence behind it."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Invalid(fields=faults(error)) from error


def faults(error: ValidationError) -> dict[str, list[str]]:
    """Faults by field, in pydantic's words, without the value that was sent (it may be a secret)."""
    by_field: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in item["loc"]) or "body"
        by_field.setdefault(name, []).append(item["msg"].removeprefix("Value error, "))
    return by_field


def whole_number(name: str, default: int, most: int, least: int = 1) -> int:
    """A number from the query string. Raises `Invalid` when it is not one or out of bounds."""
    text = request.args.get(name, "")
    if not text:
        return default
    number = as_number(text)
    if number is None or not least <= number <= most:
        raise Invalid(fields={name: [f"must be a whole number from {least} to {most}"]})
    return number


def row_id(name: str) -> int | None:
    """A row's id from the query string; None where it is left out. Raises `Invalid` when it is no number."""
    text = request.args.get(name, "")
    if text and as_number(text) is None:
        raise Invalid(fields={name: ["must be a number"]})
    return as_number(text)


def as_number(text: str) -> int | None:
    """A whole number in plain digits that a database can hold; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def read_body() -> bytes:
    """The raw body; a client that left is a `BadRequest` of Werkzeug's."""
    try:
        return request.get_data(cache=True)
    except BadRequest as error:
        raise Invalid(fields={"body": ["unreadable"]}) from error


def takes(model: type[BaseModel], location: str = "json") -> Callable[[View], View]:
    """Say in the OpenAPI page what a view reads. The view itself calls `body` or `query`, after its look-up, so that
    refusals come in the order 401, 403, 404, 422."""

    def mark(view: View) -> View:
        spec: dict[str, Any] = view.__dict__.setdefault("_spec", {})
        if location == "query":
            spec.setdefault("args", []).append((model, "query"))
        else:
            spec["body"] = model
            spec["body_example"] = spec["body_examples"] = None
            spec["content_type"] = (
                "application/json" if location == "json" else ["application/x-www-form-urlencoded", "application/json"]
            )
        return view

    return mark
