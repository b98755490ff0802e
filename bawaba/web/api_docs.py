"""The API on one page, made from its own OpenAPI description: no script, nothing from elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson
from apiflask import APIBlueprint, APIFlask
from flask import current_app

from bawaba.web import guard, pages

bp = APIBlueprint("api_docs", __name__, enable_openapi=False)
METHODS = ("get", "post", "put", "patch", "delete")
PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API."""

    method: str
    path: str
    about: str
    permission: str
    body: str


@bp.get("/api/docs")
@guard.open_to_everyone
def api_docs() -> Any:
    """Every call: what it is for, which permission it needs, and what it takes."""
    app = current_app
    assert isinstance(app, APIFlask)
    return pages.show("api_docs.html", calls=calls(app))


def calls(app: APIFlask) -> list[Call]:
    """The calls of the OpenAPI description, in the order of their paths."""
    spec: dict[str, Any] = app.spec  # type: ignore[assignment]
    needed = permissions(app)
    schemas = spec.get("components", {}).get("schemas", {})
    return [
        Call(
            method.upper(),
            path,
            what.get("description") or what.get("summary", ""),
            needed.get((method.upper(), path), ""),
            _body(what, schemas),
        )
        for path, by_method in sorted(spec["paths"].items())
        for method, what in by_method.items()
        if method in METHODS
    ]


def permissions(app: APIFlask) -> dict[tuple[str, str], str]:
    """What each call needs, by method and path as OpenAPI writes it."""
    return {
        (method, PARAMETER.sub(r"{\1}", rule.rule)): guard.permission_of(app.view_functions[rule.endpoint]) or ""
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def _body(what: dict[str, Any], schemas: dict[str, Any]) -> str:
    """The JSON that a call takes, as its schema; empty when it takes none."""
    content = what.get("requestBody", {}).get("content", {})
    named = next((media.get("schema", {}).get("$ref", "") for media in content.values()), "")
    schema = schemas.get(named.rpartition("/")[2])
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode() if schema else ""
