"""A small town of network namespaces: guests' phones, a Linux gateway, an internet, and the manager's own link.

    phones (g0, g1, …)  --bridge "lan"--  gateway  --"wan"--  internet (pages, a big file, IPv4 and IPv6)
                                             +-----"mgmt"--  manager's box, where it is asked for

A `Place` runs programs inside one of them. Everything is gone when the `with` block ends. Only for tests marked
`netns`; as fixtures: `lab` (a new town for each test that asks) or your own around `Lab()`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent
LAN4, LAN6 = "10.77.0", "2001:db8:77:"  # the gateway is .1 and ::1, guest n is .10+n and ::10+n
GATEWAY4, GATEWAY6 = f"{LAN4}.1", f"{LAN6}:1"
INTERNET4, INTERNET6 = "198.51.100.10", "2001:db8:1::10"
OTHER4 = "198.51.100.11"  # a second site, for walled gardens
PRIVATE4, PRIVATE6 = "192.168.50.1", "fd00:50::1"  # the owner's own network, beyond the gateway
MANAGER4 = "172.30.0.2"
PORTAL_PORT = 5000

_numbers = itertools.count()


class Place:
    """One namespace, and what runs in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._running: list[subprocess.Popen[str]] = []

    def command(self, *words: str) -> list[str]:
        """A command made to run here."""
        return ["ip", "netns", "exec", self.name, *words]

    def run(self, *words: str, check: bool = True, given: str | None = None, timeout: float = 30.0) -> str:
        """Run a program here to its end, and return what it printed."""
        done = subprocess.run(self.command(*words), input=given, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)} in {self.name}: {done.returncode}, {done.stderr.strip()}")
        return done.stdout

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program here; it is ended with the town."""
        process: subprocess.Popen[str] = subprocess.Popen(
            self.command(*words), **{"text": True, "cwd": ROOT, "start_new_session": True, **options}
        )
        self._running.append(process)
        return process

    def python(self, module: str, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start one of our modules here."""
        return self.popen(sys.executable, "-m", module, *words, **options)

    def curl(self, url: str, *options: str, timeout: float = 10.0) -> Answer:
        """Fetch a page as a guest's browser would, without following a redirect."""
        form = "\n%{http_code} %{size_download} %{size_upload} %{time_total} %{redirect_url}"
        words = self.command("curl", "-sg", "--noproxy", "*", "-m", str(timeout), "-w", form, *options, url)
        done = subprocess.run(words, capture_output=True, timeout=timeout + 10)
        body, _, facts = done.stdout.decode(errors="replace").rpartition("\n")
        code, down, up, seconds, place = (facts.split(" ") + [""] * 5)[:5]
        return Answer(done.returncode, int(code or 0), body, int(down or 0), int(up or 0), float(seconds or 0), place)

    def kill(self, process: subprocess.Popen[str], how: int = signal.SIGKILL) -> None:
        """End a program that was started here."""
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
        process.wait(timeout=10)

    def stop(self) -> None:
        """End everything that was started here."""
        for process in self._running:
            self.kill(process)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self._running.clear()


@dataclass(frozen=True)
class Answer:
    """How a fetch went: curl's exit code, the HTTP status, and what was moved."""

    exit_code: int
    status: int
    body: str
    down: int
    up: int
    seconds: float
    redirect: str

    @property
    def refused(self) -> bool:
        """Whether the connection was refused or reset, at once."""
        return self.exit_code in (7, 35, 52, 56)


