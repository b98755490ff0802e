"""The café under attack. The database makes no difference here, so it is SQLite alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from flask import Flask

from bawaba.core.runtime import Runtime
from tests.cast import Cast
from tests.pages.browser import Browser
from tests.staff import app, let_in

__all__ = ["app"]


@pytest.fixture
def migrated_url(tmp_path: Path, empty_sqlite: Path) -> str:
    """A database of the test's own."""
    shutil.copy(empty_sqlite, tmp_path / "bawaba.db")
    return f"sqlite:///{tmp_path / 'bawaba.db'}"


@pytest.fixture
def hana(app: Flask, rt: Runtime, cast: Cast) -> Browser:
    """The admin, at her browser."""
    let_in(rt, "hana", "admin")
    return Browser(app, "hana")
