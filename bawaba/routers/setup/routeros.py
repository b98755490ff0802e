"""The RouterOS script that makes a MikroTik one of ours, and its undo (RouterOS manual: Scripting, HotSpot, Netwatch).

Every line is plain console language that v6.49 and v7 both read; what only one of them knows goes through `[:parse]`,
so that the other skips it instead of stopping. What we add carries `MARK` as its comment; what we change of the owner's
is written into a script on the router first, and put back by the undo. Running it again changes nothing more.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bawaba.core.errors import field_fault
from bawaba.routers.setup.wireguard import Tunnel

MARK = "bawaba-setup"
BEFORE = "bawaba-before"
PROFILE = "bawaba"
GROUP = "bawaba"
CERTIFICATE = "bawaba-api"
OWNERS_NAMES = frozenset({"admin"})  # accounts that a router comes with (RouterOS manual: User)
PAGES = ("login.html", "rlogin.html", "flogin.html", "alogin.html", "status.html", "logout.html", "error.html")
AWAY_PAGES = ("login.html", "rlogin.html", "flogin.html")
POLICIES = "api,read,write,!local,!telnet,!ssh,!ftp,!reboot,!policy,!test,!winbox,!password,!web,!sniff,!sensitive"
CALL_S = 10  # how often the router looks whether the manager is there
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "\\$", "?": "\\3F", "\n": "\\n", "\r": "", "\t": "\\t"})


@dataclass(frozen=True)
class Facts:
    """What the script is made from. `server` is a hotspot that is there; `interface` asks for a new one instead."""

    router_id: int
    router_name: str
    username: str
    password: str
    portal_url: str
    manager_ip: str
    manager_port: int
    router_held: bool = False
    server: str | None = None
    interface: str | None = None
    network: str = "10.77.0.1/24"  # the router's own address in the guests' new network
    tunnel: Tunnel | None = None

    def __post_init__(self) -> None:
        if bool(self.server) == bool(self.interface):
            raise field_fault("server", "name the hotspot that is there, or the interface for a new one")
        check_username(self.username)
        _check_address("manager_ip", self.manager_ip)
        try:
            inside = ipaddress.IPv4Interface(self.network)
        except ValueError as error:
            raise field_fault("network", "must be an address with its network, like 10.77.0.1/24") from error
        if not 16 <= inside.network.prefixlen <= 28:
            raise field_fault("network", "must have room for guests: between /16 and /28")

    @property
    def pages_url(self) -> str:
        """Where the router fetches its pages from."""
        return f"{self.portal_url.rstrip('/')}/hotspot/{self.router_id}"

    @property
    def hotspot(self) -> str:
        """The hotspot's name on the router."""
        return self.server or "bawaba"


def check_username(name: str) -> None:
    """Raises `Invalid` where the router has an account of this name before we come: it is the owner's."""
    if name.lower() in OWNERS_NAMES:
        fault = "admin is the owner's own account: choose another user name on the router's form, such as bawaba"
        raise field_fault("username", fault)


def script(facts: Facts) -> str:
    """The whole script, in the order in which a reader follows it."""
    heading = _heading(facts, "makes this router work with Bawaba", "Undo it with the other script on the same page.")
    parts = [
        _stop_at_anothers_account(facts),
        _old_ones_away(),
        _tunnel(facts.tunnel) if facts.tunnel else [],
        _new_hotspot(facts) if facts.interface else [],
        _account(facts),
        _certificate(facts),
        _pages(facts),
        _profile(facts),
        _walled_garden(facts),
        _option_114(facts),
        _ipv6(facts),
        _look_out(facts) if not facts.router_held else [],
        [':put "Done. Press Test it now on the page of this router in Bawaba."'],
    ]
    return _block(heading, parts)


def undo(facts: Facts) -> str:
    """Takes everything away that `script` brought, and puts back what was there before."""
    lines = [
        "# What was changed of your own settings is put back first.",
        f":if ([:len [/system script find name={quoted(BEFORE)}]] > 0) do={{ /system script run {quoted(BEFORE)} }}",
        *_old_ones_away(),
        f"/system script remove [find name={quoted(BEFORE)}]",
        "/ip service set api-ssl certificate=none",
        f":do {{ /certificate remove [find name={quoted(CERTIFICATE)}] }} on-error={{}}",
        *(_new_hotspot_away(facts) if facts.interface else []),
        f"/ip hotspot profile remove [find name={quoted(PROFILE)}]",
        f"/user remove [find comment={quoted(MARK)}]",
        f"/user group remove [find name={quoted(GROUP)}]",
        (
            f":foreach f in=[/file find where name~{quoted('(^|/)bawaba(-away)?(/|$)')}] do={{ "
            ":do { /file remove $f } on-error={} }"
        ),
        *_tunnel_away(),
        ':put "Undone."',
    ]
    return _block(_heading(facts, "takes Bawaba off this router", "Cards that lie on it stay."), [lines])


