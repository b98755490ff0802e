"""Adding and changing routers, and noting how a look at one went."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.idempotency import Once
from bawaba.core.actor import Actor
from bawaba.core.errors import field_fault
from bawaba.core.runtime import Runtime
from bawaba.routers import devices, promises, queries, standing, told
from bawaba.routers.breaker import CLOSED
from bawaba.routers.directory import directory
from bawaba.routers.driver import GatewayError, Info, RouterUnreachable
from bawaba.routers.links import driver_class
from bawaba.routers.models import THERE, Device, Router, RouterJob
from bawaba.routers.part import part
from bawaba.routers.told import Told
from bawaba.sites.service import resolve_site

log = structlog.get_logger(__name__)
PASSWORD = b"router password"
TEST_DEADLINE_S = 8.0


def add_router(rt: Runtime, actor: Actor, facts: dict[str, Any], once: Once | None = None) -> Router:
    """Add a router to a site. It gets the site's device lists at once. Raises `Invalid` where it lacks what its make
    needs, or has options that the make does not know."""
    driver = driver_class(facts["driver"])
    facts = told.with_way(driver, facts)
    options = told.check_options(driver, facts.get("options") or {}, {})
    router = rt.transact(_add, rt, actor, facts, options, rt.clock.now(), once)
    directory(rt).forget()
    part(rt).wake(new_router=True)
    return router


def _add(
    db: Session, rt: Runtime, actor: Actor, facts: dict[str, Any], options: Told, now: datetime, once: Once | None
) -> Router:
    site = resolve_site(db, actor, facts.get("site_id"))
    password = facts.get("password")
    router = Router(
        site_id=site.id,
        name=_free_name(db, site.id, facts["name"], None),
        driver=facts["driver"],
        address=facts.get("address") or "",
        port=facts.get("port"),
        username=facts.get("username"),
        password_sealed=rt.keyring.encrypt(password.encode(), PASSWORD) if password else None,
        options=options.open,
        secrets_sealed=told.seal(rt.keyring, options.secret),
        failover_group=facts.get("failover_group"),
        health={},
        created_at=now,
    )
    db.add(router)
    db.flush()
    if router.id in devices.keepers(db, site.id):
        promises.promise(db, router.id, devices.KIND, None, now)
    if once is not None:
        once.record(db, router.id)
    audit.record(db, actor, "router.added", site.id, "router", router.id, now, name=router.name, driver=router.driver)
    return router


def change_router(rt: Runtime, actor: Actor, router_id: int, changes: dict[str, Any]) -> Router:
    """Change what is given; a password or a secret option that is left out stays. Other options are those given and no
    more. `status` may be maintenance, or up to end that. Raises `Invalid` for options that the make does not know."""
    router = rt.transact(_change, rt, actor, router_id, changes, rt.clock.now())
    directory(rt).forget()
    rt.publish(standing.status_event(router))
    part(rt).look_again(router_id)
    return router


def trust_certificate(rt: Runtime, actor: Actor, router_id: int, certificate: str) -> Router:
    """The owner has compared this fingerprint with the router's own: only such a certificate is spoken to from now on.
    Raises `Invalid` where the make knows no certificates."""
    router = rt.read(queries.get_router, actor, router_id)
    return change_router(rt, actor, router_id, {"options": {**router.options, "certificate": certificate}})


def _change(db: Session, rt: Runtime, actor: Actor, router_id: int, changes: dict[str, Any], now: datetime) -> Router:
    router = queries.get_router(db, actor, router_id)
    changes = dict(changes)
    if "name" in changes:
        changes["name"] = _free_name(db, router.site_id, changes["name"], router.id)
    if "options" in changes or "driver" in changes:
        _change_options(rt, router, changes)
    if "password" in changes:
        password = changes.pop("password")
        told.check_password(driver_class(changes.get("driver", router.driver)), password)
        router.password_sealed = rt.keyring.encrypt(password.encode(), PASSWORD) if password else None
    for name, value in changes.items():
        setattr(router, name, value)
    router.next_poll_at = None
    router.breaker, router.failures, router.breaker_until = CLOSED, 0, None  # it may be another box now
    names = ", ".join(sorted(changes))
    audit.record(db, actor, "router.changed", router.site_id, "router", router.id, now, name=router.name, fields=names)
    return router


def _change_options(rt: Runtime, router: Router, changes: dict[str, Any]) -> None:
    """Check options against the make that the router has from now on. A new make keeps open ones that it knows too, and
    no secret, for that belonged to the old one."""
    driver = driver_class(changes.get("driver", router.driver))
    kept = told.unseal(rt.keyring, router.secrets_sealed)
    if changes.get("driver", router.driver) != router.driver:
        told.with_way(driver, _way(router) | changes)
        kept = {}
    given = changes.pop("options", None)
    if given is None:
        given = told.for_driver(driver, router.options, {})
    options = told.check_options(driver, given, kept)
    router.options, router.secrets_sealed = options.open, told.seal(rt.keyring, options.secret)


def _way(router: Router) -> dict[str, Any]:
    return {"address": router.address, "username": router.username, "password": router.password_sealed}


def test_router(rt: Runtime, actor: Actor, router_id: int) -> tuple[Info | None, GatewayError | None]:
    """Ask a router who it is, now; the answer or the honest error."""
    router = rt.read(queries.get_router, actor, router_id)
    try:
        return part(rt).ask(router.id, "probe", deadline_s=TEST_DEADLINE_S, by_hand=True), None
    except GatewayError as error:
        log.info("a router test failed", router_id=router_id, error=str(error))
        return None, error


test_router.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test


def set_device(rt: Runtime, actor: Actor, site_id: int | None, mac: str, standing: str | None, note: str) -> None:
    """Trust, block or forget a device at a site."""
    if standing is not None and standing not in devices.STANDINGS:
        raise field_fault("standing", "must be trusted or blocked")
    rt.transact(_set_device, actor, site_id, devices.canonical_mac(mac), standing, note, rt.clock.now())
    part(rt).wake()


def _set_device(
    db: Session, actor: Actor, site_id: int | None, mac: str, standing: str | None, note: str, now: datetime
) -> None:
    site = resolve_site(db, actor, site_id)
    devices.set_standing(db, site.id, mac, standing, note, now)
    audit.record(db, actor, f"device.{standing or 'forgotten'}", site.id, "device", None, now, mac=mac)


def device_list(rt: Runtime, actor: Actor, site_id: int | None) -> list[Device]:
    """The devices that a site knows."""
    return rt.read(lambda db: list(devices.known(db, resolve_site(db, actor, site_id).id)))


def saw(db: Session, router_id: int, now: datetime, next_poll_at: datetime, **facts: Any) -> Router | None:
    """A poll went well: note what was seen. Answers the router when its status changed by it, else None."""
    router = _as_it_stands(db, router_id)
    if router is None:
        return None
    before = router.status
    router.missed_polls, router.error, router.error_code, router.last_seen_at = 0, None, None, now
    router.next_poll_at = next_poll_at
    for name, value in facts.items():
        setattr(router, name, value)
    standing.set_status(router, "up", now)
    if before == "down":
        db.execute(
            update(RouterJob).where(RouterJob.router_id == router.id, RouterJob.state == "open").values(next_try_at=now)
        )
    return router


def _as_it_stands(db: Session, router_id: int) -> Router | None:
    """The router's row, ours to write: a person may have taken it out of service since this transaction read it."""
    db.flush()
    router = db.get(Router, router_id, populate_existing=True, with_for_update={"key_share": True})
    return router if router is not None and router.removed_at is None else None


