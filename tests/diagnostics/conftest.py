"""The cast for the tests of requests: the staff, a café, and a recorder that writes when told."""

from tests.staff import app, hana, omar, vera  # noqa: F401
