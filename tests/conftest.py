"""Fixtures that every test may use. Servers are in `services`, what a machine may lack is in `needs`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bawaba import migrations, wiring
from bawaba.core.clock import ManualClock
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime
from bawaba.routers.drivers import fake
from tests.cast import Cast

pytest_plugins = ["tests.needs", "tests.services", "tests.simulators"]


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file, to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    migrations.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path, empty_sqlite: Path) -> Iterator[str]:
    """A migrated database of the test's own, on SQLite and again on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(empty_sqlite, tmp_path / "bawaba.db")
        yield f"sqlite:///{tmp_path / 'bawaba.db'}"
        return
    server: Any = request.getfixturevalue("postgres_server")
    with server.database(server.template("migrated", migrations.migrate)) as url:
        yield url


@pytest.fixture
def clock() -> ManualClock:
    """Time, moved by hand."""
    return ManualClock()


@pytest.fixture
def config(tmp_path: Path, migrated_url: str) -> Config:
    """Settings on the test's own database and folder."""
    return Config(data_dir=tmp_path, database_url=migrated_url, public_url="http://login.wifi")


@pytest.fixture
def rt(config: Config, clock: ManualClock) -> Iterator[Runtime]:
    """The product without its background work, on both databases."""
    fake.reset()
    runtime = wiring.build(config, clock=clock, rng=Random(7))
    yield runtime
    wiring.stop(runtime)
    fake.reset()


@pytest.fixture
def cast(rt: Runtime, clock: ManualClock) -> Cast:
    """One café with a router in memory that goes by the tests' clock."""
    made = Cast(rt)
    fake.box(made.router.id, clock)
    return made
