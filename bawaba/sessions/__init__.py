"""Redeeming; who is online, until when, and what they have used."""
