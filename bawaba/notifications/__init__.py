"""Telling people what happened: in the app, and outward by the ways that an admin has set up."""
