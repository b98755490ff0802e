"""The one nftables table of a captive gateway, as text.

One session is one 32-bit mark. `client` says which device has which, and so lets packets out; `live` lets answers
back in; `up` and `down` only count. There is no "established, accept" in front of these look-ups: taking the elements
away stops a running transfer with the next packet, in both directions, IPv4 and IPv6, without touching conntrack.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

from bawaba.gateway.settings import Settings

TABLE = "inet bawaba"
DOWN_HANDLE = "ba00"  # our HTB on the guests' side, and the one towards the internet
UP_HANDLE = "ba01"

# Where guests never get to: the owner's networks, the provider's, and what is no network at all.
PRIVATE4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/3",
)  # fmt: skip
PRIVATE6 = ("::/8", "fc00::/7", "fe80::/10", "ff00::/8")

MAPS = ("client", "cap", "cap_up", "cap_down", "cls_up", "cls_down", "trusted")
SETS = """
	set made { type mark; }
	map client { type ether_addr : mark; size 65536; flags timeout, dynamic; }
	set live { type mark; size 65536; flags timeout, dynamic; }
	set up { type mark; size 65536; counter; }
	set down { type mark; size 65536; counter; }
	set about { type mark; size 65536; }
	map cap { type mark : quota; size 65536; }
	map cap_up { type mark : quota; size 65536; }
	map cap_down { type mark : quota; size 65536; }
	map cls_up { type mark : classid; size 65536; }
	map cls_down { type mark : classid; size 65536; }
	map trusted { type ether_addr : mark; size 65536; }
	set blocked { type ether_addr; size 65536; }
	set garden4 { type ipv4_addr . inet_proto . inet_service; size 65536; flags interval; }
	set garden6 { type ipv6_addr . inet_proto . inet_service; size 65536; flags interval; }
	set named4 { type ipv4_addr; size 65536; }
	set named6 { type ipv6_addr; size 65536; }
	set seen4 { type ether_addr . ipv4_addr; size 65536; flags dynamic, timeout; timeout 10m; }
	set seen6 { type ether_addr . ipv6_addr; size 65536; flags dynamic, timeout; timeout 10m; }
	set dnsrate { type ether_addr; size 65536; flags dynamic, timeout; timeout 1m; }
"""

# Prerouting. A connection that a browser kept open to the portal from before it was let in is reset here, because only
# before its destination is rewritten the reset bears the address that the browser knows.
IDENTIFY = """
	chain identify {
		type filter hook prerouting priority mangle; policy accept;
		iifname != $LAN return
		ether saddr @blocked drop
		ip saddr $LAN4 update @seen4 { ether saddr . ip saddr }
		ip6 saddr $LAN6 update @seen6 { ether saddr . ip6 saddr }
		meta mark set 0
		meta mark set ether saddr map @client
		meta mark set ether saddr map @trusted
		meta mark != 0 tcp dport 80 ip daddr != $PORTAL ct status dnat reject with tcp reset
	}
	chain to_portal_or_dns {
		type nat hook prerouting priority dstnat; policy accept;
		iifname != $LAN return
		udp dport 53 redirect to :53
		tcp dport 53 redirect to :53
		ip daddr $PORTAL tcp dport 80 dnat ip to $PORTAL:$PORT
		meta mark != 0 return
		ip daddr $PORTAL return
		meta l4proto { tcp, udp } ip daddr . ip protocol . th dport @garden4 return
		ip daddr @named4 return
		meta nfproto ipv4 tcp dport 80 dnat ip to $PORTAL:$PORT
	}
	chain outward {
		type nat hook postrouting priority srcnat; policy accept;
		oifname $WAN ip saddr $LAN4 masquerade
		oifname $WAN ip6 saddr fc00::/7 masquerade
	}
