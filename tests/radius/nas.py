"""A NAS that takes CoA and Disconnect-Requests, made with pyrad: nothing of it is written by us."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyrad import packet
from pyrad.dictionary import Dictionary
from pyrad.server import RemoteHost, Server

DICTIONARY = str(Path(__file__).parent / "dictionary")
SECRET = "a-secret-of-22-characters"
GONE, BUSY, PROHIBITED = 503, 506, 501


class Nas(Server):  # type: ignore[misc]  # pyrad says nothing of its types
    """Its sessions by Acct-Session-Id; `refuse` is an Error-Cause that it answers everything with, `silent` how many
    requests it still loses, `lost_answers` how many of its answers are lost."""

    def __init__(self, secret: str = SECRET) -> None:
        hosts = {"127.0.0.1": RemoteHost("127.0.0.1", secret.encode(), "manager")}
        super().__init__(dict=Dictionary(DICTIONARY), hosts=hosts, auth_enabled=False, acct_enabled=False,
                         coa_enabled=True, coaport=0)  # fmt: skip
        self.BindToAddress("127.0.0.1")
        self.coaport = self.coafds[0].getsockname()[1]
        self.sessions: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.refuse: int | None = None
        self.silent = 0
        self.lost_answers = 0

    def HandleDisconnectPacket(self, pkt: Any) -> None:  # noqa: N802
        self._handle(pkt, packet.DisconnectNAK, self.sessions.discard)

    def HandleCoaPacket(self, pkt: Any) -> None:  # noqa: N802
        self._handle(pkt, packet.CoANAK, lambda _: None)

    def _handle(self, pkt: Any, nak: int, act: Any) -> None:
        assert pkt.verify_message_authenticator(), "not sealed with our secret"
        said = {name: pkt[name][0] for name in pkt.keys() if isinstance(name, str)}  # noqa: SIM118
        self.asked.append(said)
        if self.silent:
            self.silent -= 1
            return
        reply = self.CreateReplyPacket(pkt)
        named = said.get("Acct-Session-Id", "")
        if self.refuse is not None or named not in self.sessions:
            reply.code = nak
            reply["Error-Cause"] = self.refuse or GONE
        else:
            act(named)
        if self.lost_answers:
            self.lost_answers -= 1
            return
        self.SendReplyPacket(pkt.fd, reply)


@contextmanager
def nas(secret: str = SECRET) -> Iterator[Nas]:
    """A NAS that listens until the block ends."""
    box = Nas(secret)
    thread = threading.Thread(target=_run, args=[box], daemon=True)
    thread.start()
    try:
        yield box
    finally:
        box.stopping = True
        thread.join(5)
        for listening in box.coafds:
            listening.close()


def _run(box: Any) -> None:
    """pyrad's `Run` never returns: the same work, until told to stop."""
    box.stopping = False
    (listening,) = box.coafds
    listening.settimeout(0.05)
    while not box.stopping:
        try:
            pkt = box._GrabPacket(lambda data: box.CreateCoAPacket(packet=data), listening)
            box._HandleCoaPacket(pkt)
        except TimeoutError:
            continue
        except packet.PacketError:
            time.sleep(0)  # not signed with its secret: dropped, as a NAS does