class Guest(Place):
    """A phone."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(name)
        self.number = number
        self.mac = f"02:bb:00:00:{number >> 8:02x}:{number & 255:02x}"
        self.ip4 = f"{LAN4}.{10 + number}"
        self.ip6 = f"{LAN6}:{10 + number}"

    def moved(self) -> tuple[int, int]:
        """IP bytes up and down that its interface has counted, without the Ethernet headers."""
        found = json.loads(self.run("ip", "-j", "-s", "link", "show", "eth0"))[0]["stats64"]
        up, down = found["tx"], found["rx"]
        return up["bytes"] - 14 * up["packets"], down["bytes"] - 14 * down["packets"]

    def is_online(self, six: bool = False) -> bool:
        """Whether it reaches the internet itself."""
        host = f"[{INTERNET6}]" if six else INTERNET4
        return self.curl(f"http://{host}/", timeout=3).body == "the internet"

    def download(self, count: int, **options: Any) -> subprocess.Popen[str]:
        """Start fetching so many bytes; `finish` reads how it went."""
        return self.popen(
            "curl", "-sg", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{time_total}",
            f"http://{INTERNET4}/big/{count}", stdout=subprocess.PIPE, **options,
        )  # fmt: skip


def finish(download: subprocess.Popen[str], timeout: float = 30.0) -> tuple[int, int, float]:
    """Wait for a download: curl's exit code, bytes, seconds."""
    out, _ = download.communicate(timeout=timeout)
    _, count, seconds = (out or "0 0 0").split()
    return download.returncode, int(count), float(seconds)


