"""The sums that reports are made from are always what the sales and sessions themselves add up to."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bawaba.core.runtime import Runtime
from bawaba.reports import counting
from bawaba.sales import sums as sales
from bawaba.sales.models import Sale, SaleSum
from bawaba.sales.rules import Period
from bawaba.sessions import sums as uses
from bawaba.sessions.models import GuestSession, UseSum
from bawaba.sites.models import Site
from bawaba.vouchers.models import Voucher
from tests.cast import Cast

SPRING = datetime(2026, 3, 20, tzinfo=UTC)  # Beirut puts its clocks forward within these days
FIRST, LAST = date(2026, 3, 1), date(2026, 4, 30)


class History:
    """A place where things are sold and used in a random order, and corrected later."""

    def __init__(self, rt: Runtime, cast: Cast, rng: Random) -> None:
        self.rt, self.cast, self.rng = rt, cast, rng
        self.site = cast.make_site(time_zone="Asia/Beirut")
        self.routers = [cast.make_router(self.site.id).id for _ in range(2)]
        self.plans = [cast.make_plan(site_id=self.site.id, price_minor=price) for price in (200, 350)]

    def card(self) -> int:
        return self.cast.make_voucher(version=self.rng.choice(self.plans), site_id=self.site.id).id

    def some_time(self) -> datetime:
        return SPRING + timedelta(minutes=self.rng.randrange(20 * 1440))

    def sell(self) -> None:
        card = self.cast.row(Voucher, self.card())
        self.cast._add(
            Sale(
                voucher_id=card.id, site_id=self.site.id, plan_version_id=card.plan_version_id,
                price_minor=card.price_minor, currency=self.rng.choice(["YER", "USD"]),
                sold_by=self.rng.choice([None, 5]), sold_at=self.some_time(),
            )
        )  # fmt: skip

    def use(self) -> None:
        start = self.rng.choice([self.some_time(), None])
        is_live = self.rng.random() < 0.4
        facts: dict[str, Any] = {"start_time": start, "created_at": SPRING, "state": "online" if is_live else "ended"}
        facts |= {} if is_live else {"ended_at": SPRING, "used_seconds": self.rng.randrange(9000)}
        facts |= {"bytes_up": self.rng.randrange(10**6), "bytes_down": self.rng.randrange(10**9)}
        self.cast._add(
            GuestSession(
                site_id=self.site.id, voucher_id=self.card(), router_id=self.rng.choice(self.routers),
                client_mac="02:00:5e:10:00:01", **facts,
            )
        )  # fmt: skip

    def end(self) -> None:
        self.change("state = 'ended', ended_at = created_at, used_seconds = 77", "ended_at IS NULL")

    def correct(self) -> None:
        """A report that came after the end, as `radius.accounting` books it."""
        self.change("bytes_up = bytes_up + 11, bytes_down = bytes_down + 1000, told = 0")

    def change(self, how: str, where: str = "id > 0") -> None:
        one = f"SELECT id FROM guest_session WHERE {where} AND site_id = :site ORDER BY (id * 7919) % 97 LIMIT 1"
        self.rt.transact(
            lambda db: db.execute(text(f"UPDATE guest_session SET {how} WHERE id IN ({one})"), {"site": self.site.id})
        )

    def count(self) -> None:
        self.rt.transact(counting.count_some, self.site.id)

    def die_while_counting(self) -> None:
        def dies(db: Session) -> None:
            counting.count_some(db, self.site.id)
            raise KeyError

        with pytest.raises(KeyError):
            self.rt.transact(dies)

    def begin_anew(self) -> None:
        self.rt.transact(counting.begin_anew, self.site.id)

    def move_the_clock(self) -> None:
        zone = self.rng.choice(["Asia/Beirut", "Asia/Kathmandu", "Asia/Aden"])
        self.rt.transact(lambda db: setattr(db.get_one(Site, self.site.id), "time_zone", zone))


def raw_sales(db: Session, site: Site) -> Counter[tuple[Any, ...]]:
    """What the sales themselves say, by day, facet, what it is and currency, worked out anew and on its own."""
    found: Counter[tuple[Any, ...]] = Counter()
    plans = {row[0]: row[1] for row in db.execute(text("SELECT id, plan_id FROM plan_version"))}
    for sale in db.scalars(select(Sale).where(Sale.site_id == site.id)):
        at = sale.sold_at.astimezone(ZoneInfo(site.time_zone))
        refs = {"all": 0, "hour": at.hour, "plan": plans[sale.plan_version_id], "seller": sale.sold_by or 0}
        for facet, ref in refs.items():
            found["cards", at.date().toordinal(), facet, ref, sale.currency] += 1
            found["money", at.date().toordinal(), facet, ref, sale.currency] += sale.price_minor
    return found


def summed_sales(db: Session, site: Site) -> Counter[tuple[Any, ...]]:
    """What the table of sums says."""
    found: Counter[tuple[Any, ...]] = Counter()
    for row in db.scalars(select(SaleSum).where(SaleSum.site_id == site.id)):
        if row.facet in ("all", "hour", "plan", "seller"):
            found["cards", row.day, row.facet, row.ref, row.currency] += row.cards
            found["money", row.day, row.facet, row.ref, row.currency] += row.total_minor
    return found


def raw_use(db: Session, site: Site, *, ended: bool) -> Counter[tuple[Any, ...]]:
    """What the sessions themselves say."""
    found: Counter[tuple[Any, ...]] = Counter()
    for one in db.scalars(select(GuestSession).where(GuestSession.site_id == site.id)):
        if one.start_time is None or (ended and one.ended_at is None):
            continue
        at = one.start_time.astimezone(ZoneInfo(site.time_zone))
        for facet, ref in (("all", 0), ("hour", at.hour), ("router", one.router_id)):
            facts = {"sessions": 1, "seconds": one.used_seconds, "up": one.bytes_up, "down": one.bytes_down}
            for name, fact in facts.items():
                found[name, at.date().toordinal(), facet, ref] += fact
    return +found


def summed_use(db: Session, site: Site) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for row in db.scalars(select(UseSum).where(UseSum.site_id == site.id)):
        for name in ("sessions", "seconds", "up", "down"):
            if row.facet in ("all", "hour", "router"):
                found[name, row.day, row.facet, row.ref] += getattr(row, name)
    return +found


@pytest.fixture
def history(rt: Runtime, cast: Cast) -> History:
    return History(rt, cast, Random(20))


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every stage is met half done."""
    monkeypatch.setattr(counting, "UNTOLD_AT_ONCE", 4)
    monkeypatch.setattr(sales.tell, "__defaults__", (3,))
    monkeypatch.setattr(uses.tell, "__defaults__", (3,))
    monkeypatch.setattr(sales, "AT_ONCE", 3)
    monkeypatch.setattr(uses, "AT_ONCE", 3)


