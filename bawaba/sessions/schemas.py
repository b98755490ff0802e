"""Sessions as the API speaks of them, and what a guest sends."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from bawaba.routers.devices import MAC
from bawaba.sessions.models import GuestSession


class RedeemIn(BaseModel):
    """A code, and what the gateway's redirect carried. Unknown fields are ignored: redirects carry all sorts."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True, coerce_numbers_to_str=True)

    code: str = Field(min_length=1, max_length=200)
    router: str | None = Field(None, max_length=80)
    at: str | None = Field(None, max_length=200)  # what the gateway calls itself
    client_mac: str | None = Field(None, max_length=32)
    client_ip: str | None = Field(None, max_length=45)
    token: str | None = Field(None, max_length=512)
    move: bool = False  # free the other phone's place for this one


def online_out(session: Any, serial: str, router_id: int, now: Any) -> dict[str, Any]:
    """A session whose row is at hand, with what has just become of it (`now`)."""
    return {
        "id": session.id,
        "site_id": session.site_id,
        "voucher_id": session.voucher_id,
        "voucher_serial": serial,
        "router_id": router_id,
        "client_mac": session.client_mac if MAC.fullmatch(session.client_mac) else None,
        "client_ip": session.client_ip,
        "state": now.state,
        "start_time": now.start_time,
        "end_time": now.end_time,
        "ended_at": None,
        "bytes_up": now.bytes_up,
        "bytes_down": now.bytes_down,
        "terminate_cause": None,
    }


def moved_out(session: Any, up: int, down: int) -> dict[str, Any]:
    """A session that goes on, as it was read with its card (`accounting.LIVE_AT`), and the bytes it has moved since."""
    return {
        "id": session.id,
        "site_id": session.site_id,
        "voucher_id": session.voucher_id,
        "voucher_serial": session.serial,
        "router_id": session.router_id,
        "client_mac": session.client_mac if MAC.fullmatch(session.client_mac) else None,
        "client_ip": session.client_ip,
        "state": session.state,
        "start_time": session.start_time,
        "end_time": session.end_time,
        "ended_at": None,
        "bytes_up": session.session_up + up,
        "bytes_down": session.session_down + down,
        "terminate_cause": None,
    }


SHOWN = (
    "id", "site_id", "voucher_id", "router_id", "client_mac", "client_ip", "state", "start_time", "end_time",
    "ended_at", "bytes_up", "bytes_down", "terminate_cause",
)  # fmt: skip


def session_out(session: GuestSession | Row[Any], serial: str) -> dict[str, Any]:
    """A session."""
    return {
        "id": session.id,
        "site_id": session.site_id,
        "voucher_id": session.voucher_id,
        "voucher_serial": serial,
        "router_id": session.router_id,
        "client_mac": session.client_mac if MAC.fullmatch(session.client_mac) else None,
        "client_ip": session.client_ip,
        "state": session.state,
        "start_time": session.start_time,
        "end_time": session.end_time,
        "ended_at": session.ended_at,
        "bytes_up": session.bytes_up,
        "bytes_down": session.bytes_down,
        "terminate_cause": session.terminate_cause,
    }