def _block(heading: Sequence[str], parts: Sequence[Sequence[str]]) -> str:
    """One block, so that its names hold from line to line when it is pasted into a terminal too."""
    return "\n".join([*heading, "{", *("\n".join(part) + "\n" for part in parts if part), "}"]) + "\n"


def quoted(text: str) -> str:
    """A string as the console reads it. Control characters other than the newline have no place in one."""
    if any(ord(sign) < 32 and sign not in "\n\r\t" for sign in text):
        raise field_fault("script", "holds a character that cannot be typed")
    return f'"{text.translate(ESCAPES)}"'


def _heading(facts: Facts, does: str, also: str) -> list[str]:
    of = f"router {facts.router_id} ({_comment(facts.router_name)})"
    return [f"# Bawaba, {of}: {does}.", f"# {also} It may be run again at any time."]


def _comment(text: str) -> str:
    """A text for a line that the console passes over: it ends nowhere but at the line's end."""
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text)


def _old_ones_away() -> list[str]:
    """Whatever an earlier run added; menus that this version does not have are skipped."""
    menus = (
        "/ip hotspot walled-garden",
        "/ip hotspot walled-garden ip",
        "/ip dhcp-server option sets",
        "/ip dhcp-server option",
        "/tool netwatch",
        "/ipv6 firewall filter",
    )
    lines = [
        "# Lines of an earlier run go first.",
        _if_known('/ip dhcp-server set [find dhcp-option-set="bawaba-set"] dhcp-option-set=none'),
    ]
    for menu in menus:
        remove = f"{menu} remove [find comment={quoted(MARK)}]"
        if menu.startswith("/ip dhcp-server option"):  # these two have no comment
            remove = f'{menu} remove [find name~"^bawaba-"]'
        lines.append(_if_known(remove))
    return lines


def _if_known(command: str) -> str:
    """A command that this version may not know: it must not stop the script when it is read."""
    return f":do {{ [[:parse {quoted(command)}]] }} on-error={{}}"


def _either(newer: str, older: str) -> str:
    """The newer form of a command, or the older one where the newer one is not known."""
    return f":do {{ [[:parse {quoted(newer)}]] }} on-error={{ {older} }}"


def _stop_at_anothers_account(facts: Facts) -> list[str]:
    name = quoted(facts.username)
    ours = f"[:len [/user find name={name} comment={quoted(MARK)}]]"
    refusal = quoted(f"The user {_comment(facts.username)} is not Bawaba's. Choose another name in Bawaba.")
    return [
        "# An account of this name that this script did not make stops it before anything is changed.",
        f":if ([:len [/user find name={name}]] > {ours}) do={{ :error {refusal} }}",
    ]


def _account(facts: Facts) -> list[str]:
    manager = facts.tunnel.manager_ip if facts.tunnel else facts.manager_ip
    name = quoted(facts.username)
    group = f'/user group add name={quoted(GROUP)} policy="{POLICIES}" comment={quoted(MARK)}'
    login = f"group={quoted(GROUP)} password={quoted(facts.password)} address={manager}/32"
    return [
        "# An account with no more rights than the work needs; it can sign in from the manager's address only.",
        f":if ([:len [/user group find name={quoted(GROUP)}]] = 0) do={{ {group} }}",
        (
            f":if ([:len [/user find name={name}]] = 0) do={{ /user add name={name} {login} comment={quoted(MARK)} }} "
            f"else={{ /user set [find name={name} comment={quoted(MARK)}] {login} }}"
        ),
    ]


def _certificate(facts: Facts) -> list[str]:
    name = quoted(CERTIFICATE)
    usage = "digital-signature,key-encipherment,tls-server"
    add = f"/certificate add name={name} common-name={name} days-valid=3650 key-usage={usage}"
    off_again = quoted("/ip service set api-ssl disabled=yes\n")
    return [
        "# What is changed of your own settings is noted in a script first; the undo runs it.",
        f":if ([:len [/system script find name={quoted(BEFORE)}]] = 0) do={{",
        '  :local before ""',
        f"  :if ([/ip service get api-ssl disabled]) do={{ :set before {off_again} }}",
        *(["  " + line for line in _note_the_profile(facts)] if facts.server else []),
        f"  /system script add name={quoted(BEFORE)} source=$before",
        "}",
        "# The API speaks TLS, with a certificate of its own.",
        f":if ([:len [/certificate find name={name}]] = 0) do={{ {add}; /certificate sign {name}; :delay 5s }}",
        f"/ip service set api-ssl certificate={name} disabled=no",
    ]


