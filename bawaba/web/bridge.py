"""The buffered bridge from ASGI to Flask: whole request in, a thread of a fixed pool, whole answer out.

What may take long goes round the threads: bodies are read before one is taken, and an answer with the header
`X-Bawaba-File: <path>` is streamed from disk after it is given back.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import orjson
import structlog
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from bawaba.web import language
from bawaba.web.language import translate
from bawaba.web.messages import SENTENCES, say
from bawaba.web.proxies import Caller, Headers, Proxies, Scope
from bawaba.web.threads import Left, Threads

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

MIB = 1 << 20
FILE_CHUNK_BYTES = 1 << 18
BODY_DEADLINE_S = 30.0
LINGER_S = 1.0
SLOW_THREADS = 4
SLOW_QUEUE = 16
FILE_HEADER = b"x-bawaba-file"
FILE_ONCE_HEADER = b"x-bawaba-file-once"
SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger(__name__)


class Answer(NamedTuple):
    """What the app said, ready for the wire."""

    status: int
    headers: Headers
    body: bytes
    file: str = ""
    once: bool = False


class Refusal(Exception):
    """The bridge answers by itself, and the app never hears of the request."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


TOO_LARGE = Refusal(413, "too_large")
TOO_SLOW = Refusal(408, "too_slow")
OVERLOADED = Refusal(503, "overloaded")
BROKEN = Refusal(500, "internal")
say(
    too_slow="The request did not arrive in time. Try again.",
    overloaded="Too many requests at once. Wait a moment and try again.",
)


