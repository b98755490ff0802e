"""`bawaba router simulate unifi`: a UniFi controller to practise with."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import click

from bawaba.routers.simulators.unifi.faults import KINDS
from bawaba.routers.simulators.unifi.settings import Behaviour, Settings

if TYPE_CHECKING:
    from bawaba.routers.simulators.unifi.controller import Controller
    from bawaba.routers.simulators.unifi.serving import Serving

PHONE_DOWN_BYTES_S = 60_000
PHONE_UP_BYTES_S = 6_000


@click.command("unifi")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8443, show_default=True, help="Both APIs over HTTPS; 0 takes any free port.")
@click.option("--own", is_flag=True, help="A controller of its own, as on a PC; else a console with UniFi OS.")
@click.option("--version", default=Settings().version, show_default=True, help="UniFi Network's version.")
@click.option("--site", "sites", multiple=True, default=("default",), show_default=True, help="Its sites' short names.")
@click.option("--username", default="bawaba", show_default=True, help="The account that may sign in.")
@click.option("--password", default="secret", show_default=True, help="The account's password.")
@click.option("--api-key", default="", help="A key that it takes as well.")
@click.option("--readonly", is_flag=True, help="The account may look and not write.")
@click.option("--phones", default=0, show_default=True, help="Guests' phones that have joined the WiFi.")
@click.option("--phone", "named", multiple=True, help="A phone with this address, like 127.0.0.1: your own browser.")
@click.option("--delay-ms", default=0.0, show_default=True, help="Every answer comes this much later.")
@click.option("--session-s", default=7200.0, show_default=True, help="How long a log-in lasts, in seconds.")
@click.option("--clock-offset", default=0.0, help="How far the controller's clock is wrong, in seconds.")
@click.option("--blind-s", default=0.0, help="The official API shows a device only so many seconds after it joined.")
@click.option("--broken-mac-filter", is_flag=True, help="The official API finds nobody by MAC.")
@click.option("--no-classic", is_flag=True, help="There is the official API only.")
@click.option("--fail", "fails", multiple=True, help="What goes wrong: KIND or KIND:CALL, like cut-after:*stamgr*.")
def simulate_unifi(**options: Any) -> None:
    """Be a UniFi controller: both APIs, log-in, guests and their limits behind it. Ends with Ctrl+C."""
    from bawaba.routers.simulators.unifi.controller import Controller  # heavy, and only for this command
    from bawaba.routers.simulators.unifi.serving import Serving

    fails = [_fault(fail) for fail in options["fails"]]
    controller = Controller(_settings(options), behaviour=_behaviour(options))
    for kind, match in fails:
        controller.fail(kind, match, times=None)
    try:
        asyncio.run(_run(controller, Serving(controller, options["host"], options["port"]), options))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {options['host']}: {error.strerror or error}") from error


def _settings(options: dict[str, Any]) -> Settings:
    return Settings(
        unifi_os=not options["own"],
        version=options["version"],
        username=options["username"],
        password=options["password"],
        api_key=options["api_key"],
        sites=options["sites"],
        role="readonly" if options["readonly"] else "admin",
        clock_offset_s=options["clock_offset"],
    )


def _behaviour(options: dict[str, Any]) -> Behaviour:
    return Behaviour(
        delay_s=options["delay_ms"] / 1000,
        session_s=options["session_s"],
        official_blind_s=options["blind_s"],
        mac_filter_broken=options["broken_mac_filter"],
        classic=not options["no_classic"],
    )


async def _run(controller: Controller, serving: Serving, options: dict[str, Any]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await serving.start()
    for address in options["named"]:
        controller.join(ip=address)
    for _ in range(options["phones"]):
        controller.join()
    _introduce(controller, options["host"])
    traffic = asyncio.create_task(_traffic(controller))
    await ended.wait()
    traffic.cancel()
    await serving.stop()


async def _traffic(controller: Controller) -> None:
    """Who is let through moves something every second."""
    while True:
        await asyncio.sleep(1)
        with controller.lock:
            for phone in controller.site.phones.values():
                phone.move(PHONE_UP_BYTES_S, PHONE_DOWN_BYTES_S)


def _introduce(controller: Controller, host: str) -> None:
    settings = controller.settings
    kind = "UniFi OS" if settings.unifi_os else "UniFi Network"
    click.echo(f"{kind}, Network {settings.version}, process {os.getpid()}")
    click.echo(f"https    {host}:{controller.port}  SHA-256 {controller.fingerprint}")
    for phone in controller.site.phones.values():
        click.echo(f"phone    {phone.mac}  {phone.ip}")


def _fault(text: str) -> tuple[str, str]:
    """Take KIND or KIND:CALL apart."""
    kind, _, match = text.partition(":")
    if kind not in KINDS:
        raise click.BadParameter(f"{kind} is none of {', '.join(KINDS)}", param_hint="--fail")
    return kind, match or "*"
