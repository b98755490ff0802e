"""Devices that a site knows: trusted ones are online without a card, blocked ones never are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from bawaba.core.errors import field_fault
from bawaba.core.events import Event
from bawaba.core.statement import Statement
from bawaba.routers.driver import Cap
from bawaba.routers.links import driver_class
from bawaba.routers.models import THERE, Device, Router
from bawaba.routers.promises import Ask, Kind, Promised, promise

KIND = "devices"
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
STANDINGS = ("trusted", "blocked")
STANDING = Statement("SELECT standing FROM device WHERE site_id = :site_id AND mac = :mac", "standing")


def canonical_mac(text: str) -> str:
    """A MAC in lower case with colons, whatever separators it came with. Raises `Invalid`."""
    digits = re.sub(r"[^0-9a-fA-F]", "", text).lower()
    mac = ":".join(digits[i : i + 2] for i in range(0, 12, 2))
    if len(digits) != 12 or not MAC.fullmatch(mac):
        raise field_fault("mac", "must be a hardware address like 02:00:5e:10:00:01")
    return mac


def set_standing(db: Session, site_id: int, mac: str, standing: str | None, note: str, now: datetime) -> list[Promised]:
    """Trust or block a device at a site, or (None) treat it like any other; promised to every router there."""
    db.execute(delete(Device).where(Device.site_id == site_id, Device.mac == mac))
    if standing is not None:
        db.add(Device(site_id=site_id, mac=mac, standing=standing, note=note, created_at=now))
    return [promise(db, router_id, KIND, None, now) for router_id in keepers(db, site_id)]


def keepers(db: Session, site_id: int) -> list[int]:
    """The site's routers that keep device lists."""
    rows = db.execute(select(Router.id, Router.driver).where(Router.site_id == site_id, THERE).order_by(Router.id))
    return [row.id for row in rows if Cap.DEVICES in driver_class(row.driver).caps]


def lists(db: Session, site_id: int) -> tuple[list[str], list[str]]:
    """The MACs that are trusted, and those that are blocked."""
    rows = db.execute(select(Device.mac, Device.standing).where(Device.site_id == site_id).order_by(Device.mac)).all()
    trusted = [row.mac for row in rows if row.standing == "trusted"]
    return trusted, [row.mac for row in rows if row.standing == "blocked"]


def known(db: Session, site_id: int) -> Sequence[Device]:
    """The site's list, for its page."""
    return db.scalars(select(Device).where(Device.site_id == site_id).order_by(Device.id.desc()).limit(500)).all()


def standing_of(db: Session, site_id: int, mac: str) -> str | None:
    """trusted, blocked, or None."""
    found = STANDING.first(db, site_id=site_id, mac=mac)
    return str(found.standing) if found is not None else None


def _prepare(db: Session, job: Promised, now: datetime) -> tuple[list[str], list[str]] | None:
    site_id = db.scalar(select(Router.site_id).where(Router.id == job.router_id))
    return lists(db, site_id) if site_id is not None else None


async def _deliver(ask: Ask, work: tuple[list[str], list[str]]) -> None:
    await ask("set_devices", *work)


def _followed(db: Session, job: Promised, result: Any, now: datetime) -> list[Event]:
    return []


WORK = Kind(_prepare, _deliver, _followed)
