"""The Linux gateway: the driver, the agent and the kernel, in network namespaces, without the manager's database.

    sudo python -m benchmarks.gateway

Three figures, each with its floor from the same run: from the call of `admit` to the phone's first packet through;
10,000 sessions let in by one list; one reading of 10,000 counters, in milliseconds of CPU.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from bawaba.routers.driver import Client, Connection, Grant, Limits, RouterSession
from bawaba.routers.drivers.linux import Driver
from tests.lab import INTERNET4, Lab, Place

ROUNDS = 30
MANY = 10_000
POLLS = 5
FIRST_OF_MANY = 1000
TICKS = os.sysconf("SC_CLK_TCK")
FLOOR_TABLE = """
table inet floor {
	map client { type ether_addr : mark; size 65536; flags timeout; }
	set live { type mark; size 65536; flags timeout; }
	set up { type mark; size 65536; counter; }
	set down { type mark; size 65536; counter; }
}
"""
PHONE = f"""
import socket, sys, time
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.setblocking(False)
print("ready", flush=True)
for line in sys.stdin:
    word, answer = line.encode(), b""
    while answer != word:
        try:
            asker.sendto(word, ("{INTERNET4}", 9000))
            answer = asker.recv(9)
        except OSError:
            time.sleep(0.0005)
    print(time.monotonic_ns(), flush=True)
"""  # asks twice in a millisecond whether it is through
ECHO = """
import socket
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind(("", 9000))
print("ready", flush=True)
while True:
    echo.sendto(*echo.recvfrom(9))
"""


def main() -> None:
    """Print a line for each figure; says so where it cannot run."""
    if os.geteuid() != 0:
        print("not measured: needs root and network namespaces")
        return
    with Lab(guests=1, portal=False) as lab:
        lab.start_agent()
        lab.gateway.run("nft", "-f", "-", given=FLOOR_TABLE)
        asyncio.run(measure(lab))


async def measure(lab: Lab) -> None:
    """All three, one after the other."""
    driver = Driver(Connection(1, str(lab.socket), None, None, None, {}, "install8"))
    times = await first_packets(driver, lab)
    floors = [floor_admit(lab, number, 1) for number in range(1, ROUNDS + 1)]
    tell("admit called to the phone's first answer from the internet", times, "one bare `nft -f -`", floors)

    wanted = [(grant(FIRST_OF_MANY + number), Client(mac(number))) for number in range(MANY)]
    began = time.perf_counter()
    await driver.sync(wanted)
    took = 1000 * (time.perf_counter() - began)
    floor = floor_admit(lab, FIRST_OF_MANY, MANY)
    tell(f"{MANY:,} sessions let in by one list", [took], "one bare `nft -f -` of as many", [floor])

    polls = [await poll(driver, lab) for _ in range(POLLS)]
    floors = [floor_poll(lab) for _ in range(POLLS)]
    tell(f"CPU of one poll of {MANY:,} sessions", polls, "`nft -j` prints two such meters", floors)
    await driver.close()


async def first_packets(driver: Driver, lab: Lab) -> list[float]:
    """Milliseconds from the call to the first answer that the phone gets from the internet, for some admissions."""
    guest, times = lab.guests[0], []
    echo, phone = await start(lab.internet, ECHO), await start(guest, PHONE)
    assert phone.stdin is not None and phone.stdout is not None
    for number in range(1, ROUNDS + 1):
        phone.stdin.write(b"%d\n" % number)
        await asyncio.sleep(0.2)
        began = time.monotonic_ns()
        session = await driver.admit(grant(number), Client(guest.mac))
        times.append((int(await phone.stdout.readline()) - began) / 1e6)
        assert isinstance(session, RouterSession)
        await driver.kick(session)
    for child in (phone, echo):
        child.kill()
        await child.wait()
    return times


async def start(place: Place, program: str) -> Process:
    """Run a program there, and wait until it says that it is ready."""
    child = await asyncio.create_subprocess_exec(*place.command(sys.executable, "-c", program), stdin=PIPE, stdout=PIPE)
    assert child.stdout is not None
    await child.stdout.readline()
    return child


async def poll(driver: Driver, lab: Lab) -> float:
    """CPU of the agent, of the programs that it runs and of the driver for one reading; milliseconds."""
    before = agent_cpu(lab) + time.process_time()
    assert len(await driver.sessions()) >= MANY
    return 1000 * (agent_cpu(lab) + time.process_time() - before)


def agent_cpu(lab: Lab) -> float:
    """Seconds of CPU of the agent and of the programs that it ran (proc(5): utime, stime, cutime, cstime)."""
    assert lab.agent is not None
    fields = Path("/proc", str(lab.agent.pid), "stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def floor_admit(lab: Lab, first: int, count: int) -> float:
    """The least that letting so many in takes: their elements, in a table of their own; milliseconds."""
    marks = range(first, first + count)
    clients = [f"{mac(mark - first)} timeout 3600s : {mark}" for mark in marks]
    parts = {"client": clients, "live": [f"{mark} timeout 3600s" for mark in marks]}
    parts |= {name: [str(mark) for mark in marks] for name in ("up", "down")}
    text = "".join(f"add element inet floor {name} {{ {', '.join(items)} }}\n" for name, items in parts.items())
    began = time.perf_counter()
    subprocess.run(lab.gateway.command("true"), check=True)
    entered = time.perf_counter()
    lab.gateway.run("nft", "-f", "-", given=text)
    took = 1000 * (time.perf_counter() - entered - (entered - began))  # without the step into the namespace
    lab.gateway.run("nft", "flush", "map", "inet", "floor", "client")
    return took


def floor_poll(lab: Lab) -> float:
    """CPU of printing two meters of as many sessions; milliseconds."""
    before = os.times()
    for name in ("up", "down"):
        lab.gateway.run("nft", "-j", "list", "set", "inet", "floor", name)
    after = os.times()
    return 1000 * (after.children_user + after.children_system - before.children_user - before.children_system)


def tell(what: str, times: Sequence[float], floor_is: str, floors: Sequence[float]) -> None:
    """One line: the figure, the floor, the ratio."""
    took, floor = statistics.median(times), statistics.median(floors)
    worst = f", worst of {len(times)} {max(times):.0f} ms" if len(times) > 1 else ""
    print(f"{what}: {took:.1f} ms{worst}; floor ({floor_is}) {floor:.1f} ms, {took / floor:.1f} x", flush=True)


def grant(number: int) -> Grant:
    """An hour for a session."""
    return Grant(f"session:{number}", 1, limits=Limits(uptime_s=3600))


def mac(number: int) -> str:
    """A device's address."""
    return f"02:cc:00:00:{number >> 8:02x}:{number & 255:02x}"


if __name__ == "__main__":
    main()
