"""One HTTP POST outward: to an address that was looked at first, with one deadline over all of it, no redirects."""

from __future__ import annotations

import asyncio
import functools
import ssl
import time
from dataclasses import dataclass, field

import httpx

from bawaba.webhooks import rules

DEADLINE_S = 5.0
NOT_TAKEN, REDIRECTED, TIMED_OUT, PRIVATE_HOST = "not_taken", "redirected", "timed_out", "private_host"
UNKNOWN_HOST, UNREACHABLE, BAD_CERTIFICATE = "unknown_host", "unreachable", "bad_certificate"
WITHOUT_ANSWER = frozenset({TIMED_OUT, UNKNOWN_HOST, UNREACHABLE, BAD_CERTIFICATE, PRIVATE_HOST})


@dataclass(frozen=True, slots=True)
class Letter:
    """One message, opened."""

    delivery_id: int
    webhook_id: int
    url: str
    allow_private: bool
    secret: str = field(repr=False)
    body: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try went: `error` is None when it was taken (2xx), else one of the words above."""

    error: str | None
    status: int | None
    took_ms: int


class PrivateHost(Exception):
    """The name leads to no address that may be told."""


def headers(letter: Letter, timestamp: int) -> dict[str, str]:
    """What goes with a message; `timestamp` is Unix time in seconds."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Bawaba-Webhooks",
        "X-Bawaba-Delivery": str(letter.delivery_id),
        "X-Bawaba-Timestamp": str(timestamp),
        "X-Bawaba-Signature": rules.signature(letter.secret, timestamp, letter.body),
    }


async def post(letter: Letter, timestamp: int, deadline_s: float = DEADLINE_S) -> Outcome:
    """Try once."""
    began = time.monotonic()
    error, status = await _tried(letter, timestamp, deadline_s)
    return Outcome(error, status, round((time.monotonic() - began) * 1000))


async def _tried(letter: Letter, timestamp: int, deadline_s: float) -> tuple[str | None, int | None]:
    try:
        async with asyncio.timeout(deadline_s):
            status = await _status_of(letter, timestamp)
    except (TimeoutError, httpx.TimeoutException):
        return TIMED_OUT, None
    except PrivateHost:
        return PRIVATE_HOST, None
    except (httpx.HTTPError, OSError, ValueError) as error:
        return _word_for(error), None
    if 200 <= status < 300:
        return None, status
    return (REDIRECTED if 300 <= status < 400 else NOT_TAKEN), status


async def _status_of(letter: Letter, timestamp: int) -> int:
    """Connect to the address that was looked at, under the host's name, so that no second look-up leads elsewhere."""
    url = httpx.URL(letter.url)
    host = url.raw_host.decode("ascii")
    address = await _address_of(host, url.port or (443 if url.scheme == "https" else 80), letter.allow_private)
    sent = headers(letter, timestamp) | {"Host": url.netloc.decode("ascii")}
    settings = {"verify": _certificates(), "trust_env": False, "follow_redirects": False, "timeout": DEADLINE_S}
    async with (
        httpx.AsyncClient(**settings) as client,  # type: ignore[arg-type]
        client.stream(
            "POST",
            url.copy_with(host=address),
            content=letter.body.encode(),
            headers=sent,
            extensions={"sni_hostname": host},
        ) as answer,
    ):
        return answer.status_code


async def _address_of(host: str, port: int, allow_private: bool) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(UNKNOWN_HOST) from error
    for *_, address in found:
        if rules.may_be_told(str(address[0]), allow_private):
            return str(address[0])
    raise PrivateHost()


def _word_for(error: Exception) -> str:
    if str(error) == UNKNOWN_HOST:
        return UNKNOWN_HOST
    while error.__cause__ is not None or error.__context__ is not None:
        if isinstance(error, ssl.SSLError):
            break
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return BAD_CERTIFICATE if isinstance(error, ssl.SSLError) else UNREACHABLE


@functools.cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()
