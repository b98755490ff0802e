"""Routers in software that speak the real protocols of their makes, for tests, benchmarks and practice.

Nothing here knows a driver, and no driver knows this: each reads the protocol for itself, so that one checks the other.
"""
