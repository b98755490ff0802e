"""Plans as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from bawaba.plans import rules
from bawaba.plans.models import Plan, PlanVersion
from bawaba.sites.schemas import Currency
from bawaba.web.input import Id, Input

Kind = Literal["elapsed", "used_time"]
Name = Annotated[str, Field(min_length=1, max_length=80)]
Span = Annotated[int, Field(ge=1, le=rules.SPAN_MOST_SECONDS)] | None
Bytes = Annotated[int, Field(ge=1, le=rules.QUOTA_MOST_BYTES)] | None
Kbps = Annotated[int, Field(ge=1, le=rules.RATE_MOST_KBPS)] | None
Devices = Annotated[int, Field(ge=1, le=rules.DEVICES_MOST)]
Idle = Annotated[int, Field(ge=rules.IDLE_LEAST_SECONDS, le=rules.IDLE_MOST_SECONDS)]
Price = Annotated[int, Field(ge=0, le=rules.PRICE_MOST_MINOR)]


class _Limits(Input):
    """The fields where null is no limit."""

    duration_seconds: Span = None
    quota_bytes: Bytes = None
    quota_up_bytes: Bytes = None
    quota_down_bytes: Bytes = None
    rate_down_kbps: Kbps = None
    rate_up_kbps: Kbps = None
    devices_ever: Devices | None = None
    valid_for_seconds: Span = None
    shelf_life_seconds: Span = None
    devices_at_once: Devices = 1
    idle_timeout_seconds: Idle = 300


class PlanIn(_Limits):
    """A new plan. A duration or a quota must be there."""

    site_id: Id | None = None
    name: Name
    kind: Kind = "elapsed"
    price_minor: Price
    currency: Currency | None = None

    def facts(self) -> dict[str, Any]:
        """What the plan says."""
        return self.model_dump(exclude={"site_id"})


class PlanChange(_Limits):
    """What may be changed; what is left out stays (so the defaults here count for nothing), null takes a limit away."""

    name: Name = ""
    kind: Kind = "elapsed"
    price_minor: Price = 0
    currency: Currency = ""
    archived: bool = False

    def changes(self) -> dict[str, Any]:
        """Only what was sent, without `archived`."""
        return self.model_dump(exclude_unset=True, exclude={"archived"})

    def put_away(self) -> bool | None:
        """Whether to archive it; None when that was not said."""
        return self.archived if "archived" in self.model_fields_set else None


def plan_out(plan: Plan, version: PlanVersion) -> dict[str, Any]:
    """A plan as its newest version says it."""
    facts = {name: getattr(version, name) for name in rules.FACTS}
    return {
        "id": plan.id,
        "site_id": plan.site_id,
        "version": version.version,
        **facts,
        "archived": plan.archived_at is not None,
        "created_at": plan.created_at,
        "changed_at": version.created_at,
    }
