"""What lies on a router from before us: cards of another program, looked at and never touched.

A survey says what each kind of them is worth in our words, so that an owner knows what to make as a plan, and how many
are still unused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bawaba.core.actor import Actor
from bawaba.core.runtime import Runtime
from bawaba.routers import queries
from bawaba.routers.driver import Limits, Stranger
from bawaba.routers.models import Router
from bawaba.routers.part import part

DEADLINE_S = 20.0
EXAMPLES = 5
GROUPS_MOST = 100


@dataclass(frozen=True, slots=True)
class Kind:
    """Cards that are alike: the router's own name for them, what they allow, and how many there are."""

    group: str
    limits: Limits
    unused: int
    used: int
    disabled: int
    examples: tuple[str, ...]

    @property
    def count(self) -> int:
        """All of them."""
        return self.unused + self.used + self.disabled

    # The same as a plan's terms, so that it is said in a plan's words.
    kind = "used_time"
    valid_for_seconds = None

    @property
    def duration_seconds(self) -> int | None:
        """Time online, in all."""
        return self.limits.uptime_s

    @property
    def quota_bytes(self) -> int | None:
        """Data, both ways together."""
        return self.limits.bytes_total

    @property
    def quota_up_bytes(self) -> int | None:
        """Data that guests send."""
        return self.limits.bytes_up

    @property
    def quota_down_bytes(self) -> int | None:
        """Data that guests fetch."""
        return self.limits.bytes_down

    @property
    def rate_up_kbps(self) -> int | None:
        """Speed of what guests send."""
        return self.limits.rate_up_kbps

    @property
    def rate_down_kbps(self) -> int | None:
        """Speed of what guests fetch."""
        return self.limits.rate_down_kbps

    @property
    def devices_at_once(self) -> int:
        """Devices online together."""
        return self.limits.devices


def survey(rt: Runtime, actor: Actor, router_id: int) -> tuple[Router, list[Kind]]:
    """What lies on a router and is not ours, by kind, the most first. Nothing is written anywhere. Raises
    `RouterNotFound` and `GatewayError`s; `Unsupported` where the router cannot list it."""
    router = rt.read(queries.get_router, actor, router_id)
    found: Sequence[Stranger] = part(rt).ask(router.id, "strangers", deadline_s=DEADLINE_S, by_hand=True)
    return router, kinds(found)


def kinds(found: Sequence[Stranger]) -> list[Kind]:
    """Strangers that are alike, together."""
    alike: dict[tuple[str, Limits], list[Stranger]] = {}
    for stranger in found:
        alike.setdefault((stranger.group, stranger.limits), []).append(stranger)
    made = [_kind(group, limits, some) for (group, limits), some in alike.items()]
    return sorted(made, key=lambda kind: -kind.count)[:GROUPS_MOST]


def _kind(group: str, limits: Limits, some: Sequence[Stranger]) -> Kind:
    enabled = [stranger for stranger in some if stranger.enabled]
    used = sum(stranger.used for stranger in enabled)
    examples = tuple(sorted(stranger.login for stranger in some)[:EXAMPLES])
    return Kind(group, limits, len(enabled) - used, used, len(some) - len(enabled), examples)
