"""Does one command sentence and says what to answer. Knows no socket."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bawaba.routers.simulators.routeros import queries, rights, versions
from bawaba.routers.simulators.routeros.errors import BAD_LOGIN, NO_RIGHTS, Trap, unknown_parameter
from bawaba.routers.simulators.routeros.router import Call, Router
from bawaba.routers.simulators.routeros.tables import Menu, Row

Sentence = list[str]
READING = frozenset(("print", "getall", "listen"))
PRINT_WORDS = frozenset(
    {
        "detail",
        "stats",
        "terse",
        "brief",
        "value-list",
        "without-paging",
        "from",
        "as-value",
        "interval",
        "once",
        "bytes",
    }
)


@dataclass(slots=True)
class Command:
    """A sentence, taken apart: the command word, its arguments, its queries in order, and its tag."""

    word: str
    arguments: dict[str, str] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    tag: str | None = None

    @classmethod
    def parse(cls, words: Sequence[str]) -> Command:
        """Take a sentence apart; later words win over earlier ones."""
        command = cls(words[0])
        for word in words[1:]:
            if word.startswith("="):
                name, _, value = word[1:].partition("=")
                command.arguments[name] = value
            elif word.startswith("?"):
                command.queries.append(word[1:])
            elif word.startswith(".tag="):
                command.tag = word[5:]
        return command


@dataclass(slots=True)
class Answer:
    """What to send back. `follow` is set where changes go on being sent until cancelled."""

    sentences: list[Sentence]
    follow: Follow | None = None
    close: bool = False


@dataclass(slots=True)
class Follow:
    """A stream of changes of one menu."""

    menu: Menu
    show: Callable[[Any, bool], Sentence | None]


@dataclass(slots=True)
class Login:
    """Who is on a connection, and from where."""

    peer: str
    name: str = ""
    policies: frozenset[str] = frozenset()
    challenge: str = ""

    @property
    def known(self) -> bool:
        """Whether somebody has logged in."""
        return bool(self.name)


def done(**values: str) -> Sentence:
    """The end of an answer."""
    return ["!done", *(f"={name}={value}" for name, value in values.items())]


def refused(trap: Trap) -> list[Sentence]:
    """A `!trap` or several, and the `!done` that always follows."""
    sentences = []
    for message, category in trap.sentences:
        sentences.append(["!trap", *([f"=category={category}"] if category is not None else []), f"=message={message}"])
    return [*sentences, done()]


def execute(router: Router, login: Login, command: Command) -> Answer:
    """Do a command. The caller holds the router's lock."""
    if command.word == "/login":
        return _login(router, login, command.arguments)
    if not login.known:
        return Answer([["!fatal", "not logged in"]], close=True)
    if command.word == "/quit":
        return Answer([["!fatal", "session terminated on request"]], close=True)
    try:
        return _do(router, login, command)
    except Trap as trap:
        if str(trap) == "no such item":
            trap = Trap(router.behaviour.no_such_item, 0)
        return Answer(refused(trap))


def _do(router: Router, login: Login, command: Command) -> Answer:
    path, _, verb = command.word.rpartition("/")
    menu = router.menus.get(path)
    if menu is None:
        raise _no_such_menu(router, command.word, path)
    work = menu.verb(verb)
    if work is None and verb not in READING:
        raise Trap("no such command", 0)
    if rights.needed(path, verb, menu.policies.get(verb)) not in login.policies:
        raise Trap(NO_RIGHTS)
    router.hotspot.look()
    if work is None:
        return _print(router, login, menu, verb, command)
    answer = work(dict(command.arguments))
    router.hotspot.look()
    if isinstance(answer, list):
        return Answer([*(_row(row) for row in answer), done()])
    if answer is not None:
        return Answer([done(ret=answer)])
    return Answer([done()])


def _no_such_menu(router: Router, word: str, path: str) -> Trap:
    """v7 says it twice."""
    if router.version.major < 7:
        return Trap("no such command prefix", 0)
    last = path.rpartition("/")[2] or word.strip("/")
    return Trap(f"no such command or directory ({last})", 0, "no such command prefix")


def _print(router: Router, login: Login, menu: Menu, verb: str, command: Command) -> Answer:
    arguments = dict(command.arguments)
    names = _proplist(arguments.pop(".proplist", None))
    hide = _hides(router, login, arguments)
    follow = verb == "listen" or "follow" in arguments or "follow-only" in arguments
    only = verb == "listen" or "follow-only" in arguments
    count = arguments.pop("count-only", None) is not None
    for word in ("follow", "follow-only"):
        arguments.pop(word, None)
    if menu.path.startswith("/ip/hotspot") and router.uptime_s < router.behaviour.warm_up_s:
        return Answer([*([["!empty"]] if _says_empty(router) else []), done()])
    rows = menu.chosen(arguments) if arguments.get(".id") or arguments.get("numbers") else None
    for name in arguments:
        if name not in PRINT_WORDS:
            raise unknown_parameter(name)
    router.hotspot.settle()
    if count:
        return Answer([done(ret=str(len(_found(menu, rows, command.queries, hide))))])
    sentences = (
        [] if only else [_row(menu.show(row, names, hide=hide)) for row in _found(menu, rows, command.queries, hide)]
    )
    if follow:
        return Answer(sentences, Follow(menu, _follower(menu, names, command.queries, hide)))
    if not sentences and _says_empty(router):
        return Answer([["!empty"], done()])
    return Answer([*sentences, done()])


