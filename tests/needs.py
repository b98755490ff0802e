"""What some tests need of the machine. A test says it with a marker (`netns`, `chromium`, `freeradius`, `postgres`,
`redis`).

Where the machine lacks it, the test is skipped and the last lines of the run say how many did not run, and why.
With BAWABA_TEST_STRICT=1, or on a build server as root, a lack is a failure: there nothing may go untested.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import cache
from glob import glob
from pathlib import Path

import pytest

FREERADIUS_PROGRAMS = ("freeradius", "radclient")
NETNS_PROGRAMS = ("ip", "nft", "tc", "dnsmasq", "sysctl")
FIXTURES = {
    "browser": "chromium",
    "postgres_server": "postgres",
    "postgres_url": "postgres",
    "redis_server": "redis",
    "redis_url": "redis",
}
SKIP_WORDS = "needs "


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's newest server programs: Debian's, else the one on the PATH."""
    debian = sorted(glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(Path(path).parent.name), reverse=True)
    for folder in debian:
        if Path(folder, "initdb").exists() and Path(folder, "postgres").exists():
            return Path(folder)
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb and shutil.which("postgres") else None


def chromium_path() -> str | None:
    """The browser that the tests drive."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _lack_of_postgres() -> str | None:
    return None if postgres_programs() else "initdb and postgres are not installed"


def _lack_of_redis() -> str | None:
    return None if shutil.which("redis-server") else "redis-server is not installed"


def _lack_of_chromium() -> str | None:
    return None if chromium_path() else "chromium is not installed"


def _lack_of_freeradius() -> str | None:
    missing = [program for program in FREERADIUS_PROGRAMS if not shutil.which(program)]
    if missing:
        return f"{', '.join(missing)} not on the PATH"
    return None if glob("/usr/lib*/freeradius/rlm_rest.so") else "freeradius-rest is not installed"


def _lack_of_opennds() -> str | None:
    missing = [name for name in ("opennds", "ndsctl", "iptables", "sshd", "ssh") if not shutil.which(name)]
    return f"{', '.join(missing)} not on the PATH" if missing else None


def _lack_of_netns() -> str | None:
    """Try what the gateway tests do: a namespace with its own link, addresses, firewall and queue."""
    missing = [program for program in NETNS_PROGRAMS if not shutil.which(program)]
    if missing:
        return f"{', '.join(missing)} not on the PATH"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    name = f"bawaba-try-{os.getpid()}"
    try:
        return _first_failure(
            ["ip", "netns", "add", name],
            ["ip", "-n", name, "link", "add", "name", "near", "type", "veth", "peer", "name", "far"],
            ["ip", "-n", name, "address", "add", "192.0.2.1/30", "dev", "near"],
            ["ip", "netns", "exec", name, "nft", "add", "table", "inet", "try"],
            ["ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "near", "root", "handle", "1:", "htb"],
            ["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1"],
        )
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _first_failure(*commands: list[str]) -> str | None:
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"`{' '.join(command)}`: {done.stderr.strip() or done.returncode}"
    return None


LACKS: dict[str, Callable[[], str | None]] = {
    "postgres": _lack_of_postgres,
    "redis": _lack_of_redis,
    "chromium": _lack_of_chromium,
    "freeradius": _lack_of_freeradius,
    "netns": _lack_of_netns,
    "opennds": _lack_of_opennds,
}


@cache
def lack_of(need: str) -> str | None:
    """Why this machine cannot give `need`, or None when it can. Tried once a run."""
    return LACKS[need]()


def strict() -> bool:
    """Whether a lack is a failure."""
    on_build_server = os.environ.get("CI", "").lower() in {"1", "true"} and os.geteuid() == 0
    return on_build_server or os.environ.get("BAWABA_TEST_STRICT") == "1"


def require(*needs: str) -> None:
    """Skip the running test when the machine lacks one of `needs`; fail it where all must run."""
    lacks = [f"{need} ({why})" for need in needs if (why := lack_of(need))]
    if not lacks:
        return
    words = SKIP_WORDS + ", ".join(lacks)
    if strict():
        pytest.fail(f"{words}; here everything must run", pytrace=False)
    pytest.skip(words)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with what its fixtures need, and leave the soak tests for `make soak`."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in FIXTURES:
                item.add_marker(FIXTURES[fixture])
    if "soak" in config.option.markexpr or any("::" in argument for argument in config.args):
        return
    soak = [item for item in items if item.get_closest_marker("soak")]
    if soak:
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if item not in set(soak)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before anything is started for a test, see whether the machine can run it."""
    require(*(need for need in LACKS if item.get_closest_marker(need)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what did not run here."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if reason.removeprefix("Skipped: ").startswith(SKIP_WORDS):
            reasons[reason.removeprefix("Skipped: ")] += 1
    if not reasons:
        return
    terminalreporter.section(f"{reasons.total()} TESTS DID NOT RUN HERE", sep="!", red=True, bold=True)
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} did not run: {reason}", red=True)