def _note_the_profile(facts: Facts) -> list[str]:
    server = quoted(facts.hotspot)
    put_back = quoted(f"/ip hotspot set [find name={server}] profile=")
    return [
        f":local was [/ip hotspot get [find name={server}] profile]",
        f':set before ($before . {put_back} . "\\"" . $was . "\\"\\n")',
    ]


def _folder() -> list[str]:
    return [
        ':local folder "bawaba"',
        ':if ([:len [/file find where name="flash"]] > 0) do={ :set folder "flash/bawaba" }',
    ]


def _pages(facts: Facts) -> list[str]:
    wanted = [(name, f"/{name}") for name in PAGES]
    if not facts.router_held:
        wanted += [(f"away/{name}", f"-away/{name}") for name in AWAY_PAGES]
    fetches = [
        f'  /tool fetch url={quoted(f"{facts.pages_url}/{source}")} dst-path=($folder . "{target}")'
        for source, target in wanted
    ]
    by_hand = f"The pages could not be fetched. Drag the files of {facts.pages_url}/pages.zip into the router's Files."
    return [
        "# The router's own pages: on boards with a flash folder only that one outlives a restart.",
        *_folder(),
        ":do {",
        *fetches,
        f"}} on-error={{ :put {quoted(by_hand)} }}",
    ]


def _profile(facts: Facts) -> list[str]:
    server = quoted(facts.hotspot)
    login_by = "http-pap,cookie" if facts.router_held else "http-pap"
    name, missing = quoted(PROFILE), f"There is no hotspot named {facts.hotspot}."
    settings = f"html-directory=$folder login-by={login_by} use-radius=no"
    return [
        "# The hotspot gets a profile of its own: a copy of the one it had, with our pages.",
        f":if ([:len [/ip hotspot find name={server}]] = 0) do={{ :error {quoted(missing)} }}",
        f":local old [/ip hotspot get [find name={server}] profile]",
        (
            f":if ([:len [/ip hotspot profile find name={name}]] = 0) do={{ "
            f"/ip hotspot profile add copy-from=$old name={name} }}"
        ),
        f"/ip hotspot profile set [find name={name}] {settings}",
        f"/ip hotspot set [find name={server}] profile={name} disabled=no",
    ]


def _walled_garden(facts: Facts) -> list[str]:
    host = urlsplit(facts.portal_url).hostname or facts.manager_ip
    manager = facts.tunnel.manager_ip if facts.tunnel else facts.manager_ip
    mark = f"comment={quoted(MARK)}"
    return [
        "# Guests reach the portal before they are signed in: by its name, and by its address.",
        f"/ip hotspot walled-garden add dst-host={quoted(host)} action=allow {mark}",
        f"/ip hotspot walled-garden ip add dst-address={manager} action=accept {mark}",
    ]


def _option_114(facts: Facts) -> list[str]:
    if not facts.portal_url.startswith("https://"):
        return []
    value = quoted(f"'{facts.portal_url.rstrip('/')}/capport/api'")
    of_guests = f"[/ip hotspot get [find name={quoted(facts.hotspot)}] interface]"
    return [
        "# Phones learn the portal's address with their own (DHCP option 114, RFC 8910).",
        _either(
            f"/ip dhcp-server option add name=bawaba-capport code=114 force=yes value={value}",
            f"/ip dhcp-server option add name=bawaba-capport code=114 value={value}",
        ),
        (
            ':if ([:len [/ip dhcp-server option sets find name="bawaba-set"]] = 0) do={ '
            "/ip dhcp-server option sets add name=bawaba-set options=bawaba-capport }"
        ),
        f":foreach d in=[/ip dhcp-server find interface={of_guests}] do={{",
        (
            "  :if ([:len [/ip dhcp-server get $d dhcp-option-set]] = 0) do={ /ip dhcp-server set $d "
            "dhcp-option-set=bawaba-set }"
        ),
        "}",
    ]


def _ipv6(facts: Facts) -> list[str]:
    of_guests = f"[/ip hotspot get [find name={quoted(facts.hotspot)}] interface]"
    rule = f"/ipv6 firewall filter add chain=forward in-interface={of_guests} action=drop comment={quoted(MARK)}"
    return ["# A hotspot guards IPv4 only: guests have no other way out.", _if_known(rule)]


def _look_out(facts: Facts) -> list[str]:
    manager = facts.tunnel.manager_ip if facts.tunnel else facts.manager_ip
    find = f"/ip hotspot profile set [find name={quoted(PROFILE)}] html-directory="
    folder = "; ".join(_folder()) + "; "
    up, down = quoted(f"{folder}{find}$folder"), quoted(f'{folder}{find}($folder . "-away")')
    rest = f"interval={CALL_S}s up-script={up} down-script={down} comment={quoted(MARK)}"
    return [
        "# While the manager is away, guests see a page that says so.",
        _either(
            f"/tool netwatch add host={manager} type=tcp-conn port={facts.manager_port} {rest}",
            f"/tool netwatch add host={manager} {rest}",
        ),
    ]


