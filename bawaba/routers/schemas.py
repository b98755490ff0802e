"""Routers and jobs as the API speaks of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bawaba.routers.models import Device, Router, RouterJob
from bawaba.web.input import Id, Input

OPTIONS_MOST = 40


class RouterIn(Input):
    """A new router."""

    name: str = Field(min_length=1, max_length=80)
    driver: str = Field(min_length=1, max_length=24)
    address: str = Field("", max_length=255)
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
    address: str = Field("", min_length=1, max_length=255)
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
        "last_seen_at": router.last_seen_at,
        "sessions": router.online,
        "error": router.error,
        "health": router.health,
        "created_at": router.created_at,
    }


def job_out(job: RouterJob) -> dict[str, Any]:
    """A job."""
    return {
        "id": job.id,
        "router_id": job.router_id,
        "kind": job.kind,
        "ref": job.ref,
        "state": job.state,
        "attempts": job.attempts,
        "last_error": job.last_error,
        "next_try_at": job.next_try_at,
        "created_at": job.created_at,
        "done_at": job.done_at,
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
