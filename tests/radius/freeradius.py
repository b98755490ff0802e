"""The real FreeRADIUS with the configuration that we write for it, and radclient as the NAS."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bawaba.radius import folder
from bawaba.radius.commands import nases
from bawaba.radius.configuration import Wanted, files
from bawaba.radius.door import secret_of
from tests.radius.nas import SECRET
from tests.services import server

ANSWER = re.compile(r"^Received (\S+) Id \d+", re.MULTILINE)
VALUE = re.compile(r"^\t([\w.-]+) = (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class FreeRadius:
    """Where it listens."""

    folder: Path
    auth_port: int
    acct_port: int
    log: Path


@dataclass(frozen=True)
class Answer:
    """What the NAS heard: `kind` is "" when it heard nothing."""

    kind: str
    attributes: dict[str, str]
    order: list[str]


def configured(rt: Any, port: int, where: Path, *, password: str | None = None) -> FreeRadius:
    """Its folder, written for a Bawaba that answers on `port`."""
    auth_port, acct_port = free_udp_port(), free_udp_port()
    wanted = Wanted(
        f"http://127.0.0.1:{port}",
        password or secret_of(rt.keyring),
        rt.read(nases, rt),
        "127.0.0.1",
        auth_port,
        acct_port,
        log_folder=str(where),
    )
    folder.write(files(wanted), where)
    return FreeRadius(where, auth_port, acct_port, where / "said")


@contextmanager
def freeradius(rt: Any, port: int, where: Path, **options: Any) -> Iterator[FreeRadius]:
    """Run it until the block ends."""
    made = configured(rt, port, where, **options)

    def ready() -> None:
        if "Ready to process requests" not in made.log.read_text():
            raise OSError("not yet")

    with server(["freeradius", "-f", "-l", "stdout", "-d", str(where)], ready, made.log):
        yield made


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def request(source: str = "127.0.0.2", *, signed: bool = True, **attributes: Any) -> str:
    """A packet in radclient's words; names with _ for -."""
    lines = [f"Packet-Src-IP-Address = {source}"] + (["Message-Authenticator = 0x00"] if signed else [])
    for name, value in attributes.items():
        told = value if not isinstance(value, str) or value.startswith("0x") else f'"{value}"'
        lines.append(f"{name.replace('_', '-')} = {told}")
    return "\n".join(lines) + "\n"


def send(
    running: FreeRadius, packets: str, kind: str = "auth", secret: str = SECRET, *, tries: int = 1, at_once: int = 1
) -> str:
    """What radclient says; each try waits two seconds."""
    port = running.auth_port if kind == "auth" else running.acct_port
    words = ["-x", "-t", "2", "-r", str(tries), "-p", str(at_once), "-d", str(running.folder)]
    command = ["radclient", *words, f"127.0.0.1:{port}", kind, secret]
    return subprocess.run(command, input=packets, capture_output=True, text=True, timeout=100, check=False).stdout


def ask(running: FreeRadius, packet: str, kind: str = "auth", **options: Any) -> Answer:
    """One question."""
    said = send(running, packet, kind, **options)
    found = ANSWER.search(said)
    if found is None:
        return Answer("", {}, [])
    values = VALUE.findall(said[found.end() :])
    return Answer(found[1], {name: value.strip('"') for name, value in values}, [name for name, _ in values])


def answers(said: str) -> list[str]:
    """The kinds of all answers."""
    return ANSWER.findall(said)


def together(packets: Iterable[str]) -> str:
    """Several packets as radclient reads them."""
    return "\n".join(packets)
