"""What each role may do: the one table of permissions."""

from __future__ import annotations

from bawaba.core.actor import SYSTEM

ADMIN, OPERATOR, VIEWER, CLERK = "admin", "operator", "viewer", "clerk"

READS = frozenset({"vouchers:read", "sessions:read", "plans:read", "routers:read", "reports:read"})
SELLS = frozenset({"counter:sell", "cards:check"})
OPERATES = frozenset(
    {"cards:change", "vouchers:create", "vouchers:codes", "vouchers:disable", "batches:print", "sessions:terminate"}
)
ADMINISTERS = frozenset(
    {
        "plans:write",
        "routers:write",
        "sites:read",
        "sites:write",
        "devices:read",
        "devices:write",
        "users:read",
        "users:write",
        "audit:read",
        "settings:read",
        "settings:write",
        "backups:read",
        "backups:write",
        "diagnostics:read",
    }
)
PERMISSIONS: dict[str, frozenset[str]] = {
    ADMIN: READS | SELLS | OPERATES | ADMINISTERS,
    OPERATOR: READS | SELLS | OPERATES,
    VIEWER: READS,
    CLERK: SELLS,
}
RANK = {CLERK: 0, VIEWER: 0, OPERATOR: 1, ADMIN: 2, SYSTEM.role: 3}


def permissions_of(role: str) -> frozenset[str]:
    """What a role may do; an unknown role may nothing."""
    return PERMISSIONS.get(role, frozenset())


def may_give(giver_role: str, role: str) -> bool:
    """Whether a person of one role may make somebody another: never more than they are themselves."""
    return RANK[role] <= RANK.get(giver_role, -1)


def sees_every_site(role: str) -> bool:
    """Admins see every site; others those that they were given."""
    return role == ADMIN
