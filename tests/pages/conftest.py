"""The cast for the tests of pages: the staff at browsers, and their café."""

from __future__ import annotations

import pytest
from flask import Flask

from bawaba.core.runtime import Runtime
from bawaba.wiring import start_background
from tests.cast import Cast
from tests.pages.browser import Browser
from tests.routers.conftest import acme  # noqa: F401
from tests.staff import app, let_in  # noqa: F401


@pytest.fixture
def working(rt: Runtime, cast: Cast) -> Runtime:
    """The product with its background work: routers are asked, batches are made."""
    start_background(rt)
    return rt


@pytest.fixture
def hana(app: Flask, rt: Runtime, cast: Cast) -> Browser:  # noqa: F811
    """The admin, at her browser."""
    let_in(rt, "hana", "admin")
    return Browser(app, "hana")


@pytest.fixture
def omar(app: Flask, rt: Runtime, cast: Cast) -> Browser:  # noqa: F811
    """An operator, at his."""
    let_in(rt, "omar", "operator")
    return Browser(app, "omar")


@pytest.fixture
def vera(app: Flask, rt: Runtime, cast: Cast) -> Browser:  # noqa: F811
    """A viewer, at hers."""
    let_in(rt, "vera", "viewer")
    return Browser(app, "vera")
