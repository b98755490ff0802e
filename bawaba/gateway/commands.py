"""The agent and the gateway's set-up on the command line."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bawaba.gateway import agent, init, kernel, machine
from bawaba.gateway.settings import DEFAULT_SOCKET, DEFAULT_STATE, BadSettings, Settings


@click.command("gateway-agent")
@click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_SOCKET,
    show_default=True,
    help="The Unix socket that the manager asks at.",
)
@click.option("--lan", required=True, help="The guests' interface.")
@click.option("--wan", required=True, help="The interface to the internet.")
@click.option("--mgmt", help="The interface to the manager, where it has a box of its own.")
@click.option("--portal-ip", help="Where the portal is; the LAN's own address unless given.")
@click.option("--portal-port", default=5000, show_default=True, help="The port that Bawaba serves on.")
@click.option("--lan4", multiple=True, help="The guests' IPv4 network; that of the LAN's address unless given.")
@click.option("--lan6", multiple=True, help="The guests' IPv6 network; any unless given.")
@click.option("--owner", help="The user that the socket belongs to.")
@click.option("--group", help="The group that may use the socket.")
@click.option("--shaping/--no-shaping", default=True, help="Keep speed limits with HTB on both interfaces.")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=DEFAULT_STATE,
    show_default=True,
    help="The folder for what the agent has to remember.",
)
def gateway_agent(socket_path: Path, lan4: tuple[str, ...], lan6: tuple[str, ...], **options: Any) -> None:
    """Be the root agent of a Linux gateway: the only program that changes its nftables and queues."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    lan = options["lan"]
    networks, own = lan_networks(lan) if not lan4 or not options["portal_ip"] else ((), None)
    options["portal_ip"] = options["portal_ip"] or own
    try:
        agent.run(
            Settings(
                socket=socket_path,
                lan4=lan4 or networks,
                lan6=lan6 or Settings.DEFAULT_LAN6,
                **options,
            )
        )
    except (BadSettings, kernel.KernelError) as error:
        raise click.ClickException(str(error)) from error


@click.group()
def gateway() -> None:
    """Make this Linux box the gateway between guests and the internet."""


@gateway.command("init")
@click.option("--lan", help="The guests' interface.")
@click.option("--wan", help="The interface to the internet.")
@click.option("--lan-address", default="10.77.0.1/24", show_default=True, help="The gateway's address for guests.")
@click.option("--lan6", help="The gateway's IPv6 address in a /64, where guests are to have IPv6.")
@click.option("--portal-ip", help="Where the portal is; this box unless given.")
@click.option("--portal-port", default=5000, show_default=True, help="The port that Bawaba serves on.")
@click.option("--portal-url", help="The portal's public address; an https one is told to phones by DHCP.")
@click.option("--local-name", default="login.wifi", show_default=True, help="What guests can type to find the portal.")
@click.option("--garden-host", multiple=True, help="A host that guests reach before they sign in.")
@click.option("--group", help="The group that may use the agent's socket.")
@click.option("--shaping/--no-shaping", default=True, help="Keep speed limits with HTB on both interfaces.")
@click.option("--apply", "do_apply", is_flag=True, help="Write the files and start the services.")
@click.option("--undo", "do_undo", is_flag=True, help="Put back what was there before.")
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
def init_gateway(do_apply: bool, do_undo: bool, root: Path, garden_host: tuple[str, ...], **options: Any) -> None:
    """Set up DHCP, DNS, forwarding and the agent. Without --apply it only shows what it would write."""
    try:
        if do_undo:
            for name in init.undo(root):
                click.echo(f"put back: /{name}")
            return
        if not options["lan"] or not options["wan"]:
            raise click.UsageError(f"--lan and --wan say which interface is which. {_choices()}")
        wanted = init.Wanted(
            **options,
            garden_hosts=garden_host,
            program=shutil.which("bawaba") or str(Path(sys.argv[0]).absolute()),
            dnsmasq=shutil.which("dnsmasq") or "/usr/sbin/dnsmasq",
        )
        _refuse_strangers(wanted)
        shown = init.differences(init.files(wanted), root)
        click.echo(shown or "Everything is as it should be; nothing to write.")
        if not do_apply:
            click.echo("Nothing has been changed. Run it again with --apply to write this, and with --undo to go back.")
            return
        init.apply(wanted, root)
    except BadSettings as error:
        raise click.ClickException(str(error)) from error
    click.echo("Done. `bawaba gateway init --undo` puts back what was there.")


def _refuse_strangers(wanted: init.Wanted) -> None:
    """Raise `BadSettings` for an interface that this machine does not have."""
    there = machine.interfaces()
    missing = [name for name in (wanted.lan, wanted.wan) if name not in there]
    if missing:
        raise BadSettings(f"this machine has no interface {' and no '.join(missing)}. {_choices()}")


def _choices() -> str:
    there = machine.interfaces()
    return f"It has {', '.join(there)}." if there else "It has none besides its loopback."


def lan_networks(lan: str) -> tuple[tuple[str, ...], str | None]:
    """The IPv4 networks of an interface, and its own first address."""
    try:
        found = json.loads(_asked(lambda: kernel.run("ip", "-j", "-4", "address", "show", "dev", lan)) or "[]")
    except kernel.KernelError as error:
        raise click.ClickException(str(error)) from error
    addresses = [info for item in found for info in item.get("addr_info", [])]
    networks = tuple(init.network_of(info["local"], info["prefixlen"]) for info in addresses)
    return networks, addresses[0]["local"] if addresses else None


def _asked(question: Callable[[], Any]) -> str:
    return str(asyncio.run(question()))
