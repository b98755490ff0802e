"""The demo: a café with a plan and a router in memory, so that a newcomer makes a card and redeems it at once."""

from __future__ import annotations

import structlog
from sqlalchemy import select

from bawaba.core.actor import SYSTEM
from bawaba.core.runtime import Runtime
from bawaba.plans.schemas import PlanIn
from bawaba.plans.service import add_plan
from bawaba.routers.service import add_router
from bawaba.sites.models import Site
from bawaba.sites.schemas import SiteIn
from bawaba.sites.service import add_site

log = structlog.get_logger(__name__)
SITE = {
    "name": "مقهى البوابة",
    "time_zone": "Asia/Aden",
    "currency": "YER",
    "currency_decimals": 0,
    "mode": "router_held",  # so that a new card is seen going to its router
    "wifi_name": "Bawaba Café",
    "support": "+967 1 234 567",
}
PLANS = [
    {"name": "٣ ساعات", "kind": "elapsed", "duration_seconds": 3 * 3600, "price_minor": 200, "rate_down_kbps": 4000},
    {"name": "10 ساعات استخدام", "kind": "used_time", "duration_seconds": 10 * 3600, "valid_for_seconds": 7 * 86400,
     "price_minor": 500},
    {"name": "1 GB", "kind": "elapsed", "quota_bytes": 1024**3, "valid_for_seconds": 86400, "price_minor": 300},
]  # fmt: skip
ROUTER = {"name": "demo", "driver": "fake", "address": "memory", "options": {"traffic": True}}


def fill(rt: Runtime) -> bool:
    """Fill an empty database; False when there is a site already, and then nothing is touched."""
    if rt.read(lambda db: db.scalar(select(Site.id).limit(1))) is not None:
        return False
    site = add_site(rt, SYSTEM, SiteIn.model_validate(SITE).model_dump())
    add_router(rt, SYSTEM, ROUTER | {"site_id": site.id})
    for plan in PLANS:
        wanted = PlanIn.model_validate(plan)
        add_plan(rt, SYSTEM, site.id, wanted.facts())
    log.debug("the demo is set up", site_id=site.id)
    return True
