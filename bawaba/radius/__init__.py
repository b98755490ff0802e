"""Gateways that ask by RADIUS: FreeRADIUS stands in front, and every question of its comes here."""
