"""Builds the Runtime, and connects events and promised work to those who care."""

from __future__ import annotations

import functools
import random
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from bawaba import migrations
from bawaba.accounts import audit, idempotency, signing_in
from bawaba.authmon import gateways as authmon_gateways
from bawaba.authmon import watching as authmon_watching
from bawaba.backups.scheduler import Backups
from bawaba.core import cache, facts
from bawaba.core.background import Background
from bawaba.core.clock import Clock, SystemClock, boot_id
from bawaba.core.config import Config
from bawaba.core.data_folder import DataFolderError
from bawaba.core.database import Database, from_micros, to_micros
from bawaba.core.keyring import KeyFileError, Keyring
from bawaba.core.runtime import Runtime
from bawaba.diagnostics import recorder, retention
from bawaba.diagnostics.recorder import TraceRecorder
from bawaba.monitoring import figures, history, polling, samples, traffic
from bawaba.monitoring.listening import Listening
from bawaba.monitoring.samples import Samples
from bawaba.notifications import incidents
from bawaba.notifications.notifier import Notifier
from bawaba.plans import service as plans
from bawaba.radius import gateways as radius_gateways
from bawaba.radius import naming
from bawaba.radius import watching as radius_watching
from bawaba.reports import stock, summary
from bawaba.reports.counting import Counting
from bawaba.routers import cards, devices, promises, removing
from bawaba.routers.part import Routers
from bawaba.sessions import admission, guessing, leaving, offline
from bawaba.sessions.leftovers import SessionKeeper
from bawaba.sites import service as sites
from bawaba.vouchers import codes
from bawaba.vouchers.batch_maker import BatchMaker
from bawaba.vouchers.card_store import CardStore
from bawaba.vouchers.holding import Holding
from bawaba.webhooks import sending as webhooks
from bawaba.webhooks.sender import Sender

log = structlog.get_logger(__name__)
HOUSEKEEPING_S = 30.0
JUMP_WORTH_SAYING_S = 2.0
CLOCK_FACT = "clock"
SEEN_FACT = "last_seen"
PROVISIONAL = "provisional"
REGIONS = (sites.CACHED, plans.CACHED, figures.CACHED, history.CACHED, traffic.CACHED, summary.CACHED, stock.CACHED)


def build(config: Config, *, clock: Clock | None = None, rng: random.Random | None = None) -> Runtime:
    """Everything a use case may reach. The database must have been migrated."""
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    rng = rng or random.SystemRandom()
    database = Database(config.sqlalchemy_url, rng=rng)
    _refuse_moved(config, database)
    rt = Runtime(
        config=config,
        clock=clock or _steady_clock(database),
        rng=rng,
        database=database,
        keyring=(keyring := _the_key(config.key_path, database)),
        cache=cache.in_redis(config.redis_url, keyring) if config.redis_url else cache.in_memory(config.data_dir),
    )
    database.info[audit.SEAL] = functools.partial(rt.keyring.digest, "audit")
    rt.cache.watch(REGIONS)
    database.on_commit = rt.cache.drop
    routers = Routers(rt)
    routers.kinds = {
        cards.KIND: cards.kind(rt.keyring, codes.grouped),
        offline.LET_GO: offline.LET_GO_WORK,
        devices.KIND: devices.WORK,
        admission.ADMIT: naming.for_letting_in(admission.ADMIT_WORK, rt.keyring),
        admission.KICK: naming.for_closing_out(admission.KICK_WORK, rt.keyring),
        admission.DROP: admission.DROP_WORK,
    }
    routers.keepers = [Holding(), cards.CardKeeper(), offline.OfflineUse(), SessionKeeper()]
    routers.send_home = leaving.send_home
    routers.on_poll = polling.by_make(
        {authmon_gateways.DRIVER: authmon_watching.look_now, radius_gateways.DRIVER: radius_watching.look_now}
    )
    rt.parts["routers"] = routers
    rt.parts["samples"] = Samples(rt)
    rt.parts["shape"] = migrations.HEAD
    rt.parts["traces"] = TraceRecorder(rt)
    rt.parts["card_store"] = CardStore(config.data_dir, rt.keyring)
    rt.parts["batch_maker"] = BatchMaker(rt)
    rt.parts["housekeeping"] = Housekeeping(rt)
    rt.parts["notifier"] = Notifier(rt)
    rt.parts["webhooks"] = Sender(rt)
    rt.parts["backups"] = Backups(rt)
    rt.parts["counting"] = Counting(rt)
    return rt


EVERYWHERE = ("housekeeping", "notifier", "webhooks", "backups")
WORK = ("routers", "batch_maker", "counting")


