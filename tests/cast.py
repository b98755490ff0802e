"""The cast of the tests: one café, its plans, its router in memory, its cards and its guests."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.core.runtime import Runtime
from bawaba.plans.models import Plan, PlanVersion
from bawaba.routers.cards import CARD_SECRET
from bawaba.routers.models import Router
from bawaba.sessions.redeem import Guest
from bawaba.sites.models import Site
from bawaba.vouchers import codes, rules
from bawaba.vouchers.models import Voucher
from bawaba.vouchers.queries import code_digest

HOUR = 3600
MIB = 1024 * 1024
PHONE = "02:00:5e:10:00:01"
TABLET = "02:00:5e:10:00:02"
numbers = itertools.count(1)


def phones(count: int) -> list[str]:
    """So many different devices."""
    return [f"02:00:5e:20:{number >> 8:02x}:{number & 255:02x}" for number in range(count)]


class Cast:
    """Makes what a test needs, straight in the database."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.site = self.make_site()
        self.router = self.make_router(self.site.id)

    def make_site(self, **facts: Any) -> Site:
        """A place in Yemen, server-held."""
        base = {
            "name": f"Café {next(numbers)}",
            "time_zone": "Asia/Aden",
            "currency": "YER",
            "currency_decimals": 0,
            "mode": "server_held",
            "language": "ar",
            "created_at": self.now,
        }
        return self._add(Site(**(base | facts)))

    def make_router(self, site_id: int, **facts: Any) -> Router:
        """A router in memory."""
        base = {
            "site_id": site_id,
            "name": f"router {next(numbers)}",
            "driver": "fake",
            "address": "memory",
            "options": {},
            "health": {},
            "created_at": self.now,
        }
        return self._add(Router(**(base | facts)))

    def make_plan(self, **terms: Any) -> PlanVersion:
        """Three hours by the wall clock, one device, unless told otherwise."""
        site_id = terms.pop("site_id", self.site.id)
        plan = self._add(Plan(site_id=site_id, created_at=self.now))
        base = {
            "plan_id": plan.id,
            "version": 1,
            "name": "3 hours",
            "kind": "elapsed",
            "duration_seconds": 3 * HOUR,
            "devices_at_once": 1,
            "idle_timeout_seconds": 300,
            "price_minor": 200,
            "currency": "YER",
            "created_at": self.now,
        }
        return self._add(PlanVersion(**(base | terms)))

    def make_voucher(self, **terms: Any) -> Card:
        """A card of a plan of its own; `card=…` fields go to the card, the others to the plan."""
        card = terms.pop("card", {})
        version = terms.pop("version", None) or self.make_plan(**terms)
        site_id = terms.get("site_id", self.site.id)
        (code,) = codes.new_codes(self.rt.rng, "digits", 1)
        number = next(numbers)
        unused_until = rules.unused_until(version, self.now)
        base = {
            "site_id": site_id,
            "number": number,
            "plan_version_id": version.id,
            "serial": rules.single_serial(number),
            "code_digest": code_digest(self.rt.keyring, code),
            "code_sealed": self.rt.keyring.encrypt(code.encode(), CARD_SECRET),
            "expires_unused_at": unused_until,
            "over_at": rules.earliest(unused_until, card.get("ends_at")),
            "price_minor": version.price_minor,
            "currency": version.currency,
            "created_at": self.now,
        }
        return Card(self._add(Voucher(**(base | card))), code)

    def guest(self, mac: str = PHONE, router: Router | None = None) -> Guest:
        """A device at a router."""
        return Guest((router or self.router).id, mac, "10.77.0.9")

    @property
    def now(self) -> datetime:
        """The tests' time."""
        return self.rt.clock.now()

    def row(self, model: type[Any], row_id: int) -> Any:
        """A row as it stands."""
        return self.rt.read(lambda db: db.get_one(model, row_id))

    def _add(self, row: Any) -> Any:
        def add(db: Session) -> Any:
            db.add(row)
            db.flush()
            db.expunge(row)
            return row

        return self.rt.transact(add)


class Card:
    """A card and its code in clear."""

    def __init__(self, voucher: Voucher, code: str) -> None:
        self.id, self.serial, self.code = voucher.id, voucher.serial, code


def person(role: str = "admin", site_ids: frozenset[int] | None = None, user_id: int = 1) -> Actor:
    """Hana the admin, or somebody of another role."""
    from bawaba.accounts.roles import permissions_of

    return Actor(user_id, f"{role}-{user_id}", role, permissions_of(role), site_ids, "en")
