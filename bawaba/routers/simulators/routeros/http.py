"""Enough of HTTP/1.1 for a router's own small web server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlsplit

BODY_LIMIT = 256 * 1024
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """What came. Names of headers are in lower case; of a field that came twice the last is kept."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    peer: str
    secure: bool = False

    @property
    def form(self) -> dict[str, str]:
        """The fields of a posted form, over those of the address."""
        if not self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return self.query
        return self.query | dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def cookies(self) -> dict[str, str]:
        """The browser's cookies."""
        jar: SimpleCookie = SimpleCookie()
        with contextlib.suppress(CookieError):
            jar.load(self.headers.get("cookie", ""))
        return {name: morsel.value for name, morsel in jar.items()}


@dataclass(slots=True)
class Reply:
    """What to answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Reply | Awaitable[Reply]]
Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], "asyncio.Future[None]"]


async def converse(handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secure: bool) -> None:
    """Answer one connection's requests until it ends."""
    try:
        while (request := await _read(reader, writer, secure)) is not None:
            keep = request.headers.get("connection", "").lower() != "close"
            reply = handler(request)
            _write(writer, request, reply if isinstance(reply, Reply) else await reply, keep)
            await writer.drain()
            if not keep:
                break
    except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ValueError):
        writer.transport.abort()  # whoever it was does not speak HTTP, or has gone
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secure: bool) -> Request | None:
    async with asyncio.timeout(PATIENCE_S):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                return None
            raise
        except asyncio.LimitOverrunError as error:
            raise ValueError("a head that is too long") from error
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length") or 0)
        if not 0 <= size <= BODY_LIMIT:
            raise ValueError("a body that is too long")
        body = await reader.readexactly(size)
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    peer = writer.get_extra_info("peername")[0]
    return Request(method, parts.path or "/", query, headers, body, peer, secure)


def _write(writer: asyncio.StreamWriter, request: Request, reply: Reply, keep: bool) -> None:
    phrase = HTTPStatus(reply.status).phrase if reply.status in list(HTTPStatus) else "Answer"
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        **reply.headers,
        "Content-Length": str(len(reply.body)),
        "Connection": "keep-alive" if keep else "close",
    }
    if reply.status == HTTPStatus.NO_CONTENT:
        del headers["Content-Type"], headers["Content-Length"]
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if "\r" not in value and "\n" not in value)
    writer.write(f"HTTP/1.1 {reply.status} {phrase}\r\n{head}\r\n".encode("latin-1", "replace"))
    if request.method != "HEAD":
        writer.write(reply.body)
