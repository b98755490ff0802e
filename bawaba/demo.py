"""The demo: a café with a plan and a router in memory, so that a newcomer makes a card and redeems it at once."""

from __future__ import annotations

from collections.abc import Mapping

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
NAMES = {  # of the place, its router and its plans, in the language of who starts it
    "ar": ("مقهى البوابة", "الصالة", "3 ساعات", "10 ساعات اتصال", "1 غيغابايت"),
    "en": ("Bawaba Café", "Hall", "3 hours", "10 hours online", "1 GB"),
}
SITE = {
    "time_zone": "Asia/Aden",
    "currency": "YER",
    "currency_decimals": 0,
    "mode": "router_held",  # so that a new card is seen going to its router
    "wifi_name": "Bawaba",
    "support": "+967 1 234 567",
}
PLANS = [
    {"kind": "elapsed", "duration_seconds": 3 * 3600, "price_minor": 200, "rate_down_kbps": 4000},
    {"kind": "used_time", "duration_seconds": 10 * 3600, "valid_for_seconds": 7 * 86400, "price_minor": 500},
    {"kind": "elapsed", "quota_bytes": 1024**3, "valid_for_seconds": 86400, "price_minor": 300},
]
ROUTER = {"driver": "fake", "address": "memory", "options": {"traffic": True}}


def spoken(environ: Mapping[str, str]) -> str:
    """The language of the terminal that starts the demo (POSIX locale variables): Arabic, else English."""
    said = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "ar" if said.startswith("ar") else "en"


def fill(rt: Runtime, language: str = "en") -> bool:
    """Fill an empty database; False when there is a site already, and then nothing is touched."""
    if rt.read(lambda db: db.scalar(select(Site.id).limit(1))) is not None:
        return False
    place, box, *plans = NAMES[language]
    site = add_site(rt, SYSTEM, SiteIn.model_validate(SITE | {"name": place}).model_dump())
    add_router(rt, SYSTEM, ROUTER | {"name": box, "site_id": site.id})
    for name, plan in zip(plans, PLANS, strict=True):
        wanted = PlanIn.model_validate(plan | {"name": name})
        add_plan(rt, SYSTEM, site.id, wanted.facts())
    log.debug("the demo is set up", site_id=site.id)
    return True
