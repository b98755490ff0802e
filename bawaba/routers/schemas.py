"""Routers and jobs as the API speaks of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bawaba.routers import rules
from bawaba.routers.cards import KIND, Progress
from bawaba.routers.error_list import IDS_MOST, Owed
from bawaba.routers.models import Device, Router, RouterJob
from bawaba.web.input import Id, Input

OPTIONS_MOST = 40


def _address(value: str) -> str:
    if rules.is_no_router(value):
        raise ValueError("is an address where no router can be")
    return value


Address = Annotated[str, AfterValidator(_address)]


class RouterIn(Input):
    """A new router."""

    name: str = Field(min_length=1, max_length=80)
    driver: str = Field(min_length=1, max_length=24)
    address: Address = Field("", max_length=255)
    port: int | None = Field(None, ge=1, le=65535)
    username: str | None = Field(None, max_length=120)
    password: str | None = Field(None, max_length=255)
    options: dict[str, Any] = Field(default_factory=dict, max_length=OPTIONS_MOST)
    site_id: Id | None = None
    failover_group: str | None = Field(None, max_length=40)


class RouterChange(Input):
    """What may be changed; what is left out stays."""

    name: str = Field("", min_length=1, max_length=80)
    driver: str = Field("", min_length=1, max_length=24)
    address: Address = Field("", min_length=1, max_length=255)
    port: int | None = Field(None, ge=1, le=65535)
    username: str | None = Field(None, max_length=120)
    password: str | None = Field(None, max_length=255)
    options: dict[str, Any] = Field(default_factory=dict, max_length=OPTIONS_MOST)
    failover_group: str | None = Field(None, max_length=40)
    status: Literal["up", "maintenance"] = "up"

    def changes(self) -> dict[str, Any]:
        """Only what was sent."""
        return self.model_dump(exclude_unset=True)


class DeviceIn(Input):
    """A device to trust or to block."""

    mac: str = Field(max_length=32)
    standing: Literal["trusted", "blocked"]
    note: str = Field("", max_length=120)
    site_id: Id | None = None


class MoveIn(Input):
    """Where a job should go."""

    router_id: Id


class DecisionIn(Input):
    """Which unfinished jobs are decided about: these ids (500 at most), or all of a router."""

    ids: list[Id] = Field(default_factory=list, max_length=IDS_MOST)
    router_id: Id | None = None
    to_router_id: Id | None = None

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> DecisionIn:
        if bool(self.ids) == (self.router_id is not None):
            raise ValueError("name ids, or a router_id whose work is meant")
        return self


def router_out(router: Router) -> dict[str, Any]:
    """A router, without its password; of secret options their names only."""
    return {
        "id": router.id,
        "site_id": router.site_id,
        "name": router.name,
        "driver": router.driver,
        "address": router.address,
        "port": router.port,
        "username": router.username,
        "options": router.options,
        "secret_options": sorted(router.secrets_sealed or ()),
        "failover_group": router.failover_group,
        "status": router.status,
        "down_since": router.down_since,
        "breaker": router.breaker,
        "link_ms": router.link_ms,
        "last_seen_at": router.last_seen_at,
        "sessions": router.online,
        "error": router.error,
        "health": router.health,
        "drift": router.drift,
        "created_at": router.created_at,
    }


def job_out(job: RouterJob, progress: Progress | None = None) -> dict[str, Any]:
    """A job; `progress` of the router's cards where it brings some."""
    bringing = {"cards": asdict(progress)} if progress is not None and job.kind == KIND else {}
    return bringing | {
        "id": job.id,
        "router_id": job.router_id,
        "kind": job.kind,
        "ref": job.ref,
        "state": job.state,
        "attempts": job.attempts,
        "last_error": job.last_error,
        "outcome_unknown": job.outcome_unknown,
        "given_up_by": job.given_up_by,
        "next_try_at": job.next_try_at,
        "request_id": job.request_id,
        "created_at": job.created_at,
        "done_at": job.done_at,
    }


def owed_out(owed: Owed) -> dict[str, Any]:
    """What one router owes, in a line."""
    return {
        "router_id": owed.router.id,
        "router_name": owed.router.name,
        "site_id": owed.router.site_id,
        "status": owed.router.status,
        "waiting": owed.waiting,
        "failed": owed.failed,
        "oldest_at": owed.oldest_at,
        "next_try_at": owed.next_try_at,
        "last_error": owed.error,
        "cards": asdict(owed.cards),
    }


def device_out(device: Device) -> dict[str, Any]:
    """A device that the site knows."""
    return {
        "site_id": device.site_id,
        "mac": device.mac,
        "standing": device.standing,
        "note": device.note,
        "created_at": device.created_at,
    }