def start_background(rt: Runtime, *, works: bool = True) -> None:
    """Begin to poll, deliver, make batches and keep house. Without `works` routers and batches are left to other
    processes: what this one promises a guest it still delivers itself, and keeps as a promise for them if it cannot."""
    for name in (*(WORK if works else ()), *EVERYWHERE):
        rt.parts[name].start()
    loop = rt.parts["routers"].loop
    loop.keep(rt.parts["traces"].keep_writing(), "what requests did")
    if works:
        loop.keep(rt.parts["samples"].keep_writing(), "looks at routers")
        loop.keep(Listening(rt).keep_listening(), "listening to routers")


def stop(rt: Runtime) -> None:
    """End what runs, in the order that lets each finish."""
    for name in ("counting", "backups", "webhooks", "notifier", "housekeeping", "batch_maker", "routers"):
        rt.parts[name].stop()
    rt.database.close()


class Housekeeping(Background):
    """Every half minute: note the time, watch the machine's clock, forget what is long over."""

    def __init__(self, rt: Runtime) -> None:
        super().__init__("housekeeping")
        self._rt = rt
        self._said_jump = False

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch_clock()
                self._rt.transact(keep_house, self._rt.clock.now())
                self._forget()
            except Exception as error:  # noqa: BLE001 the disk may be full; the next round comes
                log.warning("housekeeping was put off", error=str(error))
            self._stopping.wait(HOUSEKEEPING_S)

    def _forget(self) -> None:
        """What only takes room, in groups: guests redeem in between."""
        now, config = self._rt.clock.now(), self._rt.config
        self._rt.transact(recorder.prune, now, config.trace_keep)
        self._rt.transact(retention.prune_sessions, now, config.keep_sessions_days)
        self._rt.transact(retention.note_size, now)

    def _watch_clock(self) -> None:
        clock = self._rt.clock
        if not isinstance(clock, SystemClock):
            return
        if clock.follow_wall():
            log.warning("the machine's clock has been set; following it")
        standing = PROVISIONAL if clock.is_provisional else "settled"
        self._rt.transact(facts.remember, CLOCK_FACT, f"{boot_id()} {clock.offset_s!r} {standing}")
        jumped = abs(clock.jump_s()) > JUMP_WORTH_SAYING_S
        if jumped and not self._said_jump:
            log.warning("the machine's clock was moved; cards go on by steady time", jump_s=round(clock.jump_s()))
        self._said_jump = jumped


def keep_house(db: Session, now: datetime) -> None:
    """Note that we were alive, and forget what nobody will ask for again."""
    facts.remember(db, SEEN_FACT, str(to_micros(now)))
    idempotency.prune(db, now)
    signing_in.prune(db, now)
    guessing.prune(db, now)
    incidents.prune(db, now)
    promises.prune(db, now - timedelta(days=7))
    removing.clear_up(db, leaving.send_home, now)
    samples.prune(db, now)
    webhooks.prune(db, now)


def _refuse_moved(config: Config, database: Database) -> None:
    """Raises `DataFolderError` for a SQLite file whose data went to PostgreSQL."""
    moved = database.read(facts.recall, facts.MOVED) if database.is_sqlite else None
    if moved is not None:
        database.close()
        raise DataFolderError(
            f"The data in {config.sqlite_path} moved to {moved}: set BAWABA_DATABASE_URL to it.\n"
            "To go on with this file after all: bawaba move-to-postgresql --undo"
        )


def _the_key(path: Path, database: Database) -> Keyring:
    """The key that this database's cards were made with. Raises `KeyFileError` rather than make another one."""
    if not path.exists() and database.read(facts.recall, facts.KEY) is not None:
        raise KeyFileError(f"{path} is missing, and the cards in the database need it: put it back from your safe copy")
    keyring = Keyring.open(path)
    if database.transact(facts.settle, facts.KEY, keyring.fingerprint) != keyring.fingerprint:
        raise KeyFileError(f"{path} is not the key that this database was made with: put that one back")
    return keyring


def _steady_clock(database: Database) -> SystemClock:
    """The clock as it went on this boot; after a reboot the wall clock, but never earlier than we were last alive."""
    known = (database.read(facts.recall, CLOCK_FACT) or "").split(" ")
    boot, offset, standing = (*known, "", "")[:3]
    went_on = bool(offset) and boot == boot_id()
    clock = SystemClock(float(offset), provisional=standing == PROVISIONAL) if went_on else SystemClock()
    last_seen = database.read(facts.recall, SEEN_FACT)
    if last_seen is not None:
        clock.never_before(from_micros(int(last_seen)))
    return clock
