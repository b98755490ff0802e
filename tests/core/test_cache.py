"""What is cached is never older than what was written: in the process, in Redis, beside other processes, without it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis
from sqlalchemy import event, select, text, update
from sqlalchemy.orm import Session

from bawaba import migrations, wiring
from bawaba.core import cache as caching
from bawaba.core import touched
from bawaba.core.cache import Cache, Region
from bawaba.core.clock import ManualClock
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.monitoring import figures, history
from bawaba.plans import service as plans
from bawaba.plans.models import Plan
from bawaba.sites import service as sites
from bawaba.sites.models import Site
from bawaba.web.paging import PageRequest
from tests.cast import Cast, person
from tests.services import free_port, server

RENAME = Statement("UPDATE site SET name = :name WHERE id = :id")
HANA = person()


def rename(db: Session, site_id: int, name: str) -> None:
    RENAME.run(db, id=site_id, name=name)


@contextmanager
def started(folder: Path, url: str = "", redis_url: str = "") -> Iterator[Runtime]:
    """One process's worth of an installation."""
    config = Config(data_dir=folder, database_url=url, redis_url=redis_url, public_url="http://login.wifi")
    rt = wiring.build(config, clock=ManualClock(), rng=Random(7))
    yield rt
    wiring.stop(rt)


@pytest.fixture(
    params=["embedded", pytest.param("scaled", marks=[pytest.mark.redis, pytest.mark.postgres])],
)
def here(request: pytest.FixtureRequest, tmp_path: Path, empty_sqlite: Path) -> Iterator[Runtime]:
    """SQLite with the cache in the process; PostgreSQL with Redis."""
    if request.param == "embedded":
        (tmp_path / "bawaba.db").write_bytes(empty_sqlite.read_bytes())
        with started(tmp_path) as rt:
            yield rt
        return
    postgres: Any = request.getfixturevalue("postgres_server")
    redis_url = request.getfixturevalue("redis_url")
    with (
        postgres.database(postgres.template("migrated", migrations.migrate)) as url,
        started(tmp_path, url, redis_url) as rt,
    ):
        yield rt


@pytest.fixture
def there(here: Runtime) -> Iterator[Runtime]:
    """A second process on the same data: it shares nothing with the first but what processes share."""
    config = here.config
    with started(config.data_dir, config.database_url, config.redis_url) as rt:
        yield rt


def names(rt: Runtime) -> list[str]:
    """What the menus of every page show."""
    return [site.name for site in rt.recall(sites.CACHED, HANA.sight, sites.own_sites, HANA)]


def hits(rt: Runtime, region: Region = sites.CACHED) -> tuple[int, int]:
    count = rt.cache.counts()[region.name]
    return count.hits, count.misses


def test_the_second_one_to_ask_reads_no_database(here: Runtime) -> None:
    Cast(here)
    first = names(here)
    assert hits(here) == (0, 1)
    assert names(here) == first
    assert hits(here) == (1, 1)


WAYS_TO_WRITE: list[Callable[[Any, int, str], Any]] = [
    lambda db, site_id, name: setattr(db.get(Site, site_id), "name", name),
    lambda db, site_id, name: db.execute(update(Site).where(Site.id == site_id).values(name=name)),
    lambda db, site_id, name: db.execute(text("UPDATE site SET name = :name"), {"name": name}),
    lambda db, site_id, name: RENAME.run(db, id=site_id, name=name),
    lambda db, site_id, name: RENAME.run_many(db, [{"id": site_id, "name": name}]),
]


def test_nothing_old_is_read_after_a_write_in_any_process_however_it_was_written(here: Runtime, there: Runtime) -> None:
    site = Cast(here).site
    assert names(here) == names(there) == [site.name]
    for number, write in enumerate(WAYS_TO_WRITE):
        here.transact(write, site.id, f"harbour {number}")
        assert names(here) == names(there) == [f"harbour {number}"]


def test_a_write_that_did_not_happen_leaves_what_is_known(here: Runtime) -> None:
    site = Cast(here).site

    def fails(db: Any) -> None:
        RENAME.run(db, id=site.id, name="never")
        raise RuntimeError

    names(here)
    with pytest.raises(RuntimeError):
        here.transact(fails)
    assert names(here) == [site.name]


def test_who_read_before_a_write_does_not_keep_it_after(here: Runtime, there: Runtime) -> None:
    site = Cast(here).site

    def slow(db: Any) -> list[str]:
        found = list(db.scalars(select(Site.name)))
        db.rollback()
        there.transact(rename, site.id, "Old Harbour")
        return found

    assert here.recall(sites.CACHED, "slow", slow) == [site.name]  # it asked before the write
    assert here.recall(sites.CACHED, "slow", lambda db: list(db.scalars(select(Site.name)))) == ["Old Harbour"]


def test_of_many_who_want_the_same_one_makes_it(here: Runtime, there: Runtime) -> None:
    made: list[int] = []

    def make(db: Any) -> int:
        made.append(1)
        time.sleep(0.2)
        return 7

    def ask(number: int) -> int:
        rt = here if number % 2 or not here.config.redis_url else there
        return rt.recall(sites.CACHED, "seven", make)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(16))) == {7}
    assert len(made) == 1


