"""What the dashboard shows: each figure an index range, a count up to a cap, or a handful of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.core.cache import Region
from bawaba.core.runtime import Runtime
from bawaba.plans.models import PlanVersion
from bawaba.plans.service import list_plans
from bawaba.routers import queries as routers
from bawaba.routers.models import Router
from bawaba.routers.queries import Unread
from bawaba.sales.queries import is_unsold, sold_between
from bawaba.sessions import queries as sessions
from bawaba.sessions.models import GuessMeter
from bawaba.sessions.web import SessionLine, lines
from bawaba.sites.models import Site
from bawaba.sites.service import own_sites, sees
from bawaba.vouchers import queries as vouchers
from bawaba.vouchers.models import Voucher
from bawaba.web.paging import PageRequest

CACHED = Region(
    "dashboard",
    (
        "batch", "guess_meter", "guest_session", "plan", "plan_version", "router", "router_job", "sale", "site",
        "voucher",
    ),
    ttl_s=10,
)  # fmt: skip
DAYS = 7
SESSIONS_SHOWN = 6
PLANS_SHOWN = 8
ROUTERS_SHOWN = 8
JOBS_COUNTED = 100
WORST_FIRST = ("down", "degraded", "maintenance", "up")


@dataclass(frozen=True, slots=True)
class Money:
    """What was sold in one currency; `site_id` says how many decimals it is written with."""

    site_id: int
    currency: str
    cards: int
    total_minor: int


@dataclass(frozen=True, slots=True)
class Day:
    """One day's sales, in the currency that most cards are sold in."""

    start: datetime
    site_id: int
    currency: str
    cards: int
    total_minor: int


@dataclass(frozen=True, slots=True)
class Stock:
    """Cards of a plan that could be sold now, counted up to `vouchers.STOCK_MOST`."""

    plan_id: int
    site_id: int
    version: PlanVersion
    left: int


@dataclass(frozen=True, slots=True)
class Steps:
    """What a hotspot needs before its first guest: the first step that is not done is the one to show."""

    site: bool
    router: bool
    plan: bool
    cards: bool

    @property
    def done(self) -> bool:
        """Whether nothing is missing."""
        return self.site and self.router and self.plan and self.cards


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All of it, read in one go."""

    online: int
    live: list[SessionLine]
    today: list[Money]
    days: list[Day]
    stock: list[Stock]
    routers: list[Router]
    router_states: Counter[str]  # of those that were asked already
    routers_in_all: int
    unread: list[Unread]
    failed_jobs: int
    retried_jobs: int
    guessed_at: list[str]
    steps: Steps


def board(rt: Runtime, actor: Actor) -> Dashboard:
    """The dashboard of those who see the same sites: read once, for as long as nothing on it changes."""
    now = rt.clock.now()
    stretch = int(now.timestamp() // CACHED.ttl_s)  # what the clock alone changes: the day, and what is over
    return rt.recall(CACHED, (actor.sight, stretch), dashboard, actor, now)


def dashboard(db: Session, actor: Actor, now: datetime) -> Dashboard:
    """The figures of the sites that a person sees (step)."""
    sites = own_sites(db, actor)
    boxes = sorted(
        routers.list_routers(db, actor, PageRequest(routers.ROUTERS_MOST, None)),
        key=lambda router: (WORST_FIRST.index(router.status), router.name),
    )
    failed, retried = routers.trouble(db, actor, JOBS_COUNTED)
    left = stock(db, actor, now)
    live = sessions.list_sessions(db, actor, PageRequest(SESSIONS_SHOWN - 1, None), active=True)
    made = any(plan.left for plan in left) or _any_card(db, actor)
    return Dashboard(
        online=sessions.online_now(db, actor),
        live=lines(db, live),
        today=_sold_today(db, sites, now),
        days=_days(db, sites, now),
        stock=left,
        routers=boxes[:ROUTERS_SHOWN],
        router_states=Counter(router.status for router in boxes if router.last_seen_at or router.status != "up"),
        routers_in_all=len(boxes),
        unread=routers.unread(db, actor),
        failed_jobs=failed,
        retried_jobs=retried,
        guessed_at=_guessed_at(db, actor, sites, now),
        steps=Steps(bool(sites), bool(boxes), bool(left), made),
    )


def stock(db: Session, actor: Actor, now: datetime) -> list[Stock]:
    """How many cards are left of each plan for sale, the newest plans first (step)."""
    plans = list_plans(db, actor, PageRequest(PLANS_SHOWN, None))[:PLANS_SHOWN]
    versions: dict[int, list[int]] = {}
    wanted = select(PlanVersion.plan_id, PlanVersion.id).where(PlanVersion.plan_id.in_([plan.id for plan, _ in plans]))
    for row in db.execute(wanted):
        versions.setdefault(row.plan_id, []).append(row.id)
    return [
        Stock(plan.id, plan.site_id, version, vouchers.stock(db, versions[plan.id], now, is_unsold()))
        for plan, version in plans
    ]


def _any_card(db: Session, actor: Actor) -> bool:
    """Whether a card was ever made, in a batch (which may still be in the making) or at the counter."""
    made = select(Voucher.id).where(sees(actor, Voucher.site_id)).limit(1)
    return bool(vouchers.list_batches(db, actor, PageRequest(1, None))) or db.scalar(made) is not None


def _sold_today(db: Session, sites: Sequence[Site], now: datetime) -> list[Money]:
    """Today's sales by currency, each site's day on its own clock."""
    sums: dict[str, Money] = {}
    for site in sites:
        start = day_start(site, now)
        for currency, cards, total in sold_between(db, site.id, start, start + timedelta(days=2)):
            before = sums.get(currency)
            sums[currency] = Money(
                before.site_id if before else site.id,
                currency,
                cards + (before.cards if before else 0),
                total + (before.total_minor if before else 0),
            )
    return sorted(sums.values(), key=lambda money: -money.cards)


def _days(db: Session, sites: Sequence[Site], now: datetime) -> list[Day]:
    """The last days' sales in the first site's money, the oldest day first."""
    if not sites:
        return []
    currency = sites[0].currency
    days: list[Day] = []
    for back in range(DAYS - 1, -1, -1):
        start, cards, total = day_start(sites[0], now, back), 0, 0
        for site in sites:
            of_day = sold_between(db, site.id, day_start(site, now, back), day_start(site, now, back - 1))
            cards += sum(row[1] for row in of_day if row[0] == currency)
            total += sum(row[2] for row in of_day if row[0] == currency)
        days.append(Day(start, sites[0].id, currency, cards, total))
    return days


def day_start(site: Site, now: datetime, days_ago: int = 0) -> datetime:
    """Midnight on the site's clock, today or some days ago (-1 is the next one)."""
    zone = ZoneInfo(site.time_zone)
    return datetime.combine(now.astimezone(zone).date() - timedelta(days=days_ago), time.min, zone)


def _guessed_at(db: Session, actor: Actor, sites: Sequence[Site], now: datetime) -> list[str]:
    """The sites where wrong codes are over the site's own cap at the moment."""
    blocked = select(GuessMeter.site_id).where(
        GuessMeter.device == "", GuessMeter.blocked_until > now, sees(actor, GuessMeter.site_id)
    )
    names = {site.id: site.name for site in sites}
    return [names[site_id] for site_id in db.scalars(blocked) if site_id in names]
