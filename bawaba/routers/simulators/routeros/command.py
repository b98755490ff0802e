"""`bawaba router simulate`: a router to practise with."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import click

from bawaba.routers.simulators.routeros.faults import CONNECTION_KINDS, KINDS
from bawaba.routers.simulators.routeros.settings import Behaviour, Settings
from bawaba.routers.simulators.routeros.versions import NEWEST, Version

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.router import Router
    from bawaba.routers.simulators.routeros.serving import Serving

PHONE_DOWN_BYTES_S = 60_000


@click.group()
def simulate() -> None:
    """Be a router in software, to practise with or to try Bawaba without one."""


def _version(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        Version.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


@simulate.command("routeros")
@click.option(
    "--version", "version", default=NEWEST, show_default=True, callback=_version, help="Like 6.49.18 or 7.20."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8728, show_default=True, help="The API; 0 takes any free port.")
@click.option("--tls-port", default=8729, show_default=True, help="The API over TLS, with a certificate of its own.")
@click.option("--web-port", type=int, help="Guests' pages and REST over HTTP; 0 takes any free port.")
@click.option("--control", type=click.Path(path_type=Path), help="A Unix socket for `simulate tell`.")
@click.option("--username", default="admin", show_default=True, help="Who may sign in at the router.")
@click.option("--password", default="", help="Empty, as on a router fresh from its box.")
@click.option("--identity", default="MikroTik", show_default=True, help="The router's name.")
@click.option(
    "--licence",
    "licence_level",
    type=click.Choice(["3", "4", "5", "6"]),
    default="4",
    show_default=True,
    help="Its level, which says how many guests may be online.",
)
@click.option("--no-hotspot", is_flag=True, help="Device-mode forbids the hotspot, as on a new router in mode home.")
@click.option("--clock-offset", default=0.0, help="How far the router's clock is wrong, in seconds.")
@click.option("--phones", default=0, show_default=True, help="Guests' phones that have joined the WiFi.")
@click.option("--phone", "named", multiple=True, help="A phone with this address, like 127.0.0.1: your own browser.")
@click.option("--delay-ms", default=0.0, show_default=True, help="The link: every answer comes this much later.")
@click.option("--add-ms", default=0.0, show_default=True, help="The router: each add takes this long.")
@click.option("--live-counters", is_flag=True, help="A user's counters grow while it is online, not at log-out only.")
@click.option(
    "--fail", "fails", multiple=True, help="What goes wrong: KIND or KIND:COMMAND, like cut-after:*/user/add."
)
def simulate_routeros(**options: Any) -> None:
    """Be a MikroTik hotspot router: the real API, users, sessions and time behind it. Ends with Ctrl+C."""
    from bawaba.routers.simulators.routeros.control import HurriedClock
    from bawaba.routers.simulators.routeros.router import Router  # heavy, and only for this command
    from bawaba.routers.simulators.routeros.serving import Serving

    fails = [_fault(fail) for fail in options["fails"]]
    settings = Settings(
        version=options["version"],
        identity=options["identity"],
        username=options["username"],
        password=options["password"],
        licence_level=int(options["licence_level"]),
        hotspot_allowed=not options["no_hotspot"],
        clock_offset_s=options["clock_offset"],
    )
    behaviour = Behaviour(
        delay_s=options["delay_ms"] / 1000,
        add_s=options["add_ms"] / 1000,
        counters_live=options["live_counters"],
    )
    router = Router(settings, behaviour=behaviour, clock=HurriedClock())
    ports = {"api_port": options["port"], "tls_port": options["tls_port"], "web_port": options["web_port"]}
    try:
        asyncio.run(_run(router, Serving(router, options["host"], **ports), options, fails))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {options['host']}: {error.strerror or error}") from error


@simulate.command("tell")
@click.argument("control", type=click.Path(path_type=Path))
@click.argument("do")
@click.argument("words", nargs=-1)
def tell_simulator(control: Path, do: str, words: tuple[str, ...]) -> None:
    """Tell the simulator at the socket CONTROL what to DO, with WORDS that say more.

    Like `fail kind=cut-after match=*/add`, `skip seconds=3600`, `join`, …
    """
    from bawaba.routers.simulators.routeros.control import tell

    pairs = [word.partition("=") for word in words]
    try:
        answer = tell(control, {"do": do, **{name: value for name, _, value in pairs}})
    except OSError as error:
        raise click.ClickException(f"no simulator listens on {control}: {error.strerror or error}") from error
    if not answer["ok"]:
        raise click.ClickException(answer["message"])
    for row in answer.get("rows", []):
        click.echo("  ".join(f"{name}={value}" for name, value in row.items()))


async def _run(router: Router, serving: Serving, options: dict[str, Any], fails: list[tuple[str, str]]) -> None:
    from bawaba.routers.simulators.routeros.control import Control, listen

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await serving.start()
    control: Path | None = options["control"]
    server = await listen(Control(router), control) if control else None
    for address in options["named"]:
        router.join(ip=address)
    _add_phones(router, options["phones"])
    _introduce(router, options["host"])
    for kind, match in fails:
        router.fail_connections(kind) if kind in CONNECTION_KINDS else router.fail(kind, match, times=None)
    await ended.wait()
    if server is not None and control is not None:
        server.close()
        control.unlink(missing_ok=True)
    await serving.stop()


def _add_phones(router: Router, count: int) -> None:
    taste = Random(count)
    for _ in range(count):
        down = taste.random() * PHONE_DOWN_BYTES_S
        router.join().flow(up=down / 9, down=down)


def _introduce(router: Router, host: str) -> None:
    click.echo(f"RouterOS {router.version.shown}, identity {router.settings.identity}, process {os.getpid()}")
    click.echo(f"api      {host}:{router.api_port}")
    click.echo(f"api-ssl  {host}:{router.tls_port}  SHA-256 {router.fingerprint}")
    if router.web_port:
        click.echo(f"pages    {router.web_url}")
    for phone in router.hotspot.phones.values():
        click.echo(f"phone    {phone.mac}  {phone.ip}")


def _fault(text: str) -> tuple[str, str]:
    """Take KIND or KIND:COMMAND apart."""
    kind, _, match = text.partition(":")
    if kind not in (*KINDS, *CONNECTION_KINDS):
        raise click.BadParameter(f"{kind} is none of {', '.join((*KINDS, *CONNECTION_KINDS))}", param_hint="--fail")
    return kind, match or "*"
