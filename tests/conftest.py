"""Fixtures that every test may use. Servers are in `services`, what a machine may lack is in `needs`."""

pytest_plugins = ["tests.needs", "tests.services"]