def put_off(db: Session, router_id: int, next_poll_at: datetime) -> None:
    """A poll came to nothing by an error of ours: ask again when it is due, not at once."""
    db.execute(update(Router).where(Router.id == router_id).values(next_poll_at=next_poll_at))


def missed(
    db: Session, router_id: int, error: GatewayError, now: datetime, next_poll_at: datetime | None = None
) -> Router | None:
    """A poll failed: degraded after one, down after two. Answers the router. One that answered, whatever it said, was
    there: for how long it was off, that is what counts."""
    router = _as_it_stands(db, router_id)
    if router is None:
        return None
    router.missed_polls += 1
    if not isinstance(error, RouterUnreachable):
        router.last_seen_at = now
    router.error, router.error_code = str(error)[:500], error.code
    if next_poll_at is not None:
        router.next_poll_at = next_poll_at
    before = router.status
    standing.set_status(router, "degraded" if router.missed_polls < 2 and before != "down" else "down", now)
    if router.status == "down" and before != "down":
        standing.tell_down(db, router, now)
    return router


def _free_name(db: Session, site_id: int, name: str, but: int | None) -> str:
    taken = db.scalar(select(Router.id).where(Router.site_id == site_id, Router.name == name, THERE))
    if taken is not None and taken != but:
        raise field_fault("name", "another router of this site has this name")
    return name
