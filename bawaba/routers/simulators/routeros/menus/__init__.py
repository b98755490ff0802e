"""What can be read and written on the router, menu by menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bawaba.routers.simulators.routeros.tables import Menu

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.router import Router


def build(router: Router) -> dict[str, Menu]:
    """Every menu of a router, by path."""
    from bawaba.routers.simulators.routeros.menus import hotspot, network, system

    menus: dict[str, Menu] = {}
    for module in (system, network, hotspot):
        for menu in module.build(router, menus):
            menus[menu.path] = menu
    return menus
