"""The command line: `bawaba …`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bawaba.commands import lists
from bawaba.commands.audit import audit
from bawaba.commands.backup import backup
from bawaba.commands.doctor import doctor
from bawaba.commands.opening import honest_errors as _honest_errors
from bawaba.commands.opening import open_runtime as _runtime
from bawaba.commands.opening import read_config as _config
from bawaba.commands.upkeep import move_to_postgresql, upgrade
from bawaba.core import data_folder
from bawaba.gateway.commands import gateway, gateway_agent
from bawaba.routers.simulators.routeros.command import simulate
from bawaba.routers.simulators.unifi.command import simulate_unifi


@click.group()
@click.version_option(package_name="bawaba")
def main() -> None:
    """Bawaba: prepaid WiFi cards, a captive portal, and every router in one place."""


main.add_command(gateway)
main.add_command(gateway_agent)
main.add_command(doctor)
main.add_command(audit)
main.add_command(backup)
main.add_command(upgrade)
main.add_command(move_to_postgresql)


@main.command()
@click.option("--demo", is_flag=True, help="Fill an empty database with a site, a plan and a router in memory.")
def serve(demo: bool) -> None:
    """Serve everything from one process: pages, API, portal, sockets, routers and background work."""
    from bawaba.server import run

    with _honest_errors():
        run(_config(), demo=demo)


@main.command()
def web() -> None:
    """Serve pages, API, portal and sockets, beside other processes. Needs PostgreSQL, Redis and at least one worker."""
    from bawaba.server import run_web

    with _honest_errors():
        run_web(_config())


@main.command()
def worker() -> None:
    """Poll routers, deliver to them and make batches, beside other processes. Needs PostgreSQL and Redis."""
    from bawaba.worker import run

    with _honest_errors():
        run(_config())


@main.command()
def migrate() -> None:
    """Bring the database to the newest shape. `serve` does this by itself."""
    from bawaba import migrations

    with _honest_errors():
        config = _config()
        data_folder.become_owner(config.data_dir)
        data_folder.make(config.data_dir)
        click.echo("migrated" if migrations.migrate(config.sqlalchemy_url) else "nothing to do")


@main.group()
def user() -> None:
    """The people who run the hotspot."""


@user.command("add")
@click.argument("username")
@click.option(
    "--role",
    type=click.Choice(["admin", "operator", "viewer", "clerk"]),
    default="operator",
    show_default=True,
    help="What they may do: everything; make and print cards and disconnect; only look; only sell at the counter.",
)
@click.option("--language", help="The language of their pages: ar or en. Without it: as at their first sign-in.")
def user_add(username: str, role: str, language: str | None) -> None:
    """Let the person USERNAME sign in; the password is made up and printed once."""
    from bawaba.accounts import people

    with _runtime() as rt:
        click.echo(f"{username}: {people.add_user(rt, username, role, language)}")


@user.command("reset-password")
@click.argument("username")
def user_reset_password(username: str) -> None:
    """Give the locked-out USERNAME a new password, printed once.

    Their sign-ins end; the wait after wrong tries and the second factor are lifted.
    """
    from bawaba.accounts import people

    with _runtime() as rt:
        click.echo(f"{username}: {people.reset_password(rt, username)}")


user.add_command(lists.users)


@main.group()
def site() -> None:
    """The places: each with its own money, clock and routers."""


@site.command("add")
@click.argument("name")
@click.option("--time-zone", required=True, help="Its clock, like Asia/Aden.")
@click.option("--currency", required=True, help="Its money, by three letters, like YER or USD.")
@click.option(
    "--mode",
    type=click.Choice(["server_held", "router_held"]),
    default="server_held",
    show_default=True,
    help="Where unused cards lie: here, or on the routers too, so that they work while Bawaba is away.",
)
@click.option("--language", default="ar", show_default=True, help="The language of guests' pages: ar or en.")
@click.option("--wifi-name", default="", help="The WiFi's name, as guests see it.")
@click.option("--support", default="", help="Whom guests can ask, like a telephone number.")
def site_add(**wanted: Any) -> None:
    """Add the site NAME. The first one is where everything else belongs that is added without --site."""
    from bawaba.core.actor import SYSTEM
    from bawaba.sites.schemas import SiteIn
    from bawaba.sites.service import add_site
    from bawaba.web.input import parse

    with _runtime() as rt:
        made = add_site(rt, SYSTEM, parse(SiteIn, wanted).model_dump())
        click.echo(f"site {made.id}: {made.name}")


site.add_command(lists.sites)


@main.group()
def plan() -> None:
    """What cards buy."""


@plan.command("add")
@click.argument("name")
@click.option(
    "--hours", type=click.FloatRange(min=0.01), help="Time, in hours: 0.5 is half an hour. No limit unless given."
)
@click.option(
    "--gigabytes",
    type=click.FloatRange(min=0.001),
    help="Data, up and down together, in GB of 1024³ bytes. No limit unless given.",
)
@click.option("--used-time", is_flag=True, help="The clock runs only while the phone is online.")
@click.option(
    "--devices", type=click.IntRange(1, 100), default=1, show_default=True, help="How many may use one card at once."
)
@click.option("--down-kbps", type=click.IntRange(min=8), help="Download speed, in kbit/s. No limit unless given.")
@click.option("--up-kbps", type=click.IntRange(min=8), help="Upload speed, in kbit/s. No limit unless given.")
@click.option(
    "--price",
    "price_minor",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="In the smallest unit of the site's currency: 350 is 3.50 USD, and 350 YER where it has no decimals.",
)
@click.option("--site", "site_id", type=int, help="The site's number; may be left out while there is one.")
def plan_add(name: str, hours: float | None, gigabytes: float | None, used_time: bool, **terms: Any) -> None:
    """Add the plan NAME: what a card buys. It needs a time, an amount of data, or both."""
    from bawaba.core.actor import SYSTEM
    from bawaba.plans import service
    from bawaba.plans.schemas import PlanIn
    from bawaba.web.input import parse

    with _runtime() as rt:
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
        made, version = service.add_plan(rt, SYSTEM, terms["site_id"], wanted.facts())
        click.echo(f"plan {made.id}: {version.name}")


plan.add_command(lists.plans)


@main.group()
def voucher() -> None:
    """Cards."""


@voucher.command("make")
@click.argument("plan_id", type=int)
@click.option(
    "--style",
    type=click.Choice(["digits", "letters"]),
    help="digits: 4821-0937-5561; letters: 7KX2M-Q9RTW. As the site has it unless given.",
)
def voucher_make(plan_id: int, style: Any) -> None:
    """Make one card of the plan PLAN_ID (see `bawaba plan list`) and print its serial, code, plan and address."""
    from bawaba.core.actor import SYSTEM
    from bawaba.vouchers import codes, making

    with _runtime() as rt:
        made, version = making.make_card(rt, SYSTEM, making.CardOrder(plan_id, style))
        code = making.open_code(rt.keyring, made)
        click.echo(f"{made.serial}  {codes.grouped(code)}  {version.name}  {rt.config.portal_url}/c/{code}")
        if rt.config.is_portal_out_of_reach:
            click.echo(
                f"No phone can open {rt.config.portal_url}, and the card's QR code carries it: "
                "set BAWABA_PUBLIC_URL to what guests type, like http://login.wifi",
                err=True,
            )


@main.group()
def router() -> None:
    """The boxes that let guests in."""


router.add_command(simulate)
simulate.add_command(simulate_unifi)
router.add_command(lists.routers)
router.add_command(lists.router_details)


@router.command("add")
@click.argument("name")
@click.option("--driver", required=True, help="The make: linux, fake, …")
@click.option("--address", default="", help="linux: the agent's socket, like /run/bawaba/gateway.sock.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="The port it is reached at; the usual one of its make unless given."
)
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
@click.option("--site", "site_id", type=int, help="The site's number; may be left out while there is one.")
def router_add(name: str, driver: str, options: tuple[str, ...], lan4: str, lan6: str, **way: Any) -> None:
    """Add the router NAME to a site."""
    from bawaba.core.actor import SYSTEM
    from bawaba.routers import service
    from bawaba.routers.links import driver_class
    from bawaba.routers.schemas import RouterIn
    from bawaba.web.input import parse

    with _runtime() as rt:
        needs = driver_class(driver).needs
        if needs.password:
            way["password"] = _asked_password(may_be_empty=needs.password_made or needs.login_optional)
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
@click.option("--trust", metavar="FINGERPRINT", help="Its certificate's, which you have compared; trusted from now on.")
def router_test(router_id: int, trust: str | None) -> None:
    """Ask the router ROUTER_ID who it is; exit code 1 when it does not answer well."""
    from bawaba.core.actor import SYSTEM
    from bawaba.routers import service

    with _runtime() as rt:
        if trust is not None:
            service.trust_certificate(rt, SYSTEM, router_id, trust)
        info, error = service.test_router(rt, SYSTEM, router_id)
        if info is None:
            click.echo(f"router {router_id}: {error.code if error else 'error'}: {error}", err=True)
            sys.exit(1)
        click.echo(f"router {router_id}: {info.board} {info.version}")
        for right in info.missing_rights:
            click.echo(f"  lacks the right: {right}")
        for note in info.notes:
            click.echo(f"  {note}")


@router.command("setup-script")
@click.argument("router_id", type=int)
@click.option("--server", help="The hotspot that is on the router, like hotspot1.")
@click.option("--interface", help="The guests' interface: a MikroTik gets a new hotspot there.")
@click.option("--network", default="10.77.0.1/24", show_default=True, help="The router's address in a new hotspot.")
@click.option("--manager", "manager_ip", help="Bawaba's address as the router sees it; worked out unless given.")
@click.option("--wireguard", help="HOST[:PORT] where the internet reaches Bawaba: through a tunnel, also behind CGNAT.")
@click.option("--undo", is_flag=True, help="The script that takes everything away again.")
@click.option("--tunnel", is_flag=True, help="With --wireguard: Bawaba's own end, for wg-quick.")
def router_setup_script(router_id: int, undo: bool, tunnel: bool, **wanted: Any) -> None:
    """Print the script that makes the router ROUTER_ID (MikroTik, openNDS) one of ours. It holds its password."""
    from bawaba.core.actor import SYSTEM
    from bawaba.routers.setup.service import Wanted, scripts

    with _runtime() as rt:
        made = scripts(rt, SYSTEM, router_id, Wanted(**wanted))
        if tunnel and made.tunnel is None:
            raise click.UsageError("--tunnel needs --wireguard")
        click.echo(made.undo if undo else made.tunnel if tunnel else made.setup)


@main.group()
def reports() -> None:
    """What was sold and used."""


@reports.command("rebuild")
def reports_rebuild() -> None:
    """Add up every sale and session anew. Nothing is lost meanwhile; reports say that they are being counted."""
    from bawaba.reports import counting

    with _runtime() as rt:
        counting.rebuild(rt)
        click.echo("done")


@main.group()
def radius() -> None:
    """Gateways that ask by RADIUS, with FreeRADIUS in front."""


@radius.command("config")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="FreeRADIUS's folder, to write it there.")
@click.option("--check", is_flag=True, help="Let FreeRADIUS read what is in the folder (freeradius -XC).")
@click.option("--undo", is_flag=True, help="Put back what was in the folder before.")
@click.option("--listen", default="0.0.0.0", show_default=True, help="The address where the NASes reach FreeRADIUS.")
@click.option(
    "--auth-port", type=click.IntRange(1, 65535), default=1812, show_default=True, help="The UDP port for sign-ins."
)
@click.option(
    "--acct-port", type=click.IntRange(1, 65535), default=1813, show_default=True, help="The UDP port for accounting."
)
@click.option("--log-folder", default="/var/log/freeradius", show_default=True, help="Where FreeRADIUS writes its log.")
def radius_config(out: Path | None, check: bool, undo: bool, **options: Any) -> None:
    """Write FreeRADIUS's configuration for the RADIUS routers. Without --out it only shows what it would write."""
    from bawaba.radius import commands

    if undo or (check and out is None):
        with _honest_errors():
            commands.put_back(out) if undo else commands.check(out)
        return
    with _runtime(as_owner=False) as rt:  # the folder is FreeRADIUS's
        commands.configure(rt, out, **options)
        if check:
            commands.check(out)


@radius.command("secret")
@click.argument("router_id", type=int)
def radius_secret(router_id: int) -> None:
    """Print the secret of the RADIUS router ROUTER_ID, to type it into the gateway."""
    from bawaba.radius import commands

    with _runtime() as rt:
        commands.tell_secret(rt, router_id)
