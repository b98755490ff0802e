"""The cast for the tests of people."""

from tests.staff import app, hana, omar, vera  # noqa: F401