def _hides(router: Router, login: Login, arguments: dict[str, str]) -> bool:
    """Whether passwords stay hidden: from 7.21 on unless asked for, before it only from who lacks the right."""
    asked = "show-sensitive" in arguments
    if asked and router.version < versions.SHOW_SENSITIVE:
        raise unknown_parameter("show-sensitive")
    arguments.pop("show-sensitive", None)
    if "sensitive" not in login.policies:
        return True
    return router.version >= versions.SHOW_SENSITIVE and not asked


def _proplist(value: str | None) -> frozenset[str] | None:
    return None if not value else frozenset(value.split(","))


def _found(menu: Menu, rows: list[Any] | None, wanted: list[str], hide: bool) -> list[Any]:
    """The rows that pass the queries; one name, or one id, is looked up and not searched for."""
    if rows is None and len(wanted) == 1:
        name, _, value = wanted[0].removeprefix("=").partition("=")
        if name == "name" and value:
            return list(menu.named(value))
    rows = list(menu.rows()) if rows is None else rows
    if not wanted:
        return rows
    return [row for row in rows if queries.matches(wanted, _getter(menu, row, hide))]


def _getter(menu: Menu, row: Any, hide: bool) -> Callable[[str], str | None]:
    def get(name: str) -> str | None:
        getter = menu.getters.get(name)
        return None if getter is None or (hide and name in menu.sensitive) else getter(row)

    return get


def _follower(
    menu: Menu, names: frozenset[str] | None, wanted: list[str], hide: bool
) -> Callable[[Any, bool], Sentence | None]:
    def show(row: Any, gone: bool) -> Sentence | None:
        if gone:
            return ["!re", f"=.id=*{row.number:X}", "=.dead=true"]
        if wanted and not queries.matches(wanted, _getter(menu, row, hide)):
            return None
        return _row(menu.show(row, names, hide=hide))

    return show


def _row(values: Mapping[str, str]) -> Sentence:
    return ["!re", *(f"={name}={value}" for name, value in values.items())]


def _says_empty(router: Router) -> bool:
    chosen = router.behaviour.empty_reply
    return router.version >= versions.EMPTY_REPLY if chosen is None else chosen


# -- logging in


def _login(router: Router, login: Login, arguments: dict[str, str]) -> Answer:
    name = arguments.get("name")
    old = router.version < versions.PLAIN_LOGIN
    if router.behaviour.challenge_login is not None:
        old = router.behaviour.challenge_login
    if "response" in arguments:
        proven = old and bool(login.challenge) and _answers(router, login, arguments)
        return Answer([done()]) if proven and _enter(router, login, name or "", "api") else _bad_login(router)
    if old or (name is None and router.version.major < 7):  # late v6 still sends a challenge, though it takes no answer
        login.challenge = secrets.token_hex(16)
        return Answer([done(ret=login.challenge)])
    if authenticate(router, login, name or "", arguments.get("password", ""), "api"):
        return Answer([done()])
    return _bad_login(router)


def _answers(router: Router, login: Login, arguments: dict[str, str]) -> bool:
    """Whether the MD5 over a zero byte, the password and the challenge is right (RouterOS before 6.43)."""
    user = _user(router, login, arguments.get("name", ""))
    secret = user.values.get("password", "") if user is not None else ""
    bytes_ = b"\0" + secret.encode("utf-8", "surrogateescape") + bytes.fromhex(login.challenge)
    wanted = "00" + hashlib.md5(bytes_, usedforsecurity=False).hexdigest()
    return user is not None and secrets.compare_digest(arguments["response"].encode(), wanted.encode())


def _user(router: Router, login: Login, name: str) -> Row | None:
    """Who may log in by that name from there."""
    for user in router.table("/user").named(name):
        allowed = user.values.get("address", "")
        if user.values.get("disabled") != "true" and (not allowed or _within(login.peer, allowed)):
            return user
    return None


def _within(peer: str, networks: str) -> bool:
    address = ipaddress.ip_address(peer)
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks.split(","))


def authenticate(router: Router, login: Login, name: str, password: str, by: str) -> bool:
    """Whether this name and password may come in from there by `api` or `rest-api`; then `login` knows who it is."""
    user = _user(router, login, name)
    return user is not None and user.values.get("password", "") == password and _enter(router, login, name, by)


def _enter(router: Router, login: Login, name: str, by: str) -> bool:
    user = router.table("/user").named(name)[0]
    groups = router.table("/user/group").named(user.values["group"])
    policies = rights.granted(groups[0].values.get("policy", "")) if groups else frozenset()
    if by not in policies:
        return False
    login.name, login.policies = name, policies
    router.log("system,info,account", f"user {name} logged in from {login.peer} via {by}")
    return True


def _bad_login(router: Router) -> Answer:
    message = BAD_LOGIN if router.version >= versions.PLAIN_LOGIN else "cannot log in"
    if router.behaviour.login_failure == "fatal":
        return Answer([["!fatal", message]], close=True)
    return Answer(refused(Trap(message)))


def record(router: Router, command: Command, *, was_done: bool) -> None:
    """Remember a command for whoever asked for it."""
    if router.calls.maxlen:
        router.calls.append(Call(command.word, dict(command.arguments), was_done))
