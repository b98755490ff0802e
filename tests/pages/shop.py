"""A shop as it is in the evening: plans, cards, guests online, a week of sales, and a router that is out of order."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import httpx

from bawaba.accounts.models import User
from bawaba.monitoring.samples import Sample, write
from bawaba.routers.driver import Health
from bawaba.routers.models import RouterJob
from bawaba.sales.models import Sale
from tests.cast import PHONE
from tests.product import ADMIN, PASSWORD, Product


def redeem(shop: Product, code: str, mac: str = PHONE, ip: str = "10.77.0.9") -> httpx.Response:
    """What a guest's phone sends after the gateway led it to the portal."""
    sent = {"code": code, "client_mac": mac, "client_ip": ip}
    return httpx.post(f"http://127.0.0.1:{shop.port}/api/voucher/redeem", json=sent, timeout=20)


def fill(shop: Product) -> None:
    """An evening in: plans, batches, guests online, and a week of sales."""
    cast = shop.cast
    site_id = cast.site.id
    shop.rt.transact(lambda db: setattr(db.get(User, 1), "language", "ar"))
    client = httpx.Client(base_url=f"http://127.0.0.1:{shop.port}", timeout=20)
    said = client.post("/api/auth/login", json={"username": ADMIN, "password": PASSWORD}).json()
    client.headers["Authorization"] = f"Bearer {said['access_token']}"
    client.patch(f"/api/sites/{site_id}", json={"name": "مقهى البوابة"})
    client.patch(f"/api/routers/{cast.router.id}", json={"name": "الصالة", "options": {"traffic": True}})
    week = 604_800
    plans: list[dict[str, Any]] = [
        {"name": "3 ساعات", "duration_seconds": 10_800, "price_minor": 200, "rate_down_kbps": 4000},
        {
            "name": "10 ساعات",
            "kind": "used_time",
            "duration_seconds": 36_000,
            "valid_for_seconds": week,
            "price_minor": 500,
        },
        {"name": "1 GB", "quota_bytes": 1024**3, "valid_for_seconds": 86_400, "price_minor": 300},
    ]
    made = [client.post("/api/plans", json=plan).json()["id"] for plan in plans]
    for plan_id, quantity in zip(made, (120, 40, 65), strict=True):
        batch = client.post("/api/vouchers/bulk", json={"plan_id": plan_id, "quantity": quantity}).json()
        while client.get(f"/api/batches/{batch['id']}").json()["state"] == "making":
            pass
    cards = client.get("/api/vouchers", params={"status": "unused", "limit": 80}).json()["items"]
    for number, card in enumerate(cards[::7][:9]):
        redeem(shop, card["code"], f"02:00:5e:10:00:{number:02x}", f"10.77.0.{number + 10}")
    client.post(f"/api/vouchers/{cards[3]['id']}/disable")
    client.put("/api/devices", json={"mac": "02:00:5e:aa:00:01", "standing": "trusted", "note": "الطابعة"})
    client.put("/api/devices", json={"mac": "02:00:5e:aa:00:02", "standing": "blocked"})
    client.post("/api/users", json={"username": "omar", "password": "green-door-81", "role": "operator"})
    a_day_of_traffic(shop)
    version = cast.make_plan(name="يوم كامل", duration_seconds=86_400)
    for day, many in enumerate((14, 22, 17, 31, 26, 38), start=1):
        for _ in range(many):
            when = cast.now - timedelta(days=day)
            facts = {"voucher_id": cast.make_voucher(version=version).id, "site_id": site_id, "sold_at": when}
            cast._add(Sale(**facts, plan_version_id=version.id, price_minor=200, currency="YER"))
    shop.rt.transact(lambda db: setattr(db.get(type(version), version.id), "price_minor", 200))


def a_day_of_traffic(shop: Product) -> None:
    """What the router moved, five minutes a look, with an evening and a night in it."""
    now = shop.cast.now
    looks = []
    for back in range(1, 288):
        at = now - timedelta(minutes=5 * back)
        guests = round(14 + 12 * math.sin((at.hour + at.minute / 60 - 13) * math.tau / 24))
        down = guests * (10_000_000 + 2_000_000 * (back // 6 % 3))
        looks.append(Sample(shop.cast.router.id, at, Health(cpu_percent=4.0 + guests), guests, down // 9, down))
    shop.rt.transact(write, looks)


def out_of_order(shop: Product) -> None:
    """A router that does not answer, and what it owes."""
    cast = shop.cast
    broken = cast.make_router(cast.site.id, name="السطح", options={"fail": "unreachable"})
    owed = {"router_id": broken.id, "next_try_at": cast.now + timedelta(hours=1), "created_at": cast.now}
    cast._add(RouterJob(**owed, kind="kick", state="failed", attempts=12, last_error="unreachable: no answer"))
    cast._add(RouterJob(**owed, kind="devices", state="open", attempts=3, last_error="unreachable: no answer"))
