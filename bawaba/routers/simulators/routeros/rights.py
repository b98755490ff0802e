"""Group policies: who may do what (RouterOS manual, User, "Policies")."""

from __future__ import annotations

from bawaba.routers.simulators.routeros.errors import BadValue

POLICIES = (
    "local", "telnet", "ssh", "ftp", "reboot", "read", "write", "policy", "test", "winbox", "password", "web", "sniff",
    "sensitive", "api", "romon", "rest-api",
)  # fmt: skip
GROUPS = {
    "read": "local,telnet,ssh,reboot,read,test,winbox,password,web,sniff,sensitive,api,romon,rest-api",
    "write": "local,telnet,ssh,reboot,read,write,test,winbox,password,web,sniff,sensitive,api,romon,rest-api",
    "full": ",".join(POLICIES),
}
ACCOUNT_MENUS = ("/user", "/user/group", "/user/active", "/user/ssh-keys")


def policy(value: str) -> str:
    """A list of policies, those that are not granted with an exclamation mark, in the order in which they are shown."""
    given = {}
    for word in value.split(","):
        name = word.removeprefix("!")
        if name not in POLICIES:
            raise BadValue
        given[name] = not word.startswith("!")
    return ",".join(name if given.get(name) else f"!{name}" for name in POLICIES)


def granted(shown: str) -> frozenset[str]:
    """The policies that a group grants."""
    return frozenset(name for name in shown.split(",") if name and not name.startswith("!"))


def needed(path: str, verb: str, own: str | None) -> str:
    """The policy that a command needs beside `api`."""
    if own is not None:
        return own
    if verb in ("print", "getall", "listen", "monitor-traffic"):
        return "read"
    return "policy" if path in ACCOUNT_MENUS else "write"