class WsgiBridge:
    """An ASGI application around a WSGI one.

    `body_limits` maps path prefixes to their own limit in bytes; the longest prefix that fits wins over `max_body`.
    Paths with one of `slow_endings` (a file that takes seconds to make) have a few threads of their own: however many
    of them are asked for, guests find a thread.
    """

    def __init__(
        self,
        app: WsgiApp,
        *,
        threads: int = 12,
        queue_limit: int = 512,
        slow_endings: tuple[str, ...] = (),
        max_body: int = MIB,
        body_limits: Mapping[str, int] | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._app = app
        self._threads = Threads(threads, queue_limit)
        self._slow_threads = Threads(SLOW_THREADS, SLOW_QUEUE, name="slow")
        self._slow_endings = slow_endings
        self._max_body = max_body
        self._body_limits = sorted((body_limits or {}).items(), key=lambda item: -len(item[0]))
        self._proxies = proxies or Proxies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._proxies.caller(scope)
        try:
            body = await self._read_body(scope, caller.headers, receive)
            answer = await self._ask(environ_of(scope, caller, body), receive)
            if answer.file:
                await _send_file(answer, scope["method"], receive, send)
                return
        except Refusal as refusal:
            await _send_refusal(refusal, caller.headers, receive, send)
        except Left:
            log.info("the client left before its answer", path=scope["path"])
        else:
            await _send(send, answer)

    def close(self) -> None:
        """Let running requests end, and stop the threads."""
        self._threads.close()
        self._slow_threads.close()

    async def _ask(self, environ: dict[str, Any], receive: Receive) -> Answer:
        threads = self._slow_threads if environ["PATH_INFO"].endswith(self._slow_endings) else self._threads
        if threads.full:
            raise OVERLOADED
        try:
            # Only who has to wait for a thread is watched: it may be gone when its turn comes.
            answer: Answer = await threads.run(self._run_app, environ, receive if threads.all_busy else None)
            return answer
        except Left:
            raise
        except Exception:
            log.exception("the app failed outside its own error handling", path=environ["PATH_INFO"])
            raise BROKEN from None

    def _run_app(self, environ: dict[str, Any]) -> Answer:
        """In a thread: run the app and gather all of its answer."""
        started: list[Any] = []
        parts: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started[:] = status, headers
            return parts.append

        result = self._app(environ, start_response)
        try:
            parts.extend(result)
        finally:
            if (close := getattr(result, "close", None)) is not None:
                close()
        return _answer(started[0], started[1], b"".join(parts), environ["REQUEST_METHOD"])

    async def _read_body(self, scope: Scope, headers: Headers, receive: Receive) -> bytes:
        limit = next((limit for prefix, limit in self._body_limits if scope["path"].startswith(prefix)), self._max_body)
        for name, value in headers:
            if name == b"content-length" and int(value) > limit:
                raise TOO_LARGE
        message = await receive()
        if not message.get("more_body"):
            if message["type"] == "http.disconnect":
                raise Left
            body: bytes = message["body"]
            if len(body) > limit:
                raise TOO_LARGE
            return body
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                return await _read_on(message, limit, receive)
        except TimeoutError:
            raise TOO_SLOW from None


async def _read_on(message: MutableMapping[str, Any], limit: int, receive: Receive) -> bytes:
    body = bytearray(message["body"])
    while message.get("more_body"):
        if len(body) > limit:
            raise TOO_LARGE
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        body += message["body"]
    if len(body) > limit:
        raise TOO_LARGE
    return bytes(body)


@lru_cache(maxsize=256)
def _environ_key(name: bytes) -> str:
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"


BASE_ENVIRON: dict[str, Any] = {
    "SERVER_SOFTWARE": "bawaba",
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}


def environ_of(scope: Scope, caller: Caller, body: bytes) -> dict[str, Any]:
    """Say an ASGI request in WSGI's words (PEP 3333): text as latin-1, path and query undecoded."""
    server_host, server_port = scope.get("server") or ("", 0)
    root = scope.get("root_path", "")
    environ = {
        **BASE_ENVIRON,
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(scope["raw_path"][len(root) :]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server_host,
        "SERVER_PORT": str(server_port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": caller.address,
        "REMOTE_PORT": str(caller.port),
        "wsgi.url_scheme": caller.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "bawaba.arrived": time.perf_counter(),
    }
    for name, value in caller.headers:
        key, text = _environ_key(name), value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if name == b'cookie' else ','}{text}"
        environ[key] = text
    if environ.pop("HTTP_TRANSFER_ENCODING", None) is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    if caller.host:
        environ["HTTP_HOST"] = caller.host
    return environ


def _answer(status_line: str, said: list[tuple[str, str]], body: bytes, method: str) -> Answer:
    status = int(status_line[:3])
    headers: Headers = []
    file, once, length = "", False, b""
    for text, value in said:
        name = text.lower().encode("latin-1")
        if name == b"content-length":
            length = value.encode()
        elif name == FILE_HEADER:
            file = value
        elif name == FILE_ONCE_HEADER:
            once = True
        elif name != b"transfer-encoding":
            headers.append((name, value.encode("latin-1")))
    if file:
        return Answer(status, headers, b"", file, once)
    if status in {204, 304}:
        return Answer(status, headers, b"")
    if method == "HEAD":
        return Answer(status, [*headers, (b"content-length", length)] if length else headers, b"")
    headers.append((b"content-length", b"%d" % len(body)))
    return Answer(status, headers, body)


async def _send(send: Send, answer: Answer, more: bool = False) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": more})


async def _send_refusal(refusal: Refusal, asked: Headers, receive: Receive, send: Send) -> None:
    """Say no in the API's words. The rest of a body is not wanted, so the connection ends with it."""
    request_id = _request_id(asked)
    message = translate(SENTENCES[refusal.code], _language(asked))
    body = orjson.dumps({"error": refusal.code, "message": message, "request_id": request_id, "details": {}})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
    ]
    if refusal is OVERLOADED:
        headers.append((b"retry-after", b"1"))
    if refusal not in {TOO_LARGE, TOO_SLOW}:
        await _send(send, Answer(refusal.status, headers, body))
        return
    await _send(send, Answer(refusal.status, [*headers, (b"connection", b"close")], body), more=True)
    await _linger(receive)
    await send({"type": "http.response.body", "body": b""})


def _request_id(headers: Headers) -> str:
    """The caller's own name for the request when it is a sane one, else a new one."""
    sent = dict(headers).get(b"x-request-id", b"")
    return sent.decode("ascii") if SANE_REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)


def _language(headers: Headers) -> str:
    accepted = parse_accept_header(dict(headers).get(b"accept-language", b"").decode("latin-1"), LanguageAccept)
    return language.choose(None, accepted, language.SOURCE)


async def _linger(receive: Receive) -> None:
    """Give the client a moment to read its answer: closing upon unread data would throw that away (RFC 9112, 9.6)."""
    try:
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body"):
                pass
    except TimeoutError:
        return


async def _send_file(answer: Answer, method: str, receive: Receive, send: Send) -> None:
    """Stream a file, until its end or until the client leaves."""
    try:
        file = await asyncio.to_thread(Path(answer.file).open, "rb")
    except OSError:
        log.exception("a file that an answer names cannot be read", path=answer.file)
        raise BROKEN from None
    leaving = asyncio.ensure_future(receive())
    try:
        if answer.once:
            os.unlink(answer.file)
        left = os.fstat(file.fileno()).st_size
        headers = [*answer.headers, (b"content-length", b"%d" % left)]
        await _send(send, Answer(answer.status, headers, b""), more=left > 0 and method != "HEAD")
        while method != "HEAD" and left > 0 and not leaving.done():
            chunk = await asyncio.to_thread(file.read, min(FILE_CHUNK_BYTES, left))
            if not chunk:
                log.error("a file was cut short while it was sent", path=answer.file, missing_bytes=left)
                return
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
    finally:
        leaving.cancel()
        file.close()