def _new_hotspot(facts: Facts) -> list[str]:
    inside = ipaddress.IPv4Interface(facts.network)
    assert facts.interface is not None
    interface, network = quoted(facts.interface), str(inside.network)
    first, last = _pool(inside)
    mark = f"comment={quoted(MARK)}"
    add_profile = f"/ip hotspot profile add name={quoted(PROFILE)} hotspot-address={inside.ip} dns-name=login.wifi"
    return [
        f"# A new hotspot on {_comment(facts.interface)}: addresses for guests, and a way out.",
        (
            f":if ([:len [/ip address find comment={quoted(MARK)} interface={interface}]] = 0) do={{ "
            f"/ip address add address={inside} interface={interface} {mark} }}"
        ),
        f':if ([:len [/ip pool find name="bawaba"]] = 0) do={{ /ip pool add name="bawaba" ranges={first}-{last} }}',
        (
            f':if ([:len [/ip dhcp-server find name="bawaba"]] = 0) do={{ /ip dhcp-server add name="bawaba" '
            f'interface={interface} address-pool="bawaba" lease-time=2h disabled=no }}'
        ),
        (
            f":if ([:len [/ip dhcp-server network find address={network}]] = 0) do={{ "
            f"/ip dhcp-server network add address={network} gateway={inside.ip} dns-server={inside.ip} {mark} }}"
        ),
        "/ip dns set allow-remote-requests=yes",
        (
            f":if ([:len [/ip firewall nat find comment={quoted(MARK)}]] = 0) do={{ "
            f"/ip firewall nat add chain=srcnat src-address={network} action=masquerade {mark} }}"
        ),
        f":if ([:len [/ip hotspot profile find name={quoted(PROFILE)}]] = 0) do={{ {add_profile} }}",
        (
            ':if ([:len [/ip hotspot find name="bawaba"]] = 0) do={ /ip hotspot add name="bawaba" '
            f'interface={interface} address-pool="bawaba" profile={quoted(PROFILE)} disabled=no }}'
        ),
    ]


def _pool(inside: ipaddress.IPv4Interface) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """The addresses for guests: all but the router's own, which must be the network's first or last one."""
    first, last = inside.network[1], inside.network[-2]
    if inside.ip == first:
        return inside.network[2], last
    if inside.ip == last:
        return first, inside.network[-3]
    raise field_fault("network", "the router's address must be the first or the last of its network")


def _new_hotspot_away(facts: Facts) -> list[str]:
    marked = f"[find comment={quoted(MARK)}]"
    return [
        '/ip hotspot remove [find name="bawaba"]',
        '/ip dhcp-server remove [find name="bawaba"]',
        f"/ip dhcp-server network remove {marked}",
        '/ip pool remove [find name="bawaba"]',
        f"/ip firewall nat remove {marked}",
        f"/ip address remove {marked}",
    ]


def _tunnel(tunnel: Tunnel) -> list[str]:
    peer = (
        f"/interface wireguard peers add interface=bawaba-wg public-key={quoted(tunnel.manager_public)} "
        f"endpoint-address={tunnel.endpoint_host} endpoint-port={tunnel.endpoint_port} "
        f"allowed-address={tunnel.manager_ip}/32 persistent-keepalive=25s comment={quoted(MARK)}"
    )
    commands: Sequence[str] = (
        f"/interface wireguard add name=bawaba-wg private-key={quoted(tunnel.router_private)} comment={quoted(MARK)}",
        peer,
        f"/ip address add address={tunnel.router_ip}/16 interface=bawaba-wg comment={quoted(MARK)}",
    )
    return [
        "# A tunnel to the manager: it is opened from here, so it works behind CGNAT. It needs RouterOS 7.",
        ':if ([:pick [/system resource get version] 0 1] = "6") do={ :error "WireGuard needs RouterOS 7." }',
        *_tunnel_away(),
        *(f"[[:parse {quoted(command)}]]" for command in commands),
    ]


def _tunnel_away() -> list[str]:
    return [
        '/ip address remove [find interface="bawaba-wg"]',
        _if_known('/interface wireguard peers remove [find interface="bawaba-wg"]'),
        _if_known('/interface wireguard remove [find name="bawaba-wg"]'),
    ]


def _check_address(field: str, text: str) -> None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError as error:
        raise field_fault(field, "must be an IPv4 address, like 192.168.88.10") from error
