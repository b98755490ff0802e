"""Errors become answers here and only here: JSON for programs, a page for people."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from flask import Flask, Response, g, redirect, render_template, request
from flask.json.provider import JSONProvider
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from bawaba.core import tracing
from bawaba.core.errors import NotFound, Problem, TooMany, Unauthenticated
from bawaba.web import language
from bawaba.web.messages import sentence

log = structlog.get_logger(__name__)
REQUEST_ID_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
REQUEST_ID_MOST = 64
HTTP_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_type",
}


class OrjsonProvider(JSONProvider):
    """orjson for all JSON; times leave as RFC 3339 UTC with a Z."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)


def install(app: Flask) -> None:
    """Give the app its request ids, language, JSON and error answers."""
    app.json = OrjsonProvider(app)

    @app.before_request
    def begin() -> None:
        sent = request.headers.get("X-Request-ID", "")
        sane = 0 < len(sent) <= REQUEST_ID_MOST and REQUEST_ID_LETTERS.issuperset(sent)
        g.request_id = sent if sane else secrets.token_hex(8)
        g.started = time.perf_counter()
        g.language = language.choose(request.args.get("lang"), request.accept_languages, "en")
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        if "\0" in request.path or b"%00" in request.query_string:  # PostgreSQL has no such character; nobody means it
            raise NotFound()

    @app.after_request
    def end(answer: Response) -> Response:
        answer.headers["X-Request-ID"] = g.get("request_id", "")
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("X-Frame-Options", "DENY")
        answer.headers.setdefault("Referrer-Policy", "same-origin")
        answer.headers.setdefault("Content-Security-Policy", CSP)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    app.register_error_handler(Problem, problem_answer)
    app.register_error_handler(HTTPException, http_answer)
    app.register_error_handler(Exception, crash_answer)


CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)


def wants_json() -> bool:
    """Whether the caller is a program: the API's addresses, JSON sent, or JSON asked for before HTML."""
    if request.path.startswith("/api/") or request.is_json:
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json"], default="text/html")
    return best == "application/json"


def problem_answer(problem: Problem) -> ResponseReturnValue:
    """The answer to something a person hit. Normal life, not an error of ours."""
    tracing.ended_by(problem.code)
    note = log.debug if isinstance(problem, Unauthenticated) and not wants_json() else log.info  # only sent to sign in
    note("refused", error_code=problem.code, path=request.path if not request.path.startswith("/c/") else "/c/…")
    if isinstance(problem, Unauthenticated) and not wants_json():
        return redirect(f"/login?next={quote(request.full_path.rstrip('?'))}", 303)
    answer = _answer(problem.code, problem.status, problem.details)
    if isinstance(problem, TooMany) and "retry_after_s" in problem.details:
        answer.headers["Retry-After"] = str(max(1, int(problem.details["retry_after_s"])))
    return answer


def http_answer(error: HTTPException) -> ResponseReturnValue:
    """Flask's own refusals (no such page, wrong method, unreadable body) in our words."""
    if error.code is not None and 300 <= error.code < 400:
        return error
    status = error.code or 500
    answer = _answer(HTTP_CODES.get(status, "bad_request" if status < 500 else "internal"), status, {})
    if (allow := error.get_response().headers.get("Allow")) is not None:
        answer.headers["Allow"] = allow
    return answer


def crash_answer(error: Exception) -> ResponseReturnValue:
    """Something of ours broke: the log has it all, the person gets the request's id."""
    tracing.ended_by(type(error).__name__)
    log.exception("a request failed", path=request.path, method=request.method)
    return _answer("internal", 500, {})


def _answer(code: str, status: int, details: dict[str, Any]) -> Response:
    message = sentence(code, details)
    if wants_json():
        body = {"error": code, "message": message, "request_id": g.get("request_id", ""), "details": details}
        return Response(orjson.dumps(body, default=str), status, mimetype="application/json")
    page = render_template("problem.html", code=code, message=message, status=status, details=details)
    return Response(page, status, mimetype="text/html")
