"""Bawaba: a self-hosted manager for paid WiFi."""
