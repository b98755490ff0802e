"""`/ip/hotspot/active/login`: a guest is let in over the API."""

from __future__ import annotations

from bawaba.routers.simulators.routeros import values
from bawaba.routers.simulators.routeros.errors import BadValue, LoginRefused, Trap
from bawaba.routers.simulators.routeros.guests import Host, Session
from bawaba.routers.simulators.routeros.hotspot import Hotspot


def api_login(hotspot: Hotspot, arguments: dict[str, str]) -> Session:
    """Log a host in, or refuse in the words that were seen on live routers. Raises `Trap`."""
    host = _host_to_log_in(hotspot, arguments.get("ip"), arguments.get("mac-address"))
    name, password = arguments.get("user", ""), arguments.get("password", "")
    behaviour = hotspot.router.behaviour
    if behaviour.login_needs_pap and "http-pap" not in hotspot.login_by():
        raise Trap("login method not allowed")
    if host.session is not None:
        if behaviour.login_again == "keep":
            return host.session
        if behaviour.login_again == "refuse":
            raise Trap(f"host {host.ip} is already authorized")
        hotspot.end(host.session, "replaced", wake=False)
    try:
        return hotspot.login(name, lambda secret: secret == password, host, "http-pap")
    except LoginRefused as refusal:
        raise Trap(str(refusal)) from refusal


def _host_to_log_in(hotspot: Hotspot, ip: str | None, mac: str | None) -> Host:
    hotspot.look()
    try:
        ip = values.address(ip or "")
    except BadValue as error:
        raise Trap("invalid value for argument ip", 1) from error
    try:
        mac = values.mac(mac) if mac is not None else None
    except BadValue as error:
        raise Trap("invalid value of mac-address, mac address required", 1) from error
    host = hotspot.hosts.get(ip)
    if host is None:
        raise Trap(f"unknown host IP {ip}")
    if mac is not None and mac != host.mac:
        raise Trap("wrong MAC provided")
    return host
