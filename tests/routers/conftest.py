"""The cast for the tests of routers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bawaba.routers import drivers
from bawaba.routers.links import known_drivers
from tests.staff import app, hana, omar  # noqa: F401


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One make of router more: a module in `drivers/` is a driver."""
    monkeypatch.setattr(drivers, "__path__", [*drivers.__path__, str(Path(__file__).parent / "makes")])
    known_drivers.cache_clear()
    yield
    monkeypatch.undo()
    known_drivers.cache_clear()
