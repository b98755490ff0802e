"""An openNDS 10 of level 4 in memory: phones behind it, and a script that asks the portal over a real socket as
`authmon` does."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode

import httpx

from bawaba.core.clock import ManualClock

KB = 1024
FASKEY = "0123456789abcdef0123456789abcdef"
AGENT = '"openNDS(authmon;NDS:10.3.1;)"'
AT_ONCE, READS = 4, 1024


@dataclass
class Seen:
    """A phone as the gateway knows it."""

    mac: str
    ip: str
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    online: bool = False
    started: float = 0.0
    minutes: int = 0
    rates: tuple[int, int] = (0, 0)
    quotas: tuple[int, int] = (0, 0)  # kB up, down
    custom: str = ""
    up: int = 0
    down: int = 0

    @property
    def hid(self) -> str:
        """What its browser is told of the token."""
        return hashlib.sha256(self.token.encode()).hexdigest()


class Nds:
    """The gateway. `cut` loses calls, by number from now: before they reach us, or their answers after."""

    def __init__(self, base_url: str, clock: ManualClock, name: str = "Roof-1-hard-to-guess", **facts: Any) -> None:
        self.clock, self.name = clock, name
        self.mac, self.faskey = facts.get("mac", "02:0a:0b:0c:0d:0e"), facts.get("faskey", FASKEY)
        self.hash = hashlib.sha256(quote(name, safe="").encode()).hexdigest()
        self.url = f"{base_url}/fas/"
        self.posts = facts.get("posts", False)
        self.clients: dict[str, Seen] = {}
        self.reports: list[str] = []
        self.calls = 0
        self._cut: tuple[str, int, int | None] | None = None
        self._http = httpx.Client(headers={"User-Agent": AGENT}, timeout=5)

    def close(self) -> None:
        """Let go of the socket."""
        self._http.close()

    # --- its phones ---

    def join(self, mac: str, ip: str) -> Seen:
        """A phone comes, or is back after it was forgotten."""
        return self.clients.setdefault(mac, Seen(mac, ip))

    def redirect(self, mac: str, *, says_mac: str | None = None) -> str:
        """Where the phone's browser is sent: the path and query at the portal."""
        seen = self.clients[mac]
        said = {
            "hid": seen.hid, "clientip": seen.ip, "clientmac": says_mac or seen.mac, "client_type": "cpd_can",
            "cpi_query": "(null)", "gatewayname": quote(self.name, safe=""), "version": "10.3.1",
            "gatewayaddress": "10.88.0.1:2050", "gatewaymac": self.mac, "originurl": "http%3a%2f%2fexample.com",
            "clientif": "wlan0", "themespec": "(null)",
        }  # fmt: skip
        text = ", ".join(f"{name}={value}" for name, value in said.items())
        return f"/fas/?fas={base64.b64encode(text.encode()).decode()}"

    def online(self) -> list[str]:
        """The MACs that are let through."""
        return [mac for mac, seen in self.clients.items() if seen.online]

    def move(self, mac: str, up: int, down: int) -> None:
        """So many bytes by that phone; what is over its quota ends its session."""
        seen = self.clients[mac]
        assert seen.online
        seen.up, seen.down = seen.up + up, seen.down + down
        if any(quota and moved >= quota * KB for quota, moved in zip(seen.quotas, (seen.up, seen.down), strict=True)):
            self.end(mac, "download_quota")

    def check_time(self) -> None:
        """End whose minutes are over."""
        for mac, seen in list(self.clients.items()):
            if seen.online and seen.minutes and self.clock.now().timestamp() >= seen.started + 60 * seen.minutes:
                self.end(mac, "timeout")

    def end(self, mac: str, method: str) -> str:
        """A session ends; the phone is forgotten, and we are told once. Answers what was told."""
        seen = self.clients.pop(mac)
        self.clients[mac] = Seen(mac, seen.ip)  # it makes a new request, and is known anew
        now = int(self.clock.now().timestamp())
        told = (
            f"method={method}_deauth, clientmac={mac}, bytes_incoming={seen.down}, bytes_outgoing={seen.up}, "
            f"session_start={int(seen.started)}, session_end={now}, token={seen.token}, custom={seen.custom}"
        )
        self.reports.append(told)
        self.call("deauthed", told)
        return told

    def power_off(self) -> None:
        """It forgets everybody; nobody is told."""
        self.clients = {mac: Seen(mac, seen.ip) for mac, seen in self.clients.items()}

    # --- its script ---

    def start(self) -> str | None:
        """What is said at the start."""
        return self.call("clear", "none")

    def round(self) -> list[str]:
        """One round of the script: ask, let in, say whom. Answers the proofs of who was let in."""
        listed = self.call("view", "none")
        done = self.let_in(listed) if listed is not None else []
        self.call("view", " ".join(["*", *done]))
        return done

    def let_in(self, listed: str) -> list[str]:
        """Do what a list says, as far as it is read."""
        if not listed.startswith("*"):
            return []
        entries = listed[2 : 2 + READS].split()
        return [proof for entry in entries[:AT_ONCE] if (proof := self._auth(unquote(entry)))]

    def _auth(self, line: str) -> str | None:
        proof, minutes, *numbers, custom = line.split()
        assert not set(line) & set("`$;&|<>()'\"\\*?"), "a shell evaluates this"
        for seen in self.clients.values():
            if hashlib.sha256((seen.hid + self.faskey).encode()).hexdigest() == proof and not seen.online:
                up, down, up_kb, down_kb = map(int, numbers)
                seen.online, seen.started, seen.minutes = True, self.clock.now().timestamp(), int(minutes)
                seen.rates, seen.quotas, seen.custom = (up, down), (up_kb, down_kb), custom
                return proof
        return None

    def call(self, verb: str, payload: str, **more: str) -> str | None:
        """Ask the portal; None where the call, or its answer, was lost."""
        number, self.calls = self.calls, self.calls + 1
        cut = self._how_cut(number)
        if cut == "before":
            return None
        said = {"auth_get": verb, "gatewayhash": self.hash} | more
        encoded = base64.b64encode(payload.encode()).decode()
        if self.posts:
            answer = self._http.post(self.url, data=said | {"payload": encoded})
        else:
            answer = self._http.get(f"{self.url}?{urlencode(said)}&payload={encoded}")
        self.last = answer
        return None if cut == "after" or answer.status_code != 200 else answer.text

    def cut(self, how: str, at: int, times: int | None = 1) -> None:
        """Lose calls from the one with this number on."""
        self.calls, self._cut = 0, (how, at, times)

    def heal(self) -> None:
        """The link is there."""
        self._cut = None

    def _how_cut(self, number: int) -> str | None:
        if self._cut is None:
            return None
        how, at, times = self._cut
        return how if number >= at and (times is None or number < at + times) else None
