"""Adding and changing sites, and the one answer to "which site is meant?"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, column, exists, select, table, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from bawaba.accounts import audit, people
from bawaba.accounts.idempotency import Once
from bawaba.core.actor import Actor
from bawaba.core.cache import Region
from bawaba.core.runtime import Runtime
from bawaba.sites import rules
from bawaba.sites.errors import ChooseSite, CurrencyInUse, NoSite, SiteNotFound
from bawaba.sites.models import Site
from bawaba.web.paging import PageRequest

CACHED = Region("sites", ("site",), ttl_s=300)
PRICES = table("plan", column("site_id"))  # who is above is known here by its key alone
MONEY = ("currency", "currency_decimals")


def get_site(db: Session, actor: Actor, site_id: int) -> Site:
    """A site that the caller sees (step). Raises `SiteNotFound`, also for a site of others."""
    site = db.get(Site, site_id) if actor.sees(site_id) else None
    if site is None:
        raise SiteNotFound()
    return site


def resolve_site(db: Session, actor: Actor, site_id: int | None) -> Site:
    """The site that a request means: the one it names, else the caller's only one (step).

    Raises `SiteNotFound` when it is not theirs, `ChooseSite` when they have several, `NoSite` when they have none.
    """
    if site_id is not None:
        return get_site(db, actor, site_id)
    found = db.scalars(select(Site).where(sees(actor, Site.id)).limit(2)).all()
    if not found:
        raise NoSite()
    if len(found) > 1:
        raise ChooseSite()
    return found[0]


def sees(actor: Actor, site_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """The condition that a row is of a site that the caller sees, for queries over any table with a site."""
    return true() if actor.site_ids is None else site_id.in_(actor.site_ids)


def list_sites(db: Session, actor: Actor, page: PageRequest) -> Sequence[Site]:
    """The caller's sites, newest first, one more than the page holds."""
    wanted = select(Site).where(sees(actor, Site.id)).order_by(Site.id.desc()).limit(page.limit + 1)
    if page.after_id is not None:
        wanted = wanted.where(Site.id < page.after_id)
    return db.scalars(wanted).all()


def own_sites(db: Session, actor: Actor) -> Sequence[Site]:
    """All the caller's sites by name, for a menu."""
    return db.scalars(select(Site).where(sees(actor, Site.id)).order_by(Site.name, Site.id)).all()


def add_site(rt: Runtime, actor: Actor, facts: dict[str, Any], once: Once | None = None) -> Site:
    """Add a site. The first one is everybody's: who was let in before it works there."""
    return rt.transact(_add, actor, facts, rt.clock.now(), once)


def _add(db: Session, actor: Actor, facts: dict[str, Any], now: datetime, once: Once | None) -> Site:
    is_first = db.scalar(select(~exists(select(Site.id))))
    decimals = facts.get("currency_decimals")
    if decimals is None:
        decimals = rules.usual_decimals(facts["currency"])
    site = Site(**{**facts, "currency_decimals": decimals}, created_at=now)
    db.add(site)
    db.flush()
    if is_first:
        people.put_everybody_at(db, site.id)
    audit.record(db, actor, "site.added", site.id, "site", site.id, now, name=site.name)
    if once is not None:
        once.record(db, site.id)
    return site


def change_site(rt: Runtime, actor: Actor, site_id: int, changes: dict[str, Any]) -> Site:
    """Change a site; what is left out stays. Raises `CurrencyInUse` once it has prices."""
    return rt.transact(_change, actor, site_id, changes, rt.clock.now())


def _change(db: Session, actor: Actor, site_id: int, changes: dict[str, Any], now: datetime) -> Site:
    site = get_site(db, actor, site_id)
    if changes.get("currency", site.currency) != site.currency and changes.get("currency_decimals") is None:
        changes = {**changes, "currency_decimals": rules.usual_decimals(changes["currency"])}
    changed = {name: value for name, value in changes.items() if getattr(site, name) != value}
    if any(name in changed for name in MONEY) and db.scalar(select(exists().where(PRICES.c.site_id == site.id))):
        raise CurrencyInUse()
    for name, value in changed.items():
        setattr(site, name, value)
    if changed:
        audit.record(db, actor, "site.changed", site.id, "site", site.id, now, fields=sorted(changed))
    return site
