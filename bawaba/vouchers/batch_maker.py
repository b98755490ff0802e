"""The worker that makes batches: 500 cards a transaction, so that guests redeem meanwhile, and goes on after a crash.

The batch's own row is the job: its state, how far it is, and who works on it (a lease).
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bawaba.core import outward
from bawaba.core.background import Background
from bawaba.core.database import is_duplicate
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.plans.models import PlanVersion
from bawaba.routers import cards
from bawaba.routers.models import RouterGrant
from bawaba.routers.part import part
from bawaba.sites.models import Site
from bawaba.vouchers import codes, making, qr
from bawaba.vouchers.events import BatchProgress
from bawaba.vouchers.making import NewCode
from bawaba.vouchers.models import Batch, Voucher
from bawaba.vouchers.qr_worker import QrWorker

log = structlog.get_logger(__name__)
GROUP = 500
LARGE = 5000  # cards from which on a process for their QR codes pays
LEASE_S = 30.0
LOOK_EVERY_S = 2.0
PROGRESS_EVERY_S = 0.3
CLEAR_EVERY_S = 60.0
REST_S = 0.002  # between groups: guests' requests come first


class BatchMaker(Background):
    """One thread a process; batches are taken one at a time, oldest first."""

    def __init__(self, rt: Runtime) -> None:
        super().__init__("batch-maker")
        self._rt = rt
        self._owner = rt.config.process_name
        self._images = ThreadPoolExecutor(1, thread_name_prefix="card-images")
        self._worker: QrWorker | None = None
        self._clear_at = 0.0

    def stop(self) -> None:
        """Stop after the group that is under way; the next process goes on from there."""
        super().stop()
        self._images.shutdown()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                batch_id = self._rt.transact(_take, self._owner, self._rt.clock.now())
                if batch_id is None:
                    self._clear_away_failed()
            except (Problem, SQLAlchemyError) as error:
                log.warning("the batch maker cannot reach the database", error=str(error))
                batch_id = None
            if batch_id is None:
                self._woken.wait(LOOK_EVERY_S)
                self._woken.clear()
            else:
                self.make(batch_id)

    def make(self, batch_id: int) -> None:
        """Make a batch to its end, or fail it with nothing left of it."""
        try:
            self._grow(batch_id)
        except Problem as error:  # the database is away: the lease runs out, and somebody goes on
            log.warning("a batch waits", batch_id=batch_id, error=error.code)
            self._stopping.wait(LOOK_EVERY_S)
        except Exception as error:
            if self._stopping.is_set():  # what it needs has been stopped already: the next process goes on
                log.warning("a batch was left in the making", batch_id=batch_id, error=str(error))
                return
            log.exception("a batch failed", batch_id=batch_id)
            self._give_up(batch_id, f"{type(error).__name__}: {error}")

    def _grow(self, batch_id: int) -> None:
        """Add group after group; a large batch has a process of its own for its QR codes."""
        batch, _ = self._rt.read(_find, batch_id)
        if batch.quantity - batch.created < LARGE:
            self._add_groups(batch_id)
            return
        with QrWorker() as self._worker:
            try:
                self._add_groups(batch_id)
            finally:
                self._images.submit(int).result()  # whatever is under way is done before the process goes
                self._worker = None

    def _add_groups(self, batch_id: int) -> None:
        rt, told_at = self._rt, 0.0
        while not self._stopping.is_set():
            batch, version = rt.read(_find, batch_id)
            if batch.state != "making":
                return
            if batch.created >= batch.quantity:
                self._finish(batch, version)
                return
            self._next_group(batch, version)
            if time.monotonic() - told_at >= PROGRESS_EVERY_S:
                told_at = time.monotonic()
                self._tell(rt.read(_find, batch_id)[0])
            time.sleep(REST_S)

    def _next_group(self, batch: Batch, version: PlanVersion) -> None:
        rt = self._rt
        wanted = min(GROUP, batch.quantity - batch.created)
        style: codes.Style = "digits" if batch.code_style == "digits" else "letters"
        new = making.new_codes(rt, style, wanted + making.SPARE_CODES, batch.prefix)
        now = rt.clock.now()
        try:
            taken = rt.transact(_add_group, batch, version, new, wanted, now)
        except Exception as error:
            if not is_duplicate(error):
                raise
            log.info("a code was taken in this very moment; trying others", batch_id=batch.id)
            return
        if taken:
            self._images.submit(self._keep_images, batch.id, batch.created // GROUP, taken).add_done_callback(_say)

    def _keep_images(self, batch_id: int, group: int, texts: list[str]) -> None:
        """Beside the making: the next group's cards go in while this group's QR images are made and stored."""
        url = self._rt.config.portal_url
        try:
            images = self._worker.matrices(url, texts) if self._worker else qr.card_matrices(url, texts)
        except OSError as error:
            log.warning("the process for QR codes died; making them here", batch_id=batch_id, error=str(error))
            self._worker = None
            images = qr.card_matrices(url, texts)
        making.store(self._rt).put_group(batch_id, group, images)

    def _finish(self, batch: Batch, version: PlanVersion) -> None:
        """Every QR group is there for certain, then the batch is ready, in one small transaction."""
        self._images.submit(self._complete_images, batch).result()
        ready = self._rt.transact(_make_ready, batch.id, version.id, self._rt.clock.now())
        self._tell(ready)
        part(self._rt).wake()

    def _complete_images(self, batch: Batch) -> None:
        """Make again what a crash between a group's commit and its file left out."""
        rt = self._rt
        for group in range((batch.quantity + GROUP - 1) // GROUP):
            if making.store(rt).has_group(batch.id, group):
                continue
            stretch = rt.read(_codes_sealed, batch.id, group * GROUP, GROUP)
            plain = [rt.keyring.decrypt(sealed, cards.CARD_SECRET).decode() for sealed in stretch]
            making.store(rt).put_group(batch.id, group, qr.card_matrices(rt.config.portal_url, plain))

    def _clear_away_failed(self) -> None:
        """Take away what a process that died while it removed a failed batch has left of it."""
        if time.monotonic() < self._clear_at:
            return
        self._clear_at = time.monotonic() + CLEAR_EVERY_S
        for batch_id, why in self._rt.read(_failed_with_cards):
            log.info("clearing away what was left of a failed batch", batch_id=batch_id)
            self._give_up(batch_id, why)

    def _give_up(self, batch_id: int, why: str) -> None:
        try:
            while not self._stopping.is_set() and self._rt.transact(_remove_some, batch_id, why):
                time.sleep(REST_S)
            batch, _ = self._rt.read(_find, batch_id)
            if batch.state == "failed":
                making.store(self._rt).delete_batch(batch_id)
            self._tell(batch)
        except (Problem, SQLAlchemyError) as error:
            log.error("a failed batch could not be cleared away", batch_id=batch_id, error=str(error))

    def _tell(self, batch: Batch) -> None:
        self._rt.publish(
            BatchProgress(batch.id, batch.site_id, batch.ordered_by, batch.quantity, batch.created, batch.state)
        )


def _say(images: Future[None]) -> None:
    """A group whose images could not be stored is made again before the batch is ready; here it is only said."""
    if (error := images.exception()) is not None:
        log.warning("QR images were not stored", error=str(error))


def _take(db: Session, owner: str, now: datetime) -> int | None:
    """Take the oldest batch that nobody works on."""
    free = or_(Batch.lease_owner.is_(None), Batch.lease_owner == owner, Batch.lease_until < now)
    oldest = select(Batch.id).where(Batch.state == "making", free).order_by(Batch.id).limit(1).scalar_subquery()
    lease = {"lease_owner": owner, "lease_until": now + timedelta(seconds=LEASE_S)}
    return db.scalar(update(Batch).where(Batch.id == oldest, free).values(**lease).returning(Batch.id))


def _find(db: Session, batch_id: int) -> tuple[Batch, PlanVersion]:
    batch = db.get_one(Batch, batch_id)
    return batch, db.get_one(PlanVersion, batch.plan_version_id)


def _add_group(
    db: Session, batch: Batch, version: PlanVersion, new: list[NewCode], wanted: int, now: datetime
) -> list[str]:
    taken = making.add_group(db, batch, version, new, wanted, now)
    db.execute(update(Batch).where(Batch.id == batch.id).values(lease_until=now + timedelta(seconds=LEASE_S)))
    return taken


def _make_ready(db: Session, batch_id: int, version_id: int, now: datetime) -> Batch:
    """From here on its cards exist; on a router-held site its routers are to hold them. Once, whoever was late."""
    making_still = update(Batch).where(Batch.id == batch_id, Batch.state == "making")
    mine = db.execute(making_still.values(state="ready", ready_at=now, lease_owner=None))
    batch = db.get_one(Batch, batch_id)
    version, site = db.get_one(PlanVersion, version_id), db.get_one(Site, batch.site_id)
    if mine.rowcount == 1:  # type: ignore[attr-defined]
        outward.tell(db, "batch.ready", site.id, lambda: _told(batch, version), now)
    if mine.rowcount == 1 and site.mode == "router_held":  # type: ignore[attr-defined]
        for router_id in cards.holders(db, site.id):
            _hold_all(db, router_id, batch.id, version)
            cards.promise_cards(db, router_id, now)
    return batch


def _told(batch: Batch, version: PlanVersion) -> dict[str, Any]:
    """What other programs are told of a batch that is ready."""
    return {
        "batch_id": batch.id,
        "number": batch.number,
        "site_id": batch.site_id,
        "plan_id": version.plan_id,
        "plan_name": version.name,
        "quantity": batch.quantity,
        "price_minor": batch.price_minor,
        "currency": batch.currency,
        "ready_at": batch.ready_at,
    }


def _hold_all(db: Session, router_id: int, batch_id: int, version: PlanVersion) -> None:
    """One INSERT … SELECT for the whole batch."""
    from sqlalchemy import JSON, Boolean, Integer, String, insert, literal

    columns = [
        "router_id",
        "key",
        "rev",
        "synced_rev",
        "wanted",
        "refusals",
        "given_up",
        "secret_sealed",
        "limits",
        "plan",
    ]
    rows = select(
        literal(router_id, Integer),
        Voucher.id,
        literal(1, Integer),
        literal(0, Integer),
        literal(True, Boolean),
        literal(0, Integer),
        literal(False, Boolean),
        Voucher.code_sealed,
        literal(making.card_limits(version), JSON),
        literal(version.name, String),
    ).where(Voucher.batch_id == batch_id)
    db.execute(insert(RouterGrant).from_select(columns, rows))


def _codes_sealed(db: Session, batch_id: int, after: int, limit: int) -> list[bytes]:
    wanted = select(Voucher.code_sealed).where(Voucher.batch_id == batch_id, Voucher.number > after)
    return list(db.scalars(wanted.order_by(Voucher.number).limit(limit)))


def _failed_with_cards(db: Session) -> list[tuple[int, str]]:
    """Failed batches that still have cards in the table, and why they failed."""
    left = exists().where(Voucher.batch_id == Batch.id)
    rows = db.execute(select(Batch.id, Batch.error).where(Batch.state == "failed", left).order_by(Batch.id))
    return [(row.id, row.error or "") for row in rows]


def _remove_some(db: Session, batch_id: int, why: str) -> bool:
    """Take 2,000 cards of a failed batch away; True while there may be more. What is ready is never taken away."""
    unready = update(Batch).where(Batch.id == batch_id, Batch.state != "ready")
    failed = db.execute(unready.values(state="failed", error=why[:500], created=0))
    if failed.rowcount != 1:  # type: ignore[attr-defined]
        return False
    some = select(Voucher.id).where(Voucher.batch_id == batch_id).limit(2000)
    gone = db.execute(delete(Voucher).where(Voucher.id.in_(some)))
    return bool(gone.rowcount)  # type: ignore[attr-defined]
