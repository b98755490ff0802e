"""One look at the gateway: a script that gathers all there is to know, and what it printed, read.

The trusted and blocked devices are kept in a file on the gateway (its RAM), because openNDS does not list them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bawaba.routers.driver import RouterProtocolError
from bawaba.routers.drivers.opennds import words
from bawaba.routers.drivers.opennds.words import Snapshot

MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
LOCKED = 4  # ndsctl's exit code while another ndsctl runs
DOWN = 9
PART = "==bw=="
TICKS = 100  # a second, in /proc/<pid>/stat
PROBE = (
    'echo "ndsctl=$(command -v ndsctl)"; echo "now=$(date +%s)"; s=$(ndsctl status); '
    'echo "version=$(echo "$s" | sed -n \'s/^Version: //p\')"; '
    'echo "preemptive=$(echo "$s" | sed -n \'s/^Preemptive Authentication is //p\')"; '
    'echo "binauth=$(echo "$s" | sed -n \'s/^Binauth Script: //p\')"; '
    'echo "iptables=$(iptables -V)"; . /etc/os-release; echo "board=$PRETTY_NAME"'
)
REVIVE = (
    "rm -f /tmp/ndsctl.sock /run/ndsctl.sock /tmp/ndsctl.lock /run/ndsctl.lock; "  # else it says that it is running
    "if [ -x /etc/init.d/opennds ]; then /etc/init.d/opennds restart; else systemctl restart opennds; fi"
)


@dataclass(frozen=True, slots=True)
class Life:
    """One life of the daemon: `boot` is when it began, `ticks` tells whether it is the same one."""

    ticks: int
    boot: int
    uptime_s: int


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. `kept` are the lines of the device file: "t MAC" or "b MAC"."""

    snapshot: Snapshot
    life: Life
    memory_percent: float | None
    kept: tuple[str, ...]

    @property
    def blocked(self) -> set[str]:
        """Who may not be let in."""
        return devices(self.kept)[1]


def script(install: str) -> str:
    """Print everything, in parts. Exit code `DOWN` where openNDS does not run, else that of `ndsctl json`."""
    between = f"echo {PART}"
    return "; ".join(
        (
            f"p=$(pidof opennds | cut -d ' ' -f 1); [ -n \"$p\" ] || exit {DOWN}; date +%s", between,
            "cut -d ' ' -f 22 /proc/$p/stat; sed -n 's/^btime //p' /proc/stat; cut -d . -f 1 /proc/uptime", between,
            "grep -E '^(MemTotal|MemAvailable):' /proc/meminfo", between,
            f"cat {file_of(install)}", between,
            "ndsctl json; code=$?", between,  # waits while somebody is signed out, so the log after it has it
            f"tail -q -n {words.LOG_LINES} {words.LOGS} | grep _deauth; exit $code",
        )
    )  # fmt: skip


def read(text: str) -> Look:
    """What the script printed. Raises `RouterProtocolError` where it makes no sense."""
    try:
        now, life, memory, kept, document, log = text.split(f"{PART}\n", 5)
        ticks, booted, uptime_s = (int(line) for line in life.split())
        boot = booted + ticks // TICKS
        return Look(
            snapshot=words.snapshot(now, document, log),
            life=Life(ticks, boot, max(0, uptime_s - ticks // TICKS)),
            memory_percent=_memory(memory),
            kept=tuple(kept.splitlines()),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RouterProtocolError(f"the gateway's answer makes no sense: {error!r}") from error


def file_of(install: str) -> str:
    """Where the device lists are kept on the gateway."""
    return f"/tmp/bawaba-{install}-devices"


def keep(install: str, trusted: Sequence[str], blocked: Sequence[str]) -> str:
    """A script that keeps the device lists."""
    lines = [f"t {mac}" for mac in trusted if MAC.fullmatch(mac)] + [
        f"b {mac}" for mac in blocked if MAC.fullmatch(mac)
    ]
    text = "".join(f"{line}\\n" for line in lines)
    return f"printf '{text}' >{file_of(install)}"


def devices(kept: Sequence[str]) -> tuple[set[str], set[str]]:
    """The trusted and the blocked devices of the file."""
    named = [line.split() for line in kept]
    of = [(fields[0], fields[1]) for fields in named if len(fields) == 2 and MAC.fullmatch(fields[1])]
    return {mac for sort, mac in of if sort == "t"}, {mac for sort, mac in of if sort == "b"}


def _memory(text: str) -> float | None:
    told = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()}
    if not told.get("MemTotal") or "MemAvailable" not in told:
        return None
    return round(100 * (1 - told["MemAvailable"] / told["MemTotal"]), 1)
