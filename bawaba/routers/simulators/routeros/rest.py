"""The REST face of the same router (RouterOS manual, REST API; from 7.1 on)."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from bawaba.routers.simulators.routeros import versions
from bawaba.routers.simulators.routeros.commands import Answer, Command, Login, authenticate, execute, record
from bawaba.routers.simulators.routeros.errors import NO_RIGHTS
from bawaba.routers.simulators.routeros.http import Reply, Request

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.router import Router

REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    406: "Not Acceptable",
    500: "Internal Server Error",
}
PREFIX = "/rest"


def answer(router: Router, request: Request) -> Reply:
    """One request below /rest."""
    if router.version < (versions.REST if request.secure else versions.REST_OVER_HTTP):
        return refusal(404)
    with router.lock:
        login = _login(router, request)
        if login is None:
            return refusal(401)
        try:
            command, wanted = _command(router, request)
        except (ValueError, TypeError, AttributeError):
            return refusal(400, "invalid JSON")
        if command is None:
            return refusal(400, "no such command or directory (rest)")
        fault = router.faults.strike(command.word)
        record(router, command, was_done=fault is None)
        if fault is not None:
            return refusal(400, "Session closed" if fault.kind in ("slow", "silent", "deaf") else fault.text)
        return _reply(router, request, command, execute(router, login, command), wanted)


def _login(router: Router, request: Request) -> Login | None:
    kind, _, coded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(coded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    login = Login(request.peer)
    return login if authenticate(router, login, name, password, "rest-api") else None


def _command(router: Router, request: Request) -> tuple[Command | None, str]:
    """The API command that a request stands for, and which shape its answer has."""
    path = request.path.removeprefix(PREFIX).rstrip("/")
    body = json.loads(request.body) if request.body else {}
    arguments = {name: _string(value) for name, value in body.items() if name != ".query"}
    menu, _, last = path.rpartition("/")
    has_id = last.startswith("*")
    if request.method == "GET":
        return _get(menu if has_id else path, request.query, last if has_id else None)
    if request.method == "PUT":
        return Command(f"{path}/add", arguments), "created"
    if request.method == "PATCH" and has_id:
        return Command(f"{menu}/set", {**arguments, ".id": last}), "changed"
    if request.method == "DELETE" and has_id:
        return Command(f"{menu}/remove", {".id": last}), "removed"
    if request.method == "POST":
        return Command(path, arguments, [str(query) for query in body.get(".query", [])]), "action"
    return None, ""


def _get(path: str, query: dict[str, str], number: str | None) -> tuple[Command, str]:
    arguments = {".proplist": query[".proplist"]} if ".proplist" in query else {}
    queries = [f"{name}={value}" for name, value in query.items() if name != ".proplist"]
    if number is not None:
        return Command(f"{path}/print", arguments, [f".id={number}"]), "one"
    return Command(f"{path}/print", arguments, queries), "list"


def _string(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_string(item) for item in value)
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _reply(router: Router, request: Request, command: Command, given: Answer, wanted: str) -> Reply:
    traps = [sentence for sentence in given.sentences if sentence[0] in ("!trap", "!fatal")]
    if traps:
        return _refused(router, command, _attributes(traps[0]).get("message", ""))
    rows = [_attributes(sentence) for sentence in given.sentences if sentence[0] == "!re"]
    ret = next((_attributes(sentence).get("ret") for sentence in given.sentences if sentence[0] == "!done"), None)
    menu = command.word.rpartition("/")[0]
    if wanted == "removed":
        return Reply(204)
    if wanted in ("created", "changed"):
        row = router.find(menu, **{".id": ret or command.arguments[".id"]})[0]
        return _json(row, 201 if wanted == "created" else 200)
    if wanted == "one" or (wanted == "list" and router.menus[menu].single):
        return _json(rows[0]) if rows else refusal(404)
    return _json({"ret": ret} if ret is not None else rows)


def _refused(router: Router, command: Command, message: str) -> Reply:
    if message.startswith(router.behaviour.no_such_item):
        return refusal(404)
    if message == NO_RIGHTS:
        return refusal(500, message)
    if message == "no such command":
        return refusal(406, f"no such command or directory ({command.word.rpartition('/')[2]})")
    return refusal(400, message)


def _attributes(sentence: list[str]) -> dict[str, str]:
    pairs = (word[1:].partition("=") for word in sentence if word.startswith("="))
    return {name: value for name, _, value in pairs}


def refusal(status: int, detail: str = "") -> Reply:
    """An error as the REST API says it."""
    body = {"error": status, "message": REASONS[status], **({"detail": detail} if detail else {})}
    reply = _json(body, status)
    if status == 401:
        reply.headers["WWW-Authenticate"] = 'Basic realm="RouterOS"'
    return reply


def _json(body: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