def test_after_any_history_the_sums_are_what_the_rows_add_up_to(rt: Runtime, history: History) -> None:
    deeds = [history.sell, history.use, history.sell, history.use, history.end, history.correct, history.count]
    deeds += [history.count, history.die_while_counting]
    rare = [history.begin_anew, history.move_the_clock]
    for number in range(90):
        history.rng.choice(rare if number % 30 == 29 else deeds)()
    counting.count_all(rt)

    site = history.cast.row(Site, history.site.id)
    assert rt.read(summed_sales, site) == rt.read(raw_sales, site)
    assert rt.read(summed_use, site) == rt.read(raw_use, site, ended=True)
    assert not rt.read(counting.is_counting, site)


def test_a_report_lacks_nothing_that_was_not_counted_yet(rt: Runtime, history: History) -> None:
    time = Period(FIRST, LAST, history.site.time_zone)
    for _ in range(8):
        history.sell()
        history.use()
        history.end()
        history.count()
        history.correct()
        sold = rt.read(sales.sums_of, history.site.id, time, "all", by_day=True)
        used = rt.read(uses.sums_of, history.site.id, time, "router", by_day=True)
        raw, of_all = rt.read(raw_sales, history.site), rt.read(raw_use, history.site, ended=False)
        assert {(one.day, one.currency): one.total_minor for one in sold} == {
            (key[1], key[4]): value for key, value in raw.items() if key[0] == "money" and key[2] == "all"
        }
        assert {(one.day, one.ref): one.down for one in used if one.down} == {
            (key[1], key[3]): value for key, value in of_all.items() if key[0] == "down" and key[2] == "router"
        }


def test_made_anew_they_are_the_same(rt: Runtime, history: History) -> None:
    for _ in range(12):
        history.sell()
        history.use()
    counting.count_all(rt)
    before = rt.read(summed_sales, history.site), rt.read(summed_use, history.site)
    rt.transact(lambda db: db.execute(text("UPDATE sale_sum SET cards = cards + 1")))

    counting.rebuild(rt)

    assert (rt.read(summed_sales, history.site), rt.read(summed_use, history.site)) == before


def test_what_pruned_sessions_used_stays_counted_when_all_is_made_anew(rt: Runtime, history: History) -> None:
    for _ in range(8):
        history.use()
    counting.count_all(rt)
    before = rt.read(summed_use, history.site)
    rt.transact(lambda db: db.execute(text("DELETE FROM guest_session WHERE told = 1 AND id % 2 = 0")))

    counting.rebuild(rt)

    assert rt.read(summed_use, history.site) == before


def test_two_processes_counting_at_once_count_everything_once(rt: Runtime, history: History) -> None:
    for _ in range(15):
        history.sell()
        history.use()
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(counting.count_all, rt) for _ in range(3)]:
            done.result()
    counting.count_all(rt)
    assert rt.read(summed_sales, history.site) == rt.read(raw_sales, history.site)
    assert rt.read(summed_use, history.site) == rt.read(raw_use, history.site, ended=True)
