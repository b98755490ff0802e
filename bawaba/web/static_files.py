"""The files in `static/`, answered from memory on the ASGI side."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from bawaba.web.bridge import Receive, Send, WsgiBridge
from bawaba.web.proxies import Headers, Scope

FOLDER = Path(__file__).parent / "static"
TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2", ".webmanifest": "application/json"}
FOR_A_YEAR = b"public, max-age=31536000, immutable"
ASK_EACH_TIME = b"no-cache"
WORTH_GZIP_BYTES = 512


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it goes out. `version` is the beginning of its SHA-256."""

    body: bytes
    zipped: bytes
    content_type: bytes
    version: str
    changed_ns: int


class StaticFiles:
    """An ASGI application for `prefix` + a path inside `folder`; nothing outside of it can be named.

    An address from `url` holds the file's version and may be kept for a year; others are asked for again with the ETag.
    `otherwise` answers for a file that is not there: a gateway catches such addresses of other hosts too.
    """

    def __init__(self, folder: Path = FOLDER, prefix: str = "/static/", *, otherwise: WsgiBridge | None = None) -> None:
        self._folder = folder.resolve()
        self._prefix = prefix
        self._otherwise = otherwise
        self._files: dict[str, StaticFile] = {}

    def url(self, name: str) -> str:
        """The address of a file that changes when the file does."""
        file = self._find(name)
        if file is None:
            raise FileNotFoundError(name)
        return f"{self._prefix}{name}?v={file.version}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, [(b"allow", b"GET, HEAD")], b"")
            return
        file = self._find(scope["path"].removeprefix(self._prefix))
        if file is None and self._otherwise is not None:
            await self._otherwise(scope, receive, send)
            return
        if file is None:
            await _answer(send, 404, [(b"content-type", b"text/plain; charset=utf-8")], b"Not found\n")
            return
        asked = dict(scope["headers"])
        zipped = bool(file.zipped) and b"gzip" in asked.get(b"accept-encoding", b"")
        headers = _headers(file, zipped, parse_qs(scope["query_string"].decode("latin-1")).get("v") == [file.version])
        if _same(asked.get(b"if-none-match", b""), file.version.encode()):
            await _answer(send, 304, headers, b"")
            return
        body = file.zipped if zipped else file.body
        await _answer(send, 200, [*headers, (b"content-length", b"%d" % len(body))], body)

    def _find(self, name: str) -> StaticFile | None:
        """The file by that name, read again when it changed on disk."""
        known = self._files.get(name)
        try:
            path = self._folder / name if known else self._inside(name)
            changed_ns = os.stat(path).st_mtime_ns if path else 0
            if path is None or (known and known.changed_ns == changed_ns):
                return known
            self._files[name] = _read(path, changed_ns)
        except OSError:
            self._files.pop(name, None)
            return None
        return self._files[name]

    def _inside(self, name: str) -> Path | None:
        if "\0" in name or "\\" in name or any(part.startswith(".") or not part for part in name.split("/")):
            return None
        path = (self._folder / name).resolve()
        return path if path.is_relative_to(self._folder) and path.is_file() else None


def _read(path: Path, changed_ns: int) -> StaticFile:
    body = path.read_bytes()
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    text = kind.startswith("text/") or kind in {"image/svg+xml", "application/json"}
    zipped = gzip.compress(body, 9, mtime=0) if text and len(body) >= WORTH_GZIP_BYTES else b""
    content_type = f"{kind}; charset=utf-8" if text else kind
    return StaticFile(body, zipped, content_type.encode(), hashlib.sha256(body).hexdigest()[:16], changed_ns)


def _headers(file: StaticFile, zipped: bool, versioned: bool) -> Headers:
    headers = [
        (b"content-type", file.content_type),
        (b"cache-control", FOR_A_YEAR if versioned else ASK_EACH_TIME),
        (b"etag", f'W/"{file.version}"'.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if file.zipped:
        headers.append((b"vary", b"accept-encoding"))
    if zipped:
        headers.append((b"content-encoding", b"gzip"))
    return headers


def _same(if_none_match: bytes, version: bytes) -> bool:
    tags = {tag.strip().removeprefix(b"W/").strip(b'"') for tag in if_none_match.split(b",")}
    return version in tags or tags == {b"*"}


async def _answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    if status in {404, 405}:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
