"""`list` and `show`: what there is, as a table or as the API's JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session

from bawaba.commands import tables
from bawaba.commands.opening import open_runtime
from bawaba.core.actor import SYSTEM
from bawaba.core.runtime import Runtime

T = TypeVar("T")
PAGE = 200
as_json = click.option("--json", "wants_json", is_flag=True, help="Print what the API would answer, for programs.")
of_site = click.option("--site", "site_id", type=int, help="Only those of the site with this number.")


@click.command("list")
@as_json
def users(wants_json: bool) -> None:
    """List the people who may sign in."""
    from bawaba.accounts.people import list_people
    from bawaba.accounts.schemas import user_out

    with open_runtime() as rt:
        found = list(_every(rt, list_people, lambda person: person.user.id))
        if wants_json:
            tables.print_json([user_out(person) for person in found])
            return
        rows = [
            (
                person.user.id,
                person.user.username,
                person.user.role,
                person.user.language or "first sign-in's",
                ", ".join(map(str, person.site_ids)),
                "no, disabled" if person.user.disabled_at else "yes",
                "yes" if person.user.totp_sealed else "no",
            )
            for person in found
        ]
        columns = ("ID", "USER NAME", "ROLE", "LANGUAGE", "SITES", "MAY SIGN IN", "ASKS A CODE")
        tables.print_table(columns, rows, "Nobody yet: `bawaba user add NAME --role admin`")


@click.command("list")
@as_json
def sites(wants_json: bool) -> None:
    """List the sites."""
    from bawaba.sites.schemas import site_out
    from bawaba.sites.service import list_sites

    def read(db: Session, page: Any) -> Sequence[Any]:
        return list_sites(db, SYSTEM, page)

    with open_runtime() as rt:
        found = list(_every(rt, read, lambda site: int(site.id)))
        if wants_json:
            tables.print_json([site_out(site) for site in found])
            return
        rows = [(site.id, site.name, site.time_zone, site.currency, site.mode, site.wifi_name) for site in found]
        columns = ("ID", "NAME", "TIME ZONE", "CURRENCY", "MODE", "WIFI")
        tables.print_table(columns, rows, "No sites: see `bawaba site add --help`")


@click.command("list")
@as_json
@of_site
@click.option("--archived", is_flag=True, help="Those that were put away, instead of those on sale.")
def plans(wants_json: bool, site_id: int | None, archived: bool) -> None:
    """List the plans: what cards can buy."""
    from bawaba.plans.schemas import plan_out
    from bawaba.plans.service import list_plans
    from bawaba.plans.words import plan_words

    def read(db: Session, page: Any) -> Sequence[Any]:
        return list_plans(db, SYSTEM, page, archived=archived, site_id=site_id)

    with open_runtime() as rt:
        found = list(_every(rt, read, lambda row: int(row[0].id)))
        if wants_json:
            tables.print_json([plan_out(plan, version) for plan, version in found])
            return
        decimals = _decimals(rt)
        rows = [
            (plan.id, version.name, _plain(plan_words(version)), _price(version, decimals[plan.site_id]), plan.site_id)
            for plan, version in found
        ]
        tables.print_table(("ID", "NAME", "BUYS", "PRICE", "SITE"), rows, "No plans: see `bawaba plan add --help`")


@click.command("list")
@as_json
@of_site
def routers(wants_json: bool, site_id: int | None) -> None:
    """List the routers, how each was at the last look, and how many are online through it."""
    from bawaba.routers.queries import list_routers
    from bawaba.routers.schemas import router_out

    def read(db: Session, page: Any) -> Sequence[Any]:
        return list_routers(db, SYSTEM, page, site_id)

    with open_runtime() as rt:
        found = list(_every(rt, read, lambda router: int(router.id)))
        if wants_json:
            tables.print_json([router_out(router) for router in found])
            return
        rows = [
            (
                router.id,
                router.name,
                router.driver,
                _place(router),
                router.status if router.last_seen_at or router.status != "up" else "not seen yet",
                router.online,
                tables.moment(router.last_seen_at),
                router.site_id,
            )
            for router in found
        ]
        columns = ("ID", "NAME", "DRIVER", "ADDRESS", "STATUS", "ONLINE", "LAST SEEN", "SITE")
        tables.print_table(columns, rows, "No routers: see `bawaba router add --help`")


@click.command("show")
@click.argument("router_id", type=int)
@as_json
def router_details(router_id: int, wants_json: bool) -> None:
    """Show all that is known of the router ROUTER_ID; its password never. `router test` asks the router itself."""
    from bawaba.routers.queries import get_router
    from bawaba.routers.schemas import router_out

    with open_runtime() as rt:
        facts = router_out(rt.read(get_router, SYSTEM, router_id))
        if wants_json:
            tables.print_json(facts)
            return
        for name in ("last_seen_at", "created_at"):
            facts[name] = tables.moment(facts[name])
        options, health = facts.pop("options"), facts.pop("health")
        lines = [(name.replace("_", " "), value) for name, value in facts.items()]
        lines += [(f"option {name}", value) for name, value in options.items()]
        lines += [(f"health {name}", value) for name, value in health.items()]
        tables.print_facts(lines)


def _every(rt: Runtime, read: Callable[..., Sequence[T]], id_of: Callable[[T], int]) -> Iterator[T]:
    """All rows of a list that is read page by page, newest first."""
    from bawaba.web.paging import PageRequest

    after: int | None = None
    while True:
        rows = rt.read(read, PageRequest(PAGE, after))
        yield from rows[:PAGE]
        if len(rows) <= PAGE:
            return
        after = id_of(rows[PAGE - 1])


def _decimals(rt: Runtime) -> dict[int, int]:
    """How many decimals the money of each site has."""
    from bawaba.sites.service import own_sites

    return {site.id: site.currency_decimals for site in rt.read(own_sites, SYSTEM)}


def _price(version: Any, decimals: int) -> str:
    from bawaba.web.language import money

    return money(version.price_minor, version.currency, decimals)


def _place(router: Any) -> str:
    return f"{router.address}:{router.port}" if router.port else str(router.address)


def _plain(words: str) -> str:
    """Without the marks that keep directions apart on pages: terminals show some of them as boxes."""
    return "".join(letter for letter in words if letter not in "\u2066\u2067\u2068\u2069")