class Lab:
    """The town. `with Lab(guests=2) as lab: …`"""

    def __init__(self, guests: int = 2, management: bool = False, portal: bool = True) -> None:
        self.prefix = f"bw{os.getpid():x}n{next(_numbers)}"
        self.gateway = Place(f"{self.prefix}-gw")
        self.internet = Place(f"{self.prefix}-net")
        self.manager = Place(f"{self.prefix}-mg") if management else None
        self.guests = [Guest(f"{self.prefix}-g{number}", number) for number in range(guests)]
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-"))
        self.socket = self.folder / "gateway.sock"
        self.agent: subprocess.Popen[str] | None = None
        self._portal = portal

    @property
    def places(self) -> list[Place]:
        """Every namespace of the town."""
        return [self.gateway, self.internet, *([self.manager] if self.manager else []), *self.guests]

    @property
    def portal_ip(self) -> str:
        """Where the portal listens: on the gateway, or on the manager's own box."""
        return MANAGER4 if self.manager else GATEWAY4

    def __enter__(self) -> Self:
        clear_ruins()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_agent(self, *options: str, wait: bool = True) -> subprocess.Popen[str]:
        """Start the root agent on the gateway, as its service would."""
        mgmt = ["--mgmt", "mgmt"] if self.manager else []
        self.agent = self.gateway.popen(
            sys.executable, "-c", "from bawaba.gateway.commands import gateway_agent; gateway_agent()",
            "--socket", str(self.socket), "--lan", "lan", "--wan", "wan", *mgmt, "--portal-ip", self.portal_ip,
            "--portal-port", str(PORTAL_PORT), "--lan4", f"{LAN4}.0/24", "--lan6", f"{LAN6}:/64",
            "--state-dir", str(self.folder), *options,
            stderr=open(self.folder / "agent.log", "a"),  # noqa: SIM115
        )  # fmt: skip
        if wait:
            eventually(self._agent_answers, self.agent_log)
        return self.agent

    def kill_agent(self, how: int = signal.SIGKILL) -> None:
        """End the agent, at once unless told otherwise."""
        assert self.agent is not None
        self.gateway.kill(self.agent, how)

    def agent_log(self) -> str:
        """What the agent has written."""
        return (self.folder / "agent.log").read_text() if (self.folder / "agent.log").exists() else ""

    def nft(self, *words: str) -> str:
        """Ask or change the gateway's nftables by hand."""
        return self.gateway.run("nft", *words)

    def close(self) -> None:
        """Tear it all down."""
        for place in self.places:
            place.stop()
        for place in self.places:
            remove(place.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _agent_answers(self) -> bool:
        assert self.agent is not None
        if self.agent.poll() is not None:
            raise AssertionError(f"the agent ended: {self.agent_log()}")
        return '"ok":true' in ask_agent(self.socket, {"id": 1, "verb": "health"})

    def _build(self) -> None:
        for place in self.places:
            subprocess.run(["ip", "netns", "add", place.name], check=True)
        for place in self.places:
            forward = "1" if place is self.gateway else "0"
            place.run(
                "sysctl", "-qw", f"net.ipv4.ip_forward={forward}", f"net.ipv6.conf.all.forwarding={forward}",
                "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0",
            )  # fmt: skip
        self._links(self.internet, ["link set lo up"], [
            *(f"address add {ip}/32 dev lo" for ip in (INTERNET4, OTHER4, PRIVATE4)),
            *(f"address add {ip}/128 dev lo nodad" for ip in (INTERNET6, PRIVATE6)),
        ])  # fmt: skip
        self._links(self.gateway, [
            "link set lo up",
            "link add lan address 02:bb:ff:00:00:01 type bridge",
            f"link add wan type veth peer name eth0 netns {self.internet.name}",
            *(f"link add p{g.number} type veth peer name eth0 address {g.mac} netns {g.name}" for g in self.guests),
            *([f"link add mgmt type veth peer name eth0 netns {self.manager.name}"] if self.manager else []),
        ], [
            f"address add {GATEWAY4}/24 dev lan", f"address add {GATEWAY6}/64 dev lan nodad",
            "address add 203.0.113.1/24 dev wan", "address add 2001:db8:2::1/64 dev wan nodad",
            *(f"link set p{guest.number} master lan up" for guest in self.guests),
            "link set lan up", "link set wan up",
            "route add default via 203.0.113.2", "route add ::/0 via 2001:db8:2::2",
            *(["address add 172.30.0.1/24 dev mgmt", "link set mgmt up"] if self.manager else []),
        ])  # fmt: skip
        self._links(self.internet, [], [
            "address add 203.0.113.2/24 dev eth0", "address add 2001:db8:2::2/64 dev eth0 nodad",
            "link set eth0 gso_max_segs 1 up",  # frames as on a real wire, not 64 KiB at once
            f"route add {LAN6}:/64 via 2001:db8:2::1",
        ])  # fmt: skip
        for guest in self.guests:
            self._links(guest, [], [
                "link set lo up", "link set eth0 gso_max_segs 1 up",
                f"address add {guest.ip4}/24 dev eth0", f"address add {guest.ip6}/64 dev eth0 nodad",
                f"route add default via {GATEWAY4}", f"route add ::/0 via {GATEWAY6}",
            ])  # fmt: skip
        if self.manager:
            self._links(self.manager, [], [
                "link set lo up", "link set eth0 up", "address add 172.30.0.2/24 dev eth0",
                "route add default via 172.30.0.1",
            ])  # fmt: skip
        self._serve(self.internet, "internet", 80)
        if self._portal:
            self._serve(self.manager or self.gateway, "portal", PORTAL_PORT)

    def _links(self, place: Place, first: list[str], then: list[str]) -> None:
        for lines in (first, then):
            if lines:
                given = "\n".join(lines) + "\n"
                done = subprocess.run(
                    ["ip", "-n", place.name, "-batch", "-"], input=given, capture_output=True, text=True
                )
                assert not done.returncode, f"{place.name}: {done.stderr}"

    def _serve(self, place: Place, role: str, port: int) -> None:
        server = place.popen(
            sys.executable, str(Path(__file__).with_name("lab_pages.py")), role, str(port), stdout=subprocess.PIPE
        )
        assert server.stdout is not None
        assert server.stdout.readline().strip() == "ready", f"{role} does not start"


def ask_agent(socket: Path, *messages: dict[str, Any] | bytes) -> str:
    """Say something to the agent in plain bytes, and return its first answer; empty where nobody answers."""
    import socket as sockets

    with sockets.socket(sockets.AF_UNIX) as caller:
        caller.settimeout(10)
        try:
            caller.connect(str(socket))
        except OSError:
            return ""
        for message in messages:
            with contextlib.suppress(BrokenPipeError):  # it has heard enough, and says so
                caller.sendall(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")
        return caller.makefile().readline()


def eventually(true: Callable[[], bool], why: Callable[[], str] = lambda: "", seconds: float = 10.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it did not come about in {seconds:g} s {why()}"
        time.sleep(0.02)


def clear_ruins() -> None:
    """Remove the towns of test runs that were killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    for name in re.findall(r"^(bw[0-9a-f]+n\d+-\w+)", listed, re.MULTILINE):
        owner = int(name[2:].split("n")[0], 16)
        if not Path("/proc", str(owner)).exists():
            remove(name)


def remove(name: str) -> None:
    """Remove a namespace with whatever runs in it."""
    found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for process in found.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@contextlib.contextmanager
def town(**options: Any) -> Iterator[Lab]:
    """A town with its agent running."""
    with Lab(**options) as lab:
        lab.start_agent()
        yield lab
