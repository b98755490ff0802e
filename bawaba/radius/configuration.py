"""FreeRADIUS 3.2's configuration, worked out whole from our routers: it needs none of the files it came with.

It works with Debian 12's 3.2.1. Every question goes to us by rlm_rest over loopback; where we do not answer, nothing is
answered, so that the NAS tries again or asks its spare.

On UDP a Response Authenticator can be forged by an MD5 collision (Blast-RADIUS, CVE-2024-3596). What holds against it
is the Message-Authenticator: requests without it are dropped unless a router's option says otherwise, and every answer
carries one, first among its attributes, which 3.2.1 does not do by itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bawaba.core.errors import Invalid

MAIN, CLIENTS, DICTIONARY = "radiusd.conf", "clients.conf", "dictionary"
ASK_S = 3.0  # tell the NAS to wait that long too: RouterOS's own 300 ms are too few
IDLE_S = 4  # we close a connection after 5 s
CHILLI_WORDS = """\
# CoovaChilli's upper words of its quotas, which FreeRADIUS does not know: without them 10 GiB would be 2 GiB.
BEGIN-VENDOR	ChilliSpot
ATTRIBUTE	ChilliSpot-Max-Input-Gigawords		21	integer
ATTRIBUTE	ChilliSpot-Max-Output-Gigawords		22	integer
ATTRIBUTE	ChilliSpot-Max-Total-Gigawords		23	integer
END-VENDOR	ChilliSpot
"""
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/-]{0,252}|::[0-9A-Fa-f:/]*")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Nas:
    """A router that asks. `sources` are the addresses or networks that its packets come from."""

    id: int
    name: str
    sources: Sequence[str]
    secret: str = field(repr=False)
    message_authenticator: bool = True

    def __post_init__(self) -> None:
        for source in self.sources:
            if not _SOURCE.fullmatch(source):
                raise Invalid(fields={f"router {self.id}": ["its address must be an IP address, a network or a name"]})
        if not self.secret.isprintable() or "\\" in self.secret:  # 3.2.1 reads \\ as two
            raise Invalid(fields={f"router {self.id}": ["its secret holds a backslash, or what cannot be typed"]})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration is made of. `user` is whom FreeRADIUS becomes after its start; None: stays who it is."""

    url: str
    password: str = field(repr=False)
    nases: Sequence[Nas]
    listen: str = "0.0.0.0"
    auth_port: int = 1812
    acct_port: int = 1813
    log_folder: str = "/var/log/freeradius"
    user: str | None = None

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.listen)
        except ValueError as error:
            raise Invalid(fields={"listen": ["must be an address like 192.168.88.2"]}) from error
        if self.user is not None and not _USER.fullmatch(self.user):
            raise Invalid(fields={"user": ["must be the name of a user"]})


def files(wanted: Wanted) -> dict[str, str]:
    """Every file of it, by its name in FreeRADIUS's folder."""
    return {MAIN: _main(wanted), CLIENTS: _clients(wanted.nases), DICTIONARY: CHILLI_WORDS}


def _clients(nases: Iterable[Nas]) -> str:
    """Who may ask: the secret says which router it is, whatever the packet says of itself."""
    parts = ["# Written by `bawaba radius config`: each change of a RADIUS router is written here by it again.\n"]
    for nas in nases:
        signed = "yes" if nas.message_authenticator else "no"
        for place, source in enumerate(nas.sources):
            parts.append(
                f"\n# {_comment(nas.name)}\n"
                f"client bawaba-{nas.id}-{place} {{\n"
                f"\tipaddr = {source}\n"
                f"\tsecret = {quoted(nas.secret)}\n"
                f"\tshortname = {nas.id}\n"
                f"\trequire_message_authenticator = {signed}\n"
                "\tnas_type = other\n"
                "}\n"
            )
    return "".join(parts)


def quoted(text: str) -> str:
    """A text without backslashes in FreeRADIUS's single quotes, in which nothing is expanded."""
    return "'" + text.replace("'", "\\'") + "'"


def _comment(text: str) -> str:
    return " ".join(text.split())


def _main(wanted: Wanted) -> str:
    return f"""\
# Written by `bawaba radius config`, which can put back what was here (--undo). The whole of it: no other file is read
# but {CLIENTS} and {DICTIONARY}.
name = freeradius
prefix = /usr
localstatedir = /var
raddbdir = ${{confdir}}
logdir = {wanted.log_folder}
run_dir = /run/freeradius

hostname_lookups = no
max_request_time = 30
# A request that was left unanswered would be ignored for ever when the NAS sends it again: with 0 it is asked anew. One
# whose answer got lost is asked twice then, and says the same twice: the same device goes on with the same session.
cleanup_delay = 0
max_requests = 65536
correct_escapes = yes
proxy_requests = no

log {{
	destination = files
	file = ${{logdir}}/radius.log
	auth = no # a User-Name is a card's code
}}

security {{
{_identity(wanted.user)}	max_attributes = 200
	reject_delay = 0 # a NAS that waits 300 ms would call us dead; who guesses is slowed down by Bawaba itself
	status_server = yes
}}

thread pool {{
	start_servers = 4
	max_servers = 32
	min_spare_servers = 2
	max_spare_servers = 16
	max_requests_per_server = 0
}}

$INCLUDE ${{confdir}}/{CLIENTS}

modules {{
	always reject {{
		rcode = reject
	}}
	always handled {{
		rcode = handled
	}}
	rest {{
		connect_uri = "{wanted.url}"
		connect_timeout = 1.0
{_question("authorize", "authorize", wanted)}{_question("accounting", "accounting", wanted)}\
		pool {{
			start = 0
			min = 0
			max = ${{thread[pool].max_servers}}
			spare = ${{thread[pool].max_spare_servers}}
			uses = 0
			retry_delay = 1
			lifetime = 0
			idle_timeout = {IDLE_S}
		}}
	}}
}}

server bawaba {{
{_listen("auth", wanted.listen, wanted.auth_port)}{_listen("acct", wanted.listen, wanted.acct_port)}\
	authorize {{
		update reply {{
			&Message-Authenticator := 0x00
		}}
		if (&EAP-Message) {{
			reject
		}}
		rest {{
			fail = 1
			reject = 1
			userlock = 1
			invalid = 1
			notfound = 1
		}}
		# No answer of ours: the NAS asks again, or its spare. A refusal would tell a guest who has paid that his code
		# is wrong.
		if (!&control:Auth-Type) {{
			update control {{
				&Response-Packet-Type := Do-Not-Respond
			}}
			handled
		}}
	}}
	authenticate {{
	}}
	preacct {{
	}}
	accounting {{
		rest
	}}
}}
"""


def _identity(user: str | None) -> str:
    return f"\tuser = {user}\n\tgroup = {user}\n" if user else ""


def _question(section: str, path: str, wanted: Wanted) -> str:
    """One of rlm_rest's sections. Which NAS asks is in the address: it follows from the client's secret."""
    return f"""\
		{section} {{
			uri = "${{..connect_uri}}/api/radius/%{{client:shortname}}/{path}"
			method = 'post'
			body = 'json'
			timeout = {ASK_S}
			auth = 'basic'
			username = "freeradius"
			password = "{wanted.password}"
			require_auth = yes
		}}
"""


def _listen(kind: str, address: str, port: int) -> str:
    word = "ipv6addr" if ":" in address else "ipaddr"
    return f"\tlisten {{\n\t\ttype = {kind}\n\t\t{word} = {address}\n\t\tport = {port}\n\t}}\n"
