"""Which device a guest of such a gateway has, by the redirect alone: the gateway cannot be asked.

The MAC is the guest's word. What proves who he is is the `hid`, which the gateway makes anew for each client: who comes
with the MAC of somebody online, and another hid, is taken for another device, unless that one's end may have been said
unheard, or the gateway has started anew since: then he is the same one, back, and has to be let in again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.authmon import waiting
from bawaba.authmon.gateways import SILENT_SINCE
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.routers import nds
from bawaba.routers.models import Router, RouterJob
from bawaba.sessions import admission, rules
from bawaba.sessions.ending import end_session

LIVE = Statement(
    "SELECT id, state, start_time FROM guest_session WHERE router_id = :router_id AND client_mac = :mac "
    "AND ended_at IS NULL ORDER BY id DESC LIMIT 1",
    "id state start_time",
    ("start_time",),
)


@dataclass(frozen=True, slots=True)
class Known:
    """What a redirect means: the device's name with us, and the session that it shows to be over, or to wait under an
    older hid."""

    device: str
    over: int | None = None
    waits: int | None = None


def device_of(rt: Runtime, router_id: int, mac: str, hid: str) -> str:
    """The device that has come by this redirect. Ends its session where that shows to be over."""
    known = rt.read(_known, router_id, mac, hid)
    if known.over is not None or known.waits is not None:
        ended = rt.transact(_take_note, router_id, mac, hid, rt.clock.now())
        admission.announce(rt, ended)
    return known.device


def _known(db: Session, router_id: int, mac: str, hid: str) -> Known:
    session = LIVE.first(db, router_id=router_id, mac=mac)
    lives = _lives(db, router_id, session.id) if session is not None else []
    if session is None or not lives:
        return Known(mac)
    if session.state == "opening":
        newest = lives[0]
        stale = waiting.hid_in(newest) != hid or newest.outcome_unknown
        return Known(mac, waits=session.id if stale and newest.state == "open" else None)
    if hid in map(waiting.hid_in, lives):
        return Known(mac)
    router = db.get_one(Router, router_id)
    unheard = session.start_time is not None and int(session.start_time.timestamp()) < router.boot
    return Known(mac, over=session.id) if unheard else Known(f"nds-{hid[:12]}")


def _take_note(db: Session, router_id: int, mac: str, hid: str, now: datetime) -> list[int]:
    known = _known(db, router_id, mac, hid)
    if known.waits is not None:
        job = _lives(db, router_id, known.waits)[0]
        offers = (waiting.OFFERS, waiting.LAST, waiting.PENDING)
        payload = {name: value for name, value in job.payload.items() if name not in offers}
        job.payload = payload | {waiting.SITE_REF: {**payload.get(waiting.SITE_REF, {}), waiting.HID: hid}}
        job.outcome_unknown = False  # who is sent to us is not online
    if known.over is None:
        return []
    ended_at = off_since(db.get_one(Router, router_id), now)
    return [known.over] if end_session(db, known.over, rules.NAS_REBOOT, now, ended_at) else []


def off_since(router: Router, now: datetime) -> datetime:
    """When a gateway was last heard before its newest start or gap."""
    known = (router.health or {}).get(SILENT_SINCE)
    return datetime.fromtimestamp(known, UTC) if known is not None else now


def came_by_redirect(site_ref_hid: str | None) -> bool:
    """Whether a request carries what only the gateway's redirect gives."""
    return bool(site_ref_hid and nds.HID.fullmatch(site_ref_hid))


def _lives(db: Session, router_id: int, session_id: int) -> list[RouterJob]:
    promised = select(RouterJob).where(
        RouterJob.router_id == router_id, RouterJob.kind == admission.ADMIT, RouterJob.ref == session_id
    )
    return list(db.scalars(promised.order_by(RouterJob.id.desc()).limit(20)))
