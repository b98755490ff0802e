"""What an owner may say about a MikroTik."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bawaba.routers.driver import Connection
from bawaba.routers.drivers.routeros.reach import PLAIN_PORT, TLS_PORT, Way, bare
from bawaba.routers.options import RouterOptions

SHA256 = r"^([0-9A-Fa-f]{2}[: ]?){31}[0-9A-Fa-f]{2}$"


class Options(RouterOptions):
    """How its API is reached, and which of its hotspots is ours."""

    tls: bool = Field(True, title="Use TLS", description="Its service api-ssl. Without it the password goes in clear.")
    certificate: str | None = Field(
        None,
        title="Certificate fingerprint",
        description="The SHA-256 fingerprint of its certificate. The first test shows it.",
        pattern=SHA256,
    )
    allow_plain: bool = Field(
        False,
        title="In clear over any network",
        description="Without TLS, even where others may listen. Not needed on this machine or through a tunnel.",
    )
    old_login: bool = Field(
        False, title="Old log-in", description="Only for RouterOS before 6.43: never sends the password itself."
    )
    server: str | None = Field(
        None, title="Hotspot", description="The hotspot's name on the router, like hotspot1; empty: all of them."
    )
    sign_in: Literal["router", "browser"] = Field(
        "router",
        title="Guests are let in",
        json_schema_extra={"words": {"router": "By the router", "browser": "By a form that their browser sends"}},
    )


def way_to(connection: Connection, options: Options) -> Way:
    """Where and how the router's API is asked."""
    return Way(
        host=connection.address,
        port=connection.port or (TLS_PORT if options.tls else PLAIN_PORT),
        username=connection.username or "",
        password=connection.password or "",
        tls=options.tls,
        pin=bare(options.certificate or ""),
        plain_anywhere=options.allow_plain,
        old_login=options.old_login,
    )
