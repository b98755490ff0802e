"""The command line: `bawaba …`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bawaba.core.config import Config, ConfigError
from bawaba.core.errors import Problem
from bawaba.core.keyring import KeyFileError
from bawaba.core.runtime import Runtime
from bawaba.gateway.commands import gateway, gateway_agent
from bawaba.routers.simulators.routeros.command import simulate


@click.group()
@click.version_option(package_name="bawaba")
def main() -> None:
    """Bawaba: prepaid WiFi cards, a captive portal, and every router in one place."""


main.add_command(gateway)
main.add_command(gateway_agent)


@main.command()
@click.option("--demo", is_flag=True, help="Fill an empty database with a site, a plan and a router in memory.")
def serve(demo: bool) -> None:
    """Serve everything from one process: pages, API, portal, sockets, routers and background work."""
    from bawaba.server import run

    with _honest_errors():
        run(_config(), demo=demo)


@main.command()
def migrate() -> None:
    """Bring the database to the newest shape. `serve` does this by itself."""
    from bawaba import migrations

    with _honest_errors():
        config = _config()
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        click.echo("migrated" if migrations.migrate(config.sqlalchemy_url) else "nothing to do")


@main.group()
def user() -> None:
    """The people who run the hotspot."""


@user.command("add")
@click.argument("username")
@click.option("--role", type=click.Choice(["admin", "operator", "viewer"]), default="operator", show_default=True)
def user_add(username: str, role: str) -> None:
    """Add a person; the password is made up and printed once."""
    from bawaba.accounts import people

    with _runtime() as rt:
        click.echo(f"{username}: {people.add_user(rt, username, role)}")


@user.command("reset-password")
@click.argument("username")
def user_reset_password(username: str) -> None:
    """Give a locked-out person a new password, printed once; their sign-ins end and the wait is lifted."""
    from bawaba.accounts import people

    with _runtime() as rt:
        click.echo(f"{username}: {people.reset_password(rt, username)}")


@main.group()
def plan() -> None:
    """What cards buy."""


@plan.command("add")
@click.argument("name")
@click.option("--hours", type=click.FloatRange(min=0.01), help="Time, in hours.")
@click.option("--gigabytes", type=click.FloatRange(min=0.001), help="Data, up and down together.")
@click.option("--used-time", is_flag=True, help="The clock runs only while the phone is online.")
@click.option("--devices", type=click.IntRange(1, 100), default=1, show_default=True)
@click.option("--down-kbps", type=click.IntRange(min=8))
@click.option("--up-kbps", type=click.IntRange(min=8))
@click.option("--price", "price_minor", type=click.IntRange(min=0), default=0, help="In minor units.")
@click.option("--site", "site_id", type=int)
def plan_add(name: str, hours: float | None, gigabytes: float | None, used_time: bool, **terms: Any) -> None:
    """Add a plan."""
    from bawaba.core.actor import SYSTEM
    from bawaba.plans import service
    from bawaba.plans.schemas import PlanIn
    from bawaba.web.input import parse

    wanted = parse(
        PlanIn,
        {
            "name": name,
            "kind": "used_time" if used_time else "elapsed",
            "duration_seconds": int(hours * 3600) if hours else None,
            "quota_bytes": int(gigabytes * 1024**3) if gigabytes else None,
            "devices_at_once": terms["devices"],
            "rate_down_kbps": terms["down_kbps"],
            "rate_up_kbps": terms["up_kbps"],
            "price_minor": terms["price_minor"],
        },
    )
    with _runtime() as rt:
        made, version = service.add_plan(rt, SYSTEM, terms["site_id"], wanted.facts())
        click.echo(f"plan {made.id}: {version.name}")


@main.group()
def voucher() -> None:
    """Cards."""


@voucher.command("make")
@click.argument("plan_id", type=int)
@click.option("--style", type=click.Choice(["digits", "letters"]))
def voucher_make(plan_id: int, style: Any) -> None:
    """Make one card and print its code."""
    from bawaba.core.actor import SYSTEM
    from bawaba.vouchers import codes, making

    with _runtime() as rt:
        made, version = making.make_card(rt, SYSTEM, making.CardOrder(plan_id, style))
        code = making.open_code(rt.keyring, made)
        click.echo(f"{made.serial}  {codes.grouped(code)}  {version.name}  {rt.config.portal_url}/c/{code}")


@main.group()
def router() -> None:
    """The boxes that let guests in."""


router.add_command(simulate)


@router.command("add")
@click.argument("name")
@click.option("--driver", required=True, help="The make: linux, fake, …")
@click.option("--address", default="", help="linux: the agent's socket, like /run/bawaba/gateway.sock.")
@click.option("--port", type=click.IntRange(1, 65535))
@click.option("--username", help="The password is asked for, or read from standard input.")
@click.option("--lan4", default="", help="The guests' IPv4 networks, like 10.77.0.0/24.")
@click.option("--lan6", default="", help="The guests' IPv6 networks.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="More of the make; VALUE may be @FILE.",
)
@click.option("--site", "site_id", type=int)
def router_add(name: str, driver: str, options: tuple[str, ...], lan4: str, lan6: str, **way: Any) -> None:
    """Add a router to a site."""
    from bawaba.core.actor import SYSTEM
    from bawaba.routers import service
    from bawaba.routers.links import driver_class
    from bawaba.routers.schemas import RouterIn
    from bawaba.web.input import parse

    with _runtime() as rt:
        needs = driver_class(driver).needs
        if needs.password:
            way["password"] = _asked_password(may_be_empty=needs.password_made)
        told = {"lan4": lan4, "lan6": lan6} | dict(map(_named_value, options))
        wanted = parse(RouterIn, {"name": name, "driver": driver, **way, "options": told})
        click.echo(f"router {service.add_router(rt, SYSTEM, wanted.model_dump()).id}: {name}")


def _asked_password(*, may_be_empty: bool) -> str:
    """A password that stands in no list of processes."""
    if sys.stdin.isatty():
        default = "" if may_be_empty else None
        return str(click.prompt("Password", default, hide_input=True, show_default=False, err=True))
    return sys.stdin.readline().rstrip("\n")


def _named_value(text: str) -> tuple[str, str]:
    """The two halves of NAME=VALUE; the value of a file where it is @FILE."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text} is not NAME=VALUE", param_hint="--option")
    if not value.startswith("@"):
        return name, value
    try:
        return name, Path(value[1:]).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value[1:]} can't be read: {error}", param_hint="--option") from error


