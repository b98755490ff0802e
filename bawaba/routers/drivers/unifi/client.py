"""Asking a controller over HTTPS: one client for both APIs, every call with a deadline and an honest error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from bawaba.routers.driver import GatewayError, RouterAuthFailed, RouterProtocolError, RouterRejected, RouterUnreachable
from bawaba.routers.drivers.unifi import tls
from bawaba.routers.drivers.unifi.account import Account, account
from bawaba.routers.drivers.unifi.options import Way
from bawaba.routers.drivers.unifi.refusals import LoggedOut, refusal

CONNECT_S = 3.0
CALL_S = 5.0
LIST_S = 20.0
ANSWER_MOST = 32 * 1024 * 1024
OS_PREFIX = "/proxy/network"
OFFICIAL = "/integration/v1"
COOKIES = ("TOKEN", "unifises")
CSRF = ("X-Updated-CSRF-Token", "X-CSRF-Token")
WITHOUT_PIN = (
    "this controller is not known yet. Its certificate has the SHA-256 fingerprint {shown}. If that is what your "
    "browser shows for the controller's own page, write it into the option certificate"
)
OTHER_PIN = "another certificate than before: its fingerprint is {shown}. Is it still your controller?"
Row = Mapping[str, Any]


class Client:
    """One controller, by an account or an API key."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.date: datetime | None = None  # the controller's clock, as its last answer said it
        self._account: Account = account(way.account)
        self._entering, self._writing = asyncio.Lock(), asyncio.Lock()
        self._http = httpx.AsyncClient(
            base_url=way.url,
            verify=tls.context(way.pin),
            timeout=httpx.Timeout(None, connect=way.connect_s),  # each call has its deadline
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # ours are kept with the account
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=2, keepalive_expiry=60.0),
            follow_redirects=False,
            trust_env=False,
        )

    async def classic(
        self, method: str, path: str, sent: Any = None, *, site: bool = True, deadline_s: float = CALL_S
    ) -> list[Row]:
        """The rows of an answer of the classic API; `path` is below the site. Raises `GatewayError`s."""
        where = f"/api/s/{self.way.site}/{path}" if site else f"/api/{path}"
        said = await self._asked(method, where, sent, deadline_s)
        rows = said.get("data") if isinstance(said, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise RouterProtocolError("the controller answered in no known form", outcome_known=method == "GET")
        return rows

    async def official(
        self, method: str, path: str, sent: Any = None, *, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The JSON of an answer of the official API. Raises `GatewayError`s."""
        if not self.way.api_key:
            raise RouterAuthFailed("the official API asks for an API key: set the option api_key")
        said = await self._asked(method, f"{OFFICIAL}/{path}", sent, CALL_S, query)
        if not isinstance(said, dict):
            raise RouterProtocolError("the controller answered in no known form", outcome_known=method == "GET")
        return said

    async def close(self) -> None:
        """Let go of the connections; the log-in stays for the next."""
        await self._http.aclose()

    async def _asked(
        self, method: str, path: str, sent: Any, deadline_s: float, query: Mapping[str, Any] | None = None
    ) -> Any:
        """Ask, logging in where that is needed, and once more where the log-in has run out."""
        for last in (False, True):
            used = await self._enter()
            try:
                if method == "GET" or self.way.api_key:
                    return await self._once(method, path, sent, deadline_s, query)
                async with self._writing:  # the answer to each write brings the token for the next
                    return await self._once(method, path, sent, deadline_s, query)
            except LoggedOut:
                if last or self.way.api_key or not self._account.may_renew():
                    raise
                self._forget(used)
        raise AssertionError("not reached")

    def _forget(self, used: dict[str, str]) -> None:
        if self._account.cookies is used:  # else somebody else has logged in meanwhile
            self._account.is_out()

    @property
    def _prefix(self) -> str:
        return OS_PREFIX if self._account.is_os else ""

    async def _enter(self) -> dict[str, str]:
        """See that we are logged in. Raises `RouterAuthFailed` where we may not be."""
        if self._account.is_os is not None and (self._account.cookies or self.way.api_key):
            return self._account.cookies
        if not self.way.pin:
            await self._shown()
        async with self._entering:
            if self._account.is_os is None:
                answer = await self._exchange("GET", "/", None, CALL_S)  # UniFi OS answers here, others lead to /manage
                self._account.is_os = answer.status_code == HTTPStatus.OK
            if not self._account.cookies and not self.way.api_key:
                await self._log_in()
        return self._account.cookies

    async def _shown(self) -> None:
        """Without a fingerprint to compare with, learn it and say it: the handshake ends there."""
        await self._exchange("GET", "/", None, CALL_S)

    async def _log_in(self) -> None:
        if not self.way.username or not self.way.password:
            raise RouterAuthFailed("neither an API key nor a user name with its password is set")
        self._account.check()
        sent = {"username": self.way.username, "password": self.way.password, "remember": True}
        path = "/api/auth/login" if self._account.is_os else "/api/login"
        answer = await self._exchange("POST", path, sent, CALL_S)
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._account.was_too_often(_seconds(answer.headers.get("Retry-After")))
            self._account.check()
        cookies = _cookies(answer)
        if answer.status_code != HTTPStatus.OK or not cookies:
            raise self._not_in(answer)
        self._account.is_in(cookies, _csrf(answer) or "")

    def _not_in(self, answer: httpx.Response) -> GatewayError:
        """Why a log-in was not taken."""
        said = refusal(answer.status_code, _json(answer), writes=False)
        if isinstance(said, RouterUnreachable | RouterProtocolError):
            self._account.is_os = None
            return said
        error = RouterAuthFailed(f"the controller refused the log-in: {said}")
        self._account.was_refused(error)
        return error

    async def _once(self, method: str, path: str, sent: Any, deadline_s: float, query: Mapping[str, Any] | None) -> Any:
        writes = method != "GET"
        answer = await self._exchange(method, self._prefix + path, sent, deadline_s, query)
        if (token := _csrf(answer)) and self._account.cookies:  # also on what is only read: a write's may have got lost
            self._account.csrf = token
        if (cookies := _cookies(answer)) and self._account.cookies:
            self._account.cookies = self._account.cookies | cookies
        said = _json(answer)
        if answer.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            raise refusal(answer.status_code, said, writes=writes)
        if said is None:
            raise RouterProtocolError("the controller's answer is no JSON", outcome_known=not writes)
        meta = said.get("meta") if isinstance(said, dict) else None
        if isinstance(meta, dict) and meta.get("rc") == "error":
            raise refusal(answer.status_code, said, writes=writes)
        return said

    async def _exchange(
        self, method: str, path: str, sent: Any, deadline_s: float, query: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """One question and its answer, whatever it is. Raises `RouterUnreachable` and `RouterAuthFailed`."""
        writes = method != "GET"
        try:
            async with asyncio.timeout(deadline_s + max(0.0, self.way.connect_s - CONNECT_S)):
                return await self._sent(method, path, sent, query)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            if (unknown := tls.unknown_certificate(error)) is not None:
                words = OTHER_PIN if self.way.pin else WITHOUT_PIN
                raise RouterAuthFailed(words.format(shown=unknown.shown)) from error
            raise RouterUnreachable(f"no controller at {self.way.host}:{self.way.port}: {error!r}") from error
        except httpx.InvalidURL as error:
            raise RouterRejected(f"{self.way.host} is no address") from error
        except (httpx.DecodingError, httpx.RemoteProtocolError) as error:
            raise RouterUnreachable(f"the controller broke off: {error!r}", outcome_known=not writes) from error
        except (httpx.HTTPError, OSError) as error:
            raise RouterUnreachable(f"the controller went away: {error!r}", outcome_known=not writes) from error
        except TimeoutError as error:
            raise RouterUnreachable(f"no answer within {deadline_s:g} s", outcome_known=not writes) from error

    async def _sent(self, method: str, path: str, sent: Any, query: Mapping[str, Any] | None) -> httpx.Response:
        headers = {"X-API-KEY": self.way.api_key} if self.way.api_key else self._entry(method)
        request = self._http.build_request(method, path, json=sent, params=query, headers=headers)
        answer = await self._http.send(request, stream=True)
        try:
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > ANSWER_MOST:
                    raise httpx.DecodingError("an answer without an end", request=request)
        finally:
            await answer.aclose()
        self.date = _date(answer.headers.get("Date"))
        return httpx.Response(answer.status_code, headers=_plain(answer.headers), content=bytes(body), request=request)

    def _entry(self, method: str) -> dict[str, str]:
        """The headers by which the controller knows our log-in."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._account.cookies.items())}
        if method != "GET" and self._account.csrf:
            headers["X-CSRF-Token"] = self._account.csrf
        return {name: value for name, value in headers.items() if value}


def _plain(headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
    """The headers of a body that has been decoded already."""
    return [
        (name, value) for name, value in headers.raw if name.lower() not in (b"content-encoding", b"content-length")
    ]


def _json(answer: httpx.Response) -> Any:
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        return None


def _cookies(answer: httpx.Response) -> dict[str, str]:
    """The cookies of a log-in that an answer brings."""
    return {name: value for name in COOKIES if (value := answer.cookies.get(name))}


def _csrf(answer: httpx.Response) -> str | None:
    return next((token for name in CSRF if (token := answer.headers.get(name))), None)


def _date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isascii() and text.isdigit() else 60.0
