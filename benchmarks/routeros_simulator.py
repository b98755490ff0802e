"""The simulated RouterOS router itself: the floor under every figure that is measured against it.

    python -m benchmarks.routeros_simulator

1,000 users added on one connection with everything on its way at once, on a link of 0 and of 20 ms; one reading of 100
sessions; and what a router with 100 guests takes of memory and of time to make, at 1,000 routers in one process.
"""

from __future__ import annotations

import resource
import socket
import time

from bawaba.routers.simulators.routeros.router import Router
from bawaba.routers.simulators.routeros.running import Simulators
from bawaba.routers.simulators.routeros.wire import encode

USERS = 1000
ROUTERS = 1000
GUESTS = 100
READINGS = 50
PROPERTIES = b"=.proplist=.id,user,address,mac-address,uptime,session-time-left,bytes-in,bytes-out,login-by,server"
KIB_PER_MIB = 1024


def main() -> None:
    """Measure and print."""
    _allow_open_files()
    with Simulators() as simulators:
        router = simulators.start(licence_level=6)
        for delay_s in (0.0, 0.02):
            router.behaviour.delay_s = delay_s
            print(f"{USERS} users added, {delay_s * 1000:.0f} ms link: {_added(router, delay_s):.3f} s")
        before, began = _resident_kib(), time.monotonic()
        routers = [simulators.start(licence_level=6) for _ in range(ROUTERS)]
        for crowded in routers:
            crowded.crowd(GUESTS)
        took_s, grown = time.monotonic() - began, _resident_kib() - before
        print(f"{ROUTERS} routers with {GUESTS} guests each: {took_s:.0f} s to make, {grown / KIB_PER_MIB:.0f} MiB")
        print(f"one reading of {GUESTS} sessions: {_read(routers[0]) * 1000:.2f} ms of CPU, both ends")


def _added(router: Router, delay_s: float) -> float:
    """Seconds from the first byte sent to the last answer."""
    sentences = [
        encode([b"/ip/hotspot/user/add", f"=name={delay_s}-{number}".encode(), b"=limit-uptime=3600s", b".tag=1"])
        for number in range(USERS)
    ]
    with _connected(router) as sock:
        began = time.monotonic()
        sock.sendall(b"".join(sentences))
        _until(sock, USERS)
        return time.monotonic() - began


def _read(router: Router) -> float:
    """Seconds of CPU for one reading, the client's part included."""
    with _connected(router) as sock:
        began = time.process_time()
        for _ in range(READINGS):
            sock.sendall(encode([b"/ip/hotspot/active/print", PROPERTIES]))
            _until(sock, 1)
        return (time.process_time() - began) / READINGS


def _connected(router: Router) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", router.api_port), 60)
    sock.sendall(encode([b"/login", b"=name=admin", b"=password="]))
    _until(sock, 1)
    return sock


def _until(sock: socket.socket, wanted: int) -> None:
    """Read until so many answers have ended."""
    ended, rest = 0, b""
    while ended < wanted:
        rest += sock.recv(1 << 16)
        ended += rest.count(b"!done")
        rest = rest[-4:]  # a mark that was cut in two


def _resident_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _allow_open_files() -> None:
    """Each router listens on a port."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ROUTERS + 200
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


if __name__ == "__main__":
    main()