"""

# A limit that is used up takes the session's permission with it, so that the phone meets the portal again at once.
FORWARD = """
	chain through {
		type filter hook forward priority filter; policy accept;
		$MGMT_FORWARD
		iifname $LAN oifname $WAN jump from_guest
		iifname $WAN oifname $LAN jump to_guest
		iifname $LAN goto refuse
		oifname $LAN drop
	}
	chain from_guest {
		meta nfproto ipv4 ip saddr != $LAN4 drop
		meta nfproto ipv6 ip6 saddr != $LAN6 drop
		meta l4proto { tcp, udp } ip daddr . ip protocol . th dport @garden4 accept
		meta l4proto { tcp, udp } ip6 daddr . ip6 nexthdr . th dport @garden6 accept
		ip daddr @named4 accept
		ip6 daddr @named6 accept
		meta mark 0 goto refuse
		ip daddr $PRIVATE4 goto refuse
		ip6 daddr $PRIVATE6 goto refuse
		meta mark != @live goto lost
		ct mark set meta mark
		quota name meta mark map @cap_up goto spent
		quota name meta mark map @cap goto spent
		meta priority set meta mark map @cls_up
		meta mark @up accept
		goto refuse
	}
	chain to_guest {
		meta l4proto { tcp, udp } ip saddr . ip protocol . th sport @garden4 ct state established accept
		meta l4proto { tcp, udp } ip6 saddr . ip6 nexthdr . th sport @garden6 ct state established accept
		ip saddr @named4 ct state established accept
		ip6 saddr @named6 ct state established accept
		meta mark set ct mark
		meta mark != @live drop
		quota name meta mark map @cap_down goto spent_down
		quota name meta mark map @cap goto spent_down
		meta priority set meta mark map @cls_down
		meta mark @down accept
		drop
	}
	chain spent {
		delete @live { meta mark }
		goto lost
	}
	chain spent_down {
		delete @live { meta mark }
		drop
	}
	chain lost {
		delete @client { ether saddr : meta mark }
		goto refuse
	}
	chain refuse {
		meta l4proto tcp reject with tcp reset
		limit rate 200/second reject with icmpx admin-prohibited
		drop
	}
"""

# The guests' side of the box itself. Its other interfaces are the owner's business, and stay as they are.
INPUT = """
	chain to_box {
		type filter hook input priority filter; policy accept;
		iifname != $LAN accept
		udp dport { 67, 547 } accept
		meta l4proto { tcp, udp } th dport 53 meta mark 0 update @dnsrate { ether saddr limit rate over 30/second burst 60 packets } drop
		udp dport 53 accept
		tcp dport 53 accept
		$PORTAL_INPUT
		icmp type echo-request limit rate 50/second accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, echo-request, mld-listener-report, mld2-listener-report } accept
		ct direction reply ct state established,related accept
		goto refuse
	}
"""  # noqa: E501

PORTAL_PORTS = "tcp dport { 80, 443, $PORT }"
PORTAL_HERE = f"ip daddr $PORTAL {PORTAL_PORTS} accept"
PORTAL_BEHIND = f"""iifname $LAN oifname $MGMT ip daddr $PORTAL {PORTAL_PORTS} accept
		iifname $MGMT oifname $LAN accept"""


def table(settings: Settings) -> str:
    """The whole table, with nothing in its sets."""
    text = SETS + IDENTIFY + FORWARD + INPUT
    text = text.replace("$PORTAL_INPUT", "" if settings.mgmt else PORTAL_HERE)
    text = text.replace("$MGMT_FORWARD", PORTAL_BEHIND if settings.mgmt else "")
    words = {
        "$PRIVATE4": braces(PRIVATE4),
        "$PRIVATE6": braces(PRIVATE6),
        "$LAN4": braces(settings.lan4),
        "$LAN6": braces(settings.lan6),
        "$LAN": quoted(settings.lan),
        "$WAN": quoted(settings.wan),
        "$MGMT": quoted(settings.mgmt or ""),
        "$PORTAL": str(ipaddress.IPv4Address(settings.portal_ip)),
        "$PORT": str(settings.portal_port),
    }
    for word in words:  # longer names stand before those that they begin with
        text = text.replace(word, words[word])
    return f"table {TABLE} {{{text}}}\n"


def version(settings: Settings) -> str:
    """A name for exactly this ruleset with these settings."""
    return hashlib.sha256(table(settings).encode()).hexdigest()[:12]


def braces(items: Iterable[str]) -> str:
    """A set of values, as nft writes it."""
    return "{ " + ", ".join(items) + " }"


def quoted(name: str) -> str:
    """An interface's name; `Settings` let nothing through that could end the quotes."""
    return f'"{name}"'
