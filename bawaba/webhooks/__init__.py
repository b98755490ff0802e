"""Webhooks: what happens is told to the owner's other programs, signed, tried again, and noted."""