def test_however_reads_and_writes_meet_no_read_is_older_than_the_last_write(here: Runtime, there: Runtime) -> None:
    """Three threads read in two processes while one writes: whoever asks after a commit never sees what was before."""
    site = Cast(here).site
    here.transact(rename, site.id, "0")
    committed = [0]
    stale: list[tuple[int, int]] = []
    over = threading.Event()

    def read(rt: Runtime) -> None:
        while not over.is_set():
            least = committed[0]
            if (seen := int(names(rt)[0])) < least:
                stale.append((seen, least))

    readers = [threading.Thread(target=read, args=(rt,)) for rt in (here, there, there)]
    for reader in readers:
        reader.start()
    until = time.monotonic() + 5.0
    while committed[0] < 50 and time.monotonic() < until:
        here.transact(rename, site.id, str(committed[0] + 1))
        committed[0] += 1
    over.set()
    for reader in readers:
        reader.join()
    assert committed[0] > 2
    assert stale == []


def test_a_command_beside_the_server_is_noticed(here: Runtime) -> None:
    """A real second process: `bawaba plan add`."""
    cast = Cast(here)

    def plan_names() -> list[str]:
        found = here.recall(plans.CACHED, HANA.sight, plans.list_plans, HANA, PageRequest(50, None))
        return [version.name for _plan, version in found]

    cast.make_plan(name="Night")
    assert plan_names() == ["Night"]
    config = here.config
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAWABA_")}
    environ |= {"BAWABA_DATA_DIR": str(config.data_dir), "BAWABA_DATABASE_URL": config.database_url}
    environ |= {"BAWABA_REDIS_URL": config.redis_url, "BAWABA_PUBLIC_URL": "http://login.wifi"}
    command = [sys.executable, "-m", "bawaba", "plan", "add", "Day", "--hours", "24", "--site", str(cast.site.id)]
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60)
    assert plan_names() == ["Day", "Night"]


@pytest.mark.redis
def test_without_redis_everything_comes_from_the_database_and_is_right_when_it_is_back(
    tmp_path: Path, empty_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "AWAY_S", 0.2)
    (tmp_path / "bawaba.db").write_bytes(empty_sqlite.read_bytes())
    with restartable_redis(tmp_path) as (url, start, stop):
        start()
        with started(tmp_path, redis_url=url) as here, started(tmp_path, redis_url=url) as there:
            site = Cast(here).site
            assert names(here) == names(there) == [site.name]
            stop()
            here.transact(rename, site.id, "Old Harbour")
            assert names(here) == names(there) == ["Old Harbour"]
            assert here.cache.is_away
            start(keeps=True)  # with all that was cached before it went
            time.sleep(0.3)
            assert names(here) == names(there) == ["Old Harbour"]
            assert not here.cache.is_away
            before = hits(here)
            names(here)
            assert hits(here) == (before[0] + 1, before[1])


@pytest.mark.redis
def test_what_others_put_into_redis_is_not_believed(tmp_path: Path, empty_sqlite: Path, redis_url: str) -> None:
    (tmp_path / "bawaba.db").write_bytes(empty_sqlite.read_bytes())
    with started(tmp_path, redis_url=redis_url) as rt, redis.Redis.from_url(redis_url) as client:
        site = Cast(rt).site
        names(rt)
        for key in client.scan_iter("bawaba:cache:*"):
            kept = client.get(key)
            assert kept is not None
            client.set(key, kept.replace(site.name.encode(), b"x" * len(site.name.encode())))
        assert names(rt) == [site.name]


def test_a_region_names_every_table_that_it_is_made_from(here: Runtime) -> None:
    """Else a write to the one that it does not name would not drop it."""
    cast = Cast(here)
    cast.make_voucher()
    read: dict[str, set[str]] = {}
    found: set[str] = set()

    @event.listens_for(here.database.engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        found.update(touched.read_by(statement))

    def tables_of(region: Region, ask: Callable[[], Any]) -> None:
        found.clear()
        ask()
        read[region.name] = {table for table in found if table in KNOWN} - set(region.tables)

    tables_of(sites.CACHED, lambda: names(here))
    tables_of(figures.CACHED, lambda: figures.board(here, HANA))
    page = PageRequest(50, None)
    tables_of(plans.CACHED, lambda: here.recall(plans.CACHED, None, plans.list_plans, HANA, page))
    tables_of(figures.CACHED, lambda: figures.board(here, HANA))
    tables_of(history.CACHED, lambda: history.seen_of(here, HANA, cast.router.id, "day"))
    assert {name: tables for name, tables in read.items() if tables} == {}


def test_an_unnamed_region_is_refused(here: Runtime) -> None:
    with pytest.raises(ValueError, match="was not named"):
        here.cache.get(Region("secret", ("user_account",), 60), "x", lambda: 1)


def test_the_file_of_marks_is_only_its_owners(tmp_path: Path) -> None:
    kept: Cache = caching.in_memory(tmp_path)
    assert kept.where == "memory"
    assert (tmp_path / caching.FILE).stat().st_mode & 0o077 == 0


@contextmanager
def restartable_redis(folder: Path) -> Iterator[tuple[str, Callable[..., None], Callable[[], None]]]:
    """A Redis that can be stopped and started again on its port, and keeps what it has."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    command = ["redis-server", *f"--port {port} --bind 127.0.0.1 --appendonly yes --appendfsync always".split()]
    command += ["--dir", str(folder)]
    with redis.Redis.from_url(url) as client, ExitStack() as running:

        def start(*, keeps: bool = False) -> None:
            running.enter_context(server(command, client.ping, folder / "log"))
            assert bool(client.dbsize()) == keeps

        yield url, start, running.close


KNOWN = frozenset(Plan.metadata.tables)