@router.command("test")
@click.argument("router_id", type=int)
def router_test(router_id: int) -> None:
    """Ask a router who it is; exit code 1 when it does not answer well."""
    from bawaba.core.actor import SYSTEM
    from bawaba.routers import service

    with _runtime() as rt:
        info, error = service.test_router(rt, SYSTEM, router_id)
        if info is None:
            click.echo(f"router {router_id}: {error.code if error else 'error'}: {error}", err=True)
            sys.exit(1)
        click.echo(f"router {router_id}: {info.board} {info.version}")
        for note in info.notes:
            click.echo(f"  {note}")


@router.command("setup-script")
@click.argument("router_id", type=int)
@click.option("--server", help="The hotspot that is on the router, like hotspot1.")
@click.option("--interface", help="Instead: make a new hotspot on this interface, like bridge-guests.")
@click.option("--network", default="10.77.0.1/24", show_default=True, help="The router's address in a new hotspot.")
@click.option("--manager", "manager_ip", help="Bawaba's address as the router sees it; worked out unless given.")
@click.option("--wireguard", help="HOST[:PORT] where the internet reaches Bawaba: through a tunnel, also behind CGNAT.")
@click.option("--undo", is_flag=True, help="The script that takes everything away again.")
@click.option("--tunnel", is_flag=True, help="With --wireguard: Bawaba's own end, for wg-quick.")
def router_setup_script(router_id: int, undo: bool, tunnel: bool, **wanted: Any) -> None:
    """Print the script that makes a MikroTik one of ours. It holds the router's password."""
    from bawaba.core.actor import SYSTEM
    from bawaba.routers.setup.service import Wanted, scripts

    with _runtime() as rt:
        made = scripts(rt, SYSTEM, router_id, Wanted(**wanted))
        if tunnel and made.tunnel is None:
            raise click.UsageError("--tunnel needs --wireguard")
        click.echo(made.undo if undo else made.tunnel if tunnel else made.setup)


@main.group()
def radius() -> None:
    """Gateways that ask by RADIUS, with FreeRADIUS in front."""


@radius.command("config")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="FreeRADIUS's folder, to write it there.")
@click.option("--check", is_flag=True, help="Let FreeRADIUS read what is in the folder (freeradius -XC).")
@click.option("--undo", is_flag=True, help="Put back what was in the folder before.")
@click.option("--listen", default="0.0.0.0", show_default=True, help="The address where the NASes reach FreeRADIUS.")
@click.option("--auth-port", type=click.IntRange(1, 65535), default=1812, show_default=True)
@click.option("--acct-port", type=click.IntRange(1, 65535), default=1813, show_default=True)
@click.option("--log-folder", default="/var/log/freeradius", show_default=True)
def radius_config(out: Path | None, check: bool, undo: bool, **options: Any) -> None:
    """Write FreeRADIUS's configuration for the RADIUS routers. Without --out it only shows what it would write."""
    from bawaba.radius import commands

    if undo or (check and out is None):
        with _honest_errors():
            commands.put_back(out) if undo else commands.check(out)
        return
    with _runtime() as rt:
        commands.configure(rt, out, **options)
        if check:
            commands.check(out)


@radius.command("secret")
@click.argument("router_id", type=int)
def radius_secret(router_id: int) -> None:
    """Print the secret of a RADIUS router, to type it into the gateway."""
    from bawaba.radius import commands

    with _runtime() as rt:
        commands.tell_secret(rt, router_id)


def _config() -> Config:
    return Config.from_env(os.environ)


@contextmanager
def _honest_errors() -> Iterator[None]:
    """What went wrong in one sentence, without a traceback, exit code 2."""
    from bawaba.web.messages import sentence

    try:
        yield
    except (ConfigError, KeyFileError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except Problem as problem:
        faults = problem.details.get("fields", {})
        click.echo(sentence(problem.code, problem.details), err=True)
        for field, words in faults.items():
            click.echo(f"  {field}: {'; '.join(words)}", err=True)
        sys.exit(2)


@contextmanager
def _runtime() -> Iterator[Runtime]:
    """A Runtime for one command, beside a server that may be running."""
    from bawaba import migrations, wiring
    from bawaba.core import log

    with _honest_errors():
        config = _config()
        log.configure("warning")
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        migrations.migrate(config.sqlalchemy_url)
        rt = wiring.build(config)
        try:
            yield rt
        finally:
            wiring.stop(rt)
