"""The cast for the tests of sites."""

from tests.staff import app, hana, omar, vera  # noqa: F401
