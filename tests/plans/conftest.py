"""The cast for the tests of plans."""

from tests.staff import app, hana, omar, vera  # noqa: F401
