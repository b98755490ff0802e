"""Letting a device in, and putting it out so that it stays out.

A session is held by a user of its own on the router, bound to the device's MAC, with what the session may use; nobody
knows its password. The router ends it at its limits while we are away; putting the device out removes the user too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bawaba.routers.driver import (
    Client,
    Grant,
    Handoff,
    Reason,
    Result,
    RouterRejected,
    RouterSession,
    Unsupported,
)
from bawaba.routers.drivers.routeros import boot, words
from bawaba.routers.drivers.routeros.box import (
    ACTIVE,
    ACTIVE_NAMES,
    BINDING,
    COOKIE,
    HOST,
    USER,
    USER_NAMES,
    Box,
    answer_error,
    understood,
)
from bawaba.routers.drivers.routeros.client import LIST_S, Row, command, raised, reading
from bawaba.routers.drivers.routeros.refusals import is_rejected
from bawaba.routers.drivers.routeros.watching import session_of

TRIES, TRY_AGAIN_S = 4, 1.0  # a device is known once it has sent a packet through the hotspot
CLOCK_S = 5  # how far a session's time may be from what it should be
ASKED_ONE_BY_ONE = 50  # users; for more the whole list is read once
BYTE_LIMITS = ("limit-bytes-total", "limit-bytes-in", "limit-bytes-out")


@dataclass
class Place:
    """A device as the router sees it now, and what is there of the session that it is to have."""

    ip: str
    mac: str | None
    user: Row | None = None
    online: list[Row] = field(default_factory=list)  # of this session, wherever
    others: list[Row] = field(default_factory=list)  # of other users, on this device

    @property
    def is_online(self) -> bool:
        """Whether this session is on, on this device."""
        return any(row.get("address") == self.ip for row in self.online)


async def admit(box: Box, grant: Grant, client: Client) -> RouterSession | Handoff:
    """Let a device in, or give the session that is on what it may use from now on."""
    words.check(grant, box.clock.now())
    with box.for_a_guest():
        place = await _looked(box, grant, client)
        tag = words.Tag(box.install, grant.key, grant.rev, box.now_ms())
        password = grant.secret or secrets.token_hex(12)
        made = place.user is None
        if place.is_online and place.user is not None and _is_as(box, place.user, grant):
            return _told(box, place)
        again = await _written(box, grant, tag, place, password)
        try:
            await _alone(box, place, again)
            if box.options.sign_in == "browser" and not place.is_online:
                return await _handoff(box, grant, place, password, client)
            if again or not place.is_online:
                await _log_in(box, grant, place, password)
        except LoginNotAllowed:
            return await _handoff(box, grant, place, password, client)
        except RouterRejected:
            if made:
                await _forget(box, grant)
            raise
        return await _seen(box, grant, place)


class LoginNotAllowed(RouterRejected):
    """This hotspot lets nobody in by the API."""


async def _looked(box: Box, grant: Grant, client: Client) -> Place:
    """See who and where the device is. Raises `RouterRejected` where it is blocked, or another than it says."""
    name = words.session_user(box.install, grant.key)
    device = _device_queries(client)
    answers = await box.api.ask_all(
        [
            reading(
                BINDING, "type,disabled,mac-address", *([f"?mac-address={client.mac.upper()}"] if client.mac else [])
            ),
            reading(HOST, "mac-address,address", *device),
            reading(ACTIVE, ACTIVE_NAMES, *device, f"?user={name}", *(["?#|"] if device else [])),
            reading(USER, USER_NAMES, f"?name={name}"),
            boot.UPTIME,
            boot.QUESTION,
        ]
    )
    bindings, hosts, active, users, resource = (raised(answer).rows for answer in answers[:-1])
    with understood():
        host = _host(hosts, client)
        mac = words.mac(host.get("mac-address")) if host else client.mac
        ip = (host or {}).get("address") or client.ip
        if not ip:
            raise RouterRejected("the router has not seen this device", Reason.UNKNOWN_CLIENT)
        if any(_blocks(row, mac) for row in bindings):
            raise RouterRejected("the device is blocked")
        place = Place(ip, mac)
        place.online = [row for row in active if row.get("user") == name]
        place.others = [row for row in active if row.get("user") != name and _is_of(row, place)]
        place.user = next((row for row in users if box.tag_of(row) is not None), None)
        uptime = resource[0].get("uptime", "")
    await _older_life_away(box, place, await boot.boot_of(box, uptime, answers[-1]))
    return place


def _device_queries(client: Client) -> list[str]:
    by = [f"?mac-address={client.mac.upper()}"] if client.mac else []
    by += [f"?address={client.ip}"] if client.ip else []
    if not by:
        raise RouterRejected("a device needs a MAC or an address", Reason.UNKNOWN_CLIENT)
    return by if len(by) == 1 else [*by, "?#|"]


def _host(hosts: Sequence[Row], client: Client) -> Row | None:
    """The device's own row, at the address it says rather than at an older one."""
    mine = [row for row in hosts if client.mac in (None, words.mac(row.get("mac-address")))]
    if hosts and not mine:
        raise RouterRejected(f"another device has the address {client.ip}", Reason.WRONG_MAC)
    return next((row for row in mine if row.get("address") == client.ip), mine[0] if mine else None)


def _blocks(binding: Row, mac: str | None) -> bool:
    here = words.mac(binding.get("mac-address")) == mac
    return here and binding.get("type") == "blocked" and not words.is_true(binding.get("disabled"))


def _is_of(active: Row, place: Place) -> bool:
    return active.get("address") == place.ip or words.mac(active.get("mac-address")) == place.mac


async def _older_life_away(box: Box, place: Place, booted: int) -> None:
    """A user from before a restart has counters that may have lost their last bytes: a new one counts from zero."""
    tag = box.tag_of(place.user) if place.user is not None else None
    if place.user is None or tag is None or tag.epoch >= booted or place.online:
        return
    await box.remove(USER, [place.user[".id"]])
    place.user = None


def _is_as(box: Box, user: Row, grant: Grant) -> bool:
    tag = box.tag_of(user)
    return tag is not None and tag.rev == grant.rev and not words.is_true(user.get("disabled"))


async def _written(box: Box, grant: Grant, tag: words.Tag, place: Place, password: str) -> bool:
    """Bring the session's user up to date. True when a session that is on must log in again for it: a running session
    keeps the speed and the bytes that it began with."""
    await box.need_profiles([grant.limits])
    values = {
        "profile": words.profile_name(grant.limits),
        "password": password,
        "mac-address": (place.mac or "").upper(),
        "server": box.options.server or "all",
        "email": words.mark(box.install, "session"),
        "disabled": "no",
    }
    if place.user is None:
        name = words.session_user(box.install, grant.key)
        limits = words.limits_from(grant.limits, words.Used(), box.clock.now())
        await _write(box, grant, "add", {"name": name, **values, **limits, "comment": str(tag)})
        return False
    before = box.tag_of(place.user)
    assert before is not None
    if before.rev != grant.rev:  # asked twice for the same, it allows no more than once
        used = box.counting.used(place.user, place.online)
        values |= words.limits_from(grant.limits, _counted(box, before, used), box.clock.now())
        values["comment"] = str(words.Tag(box.install, grant.key, grant.rev, before.epoch))
    await _write(box, grant, "set", {".id": place.user[".id"], **values})
    return _needs_new_session(place, values)


def _counted(box: Box, tag: words.Tag, used: words.Used) -> words.Used:
    """From where new limits count: the last reading that was told, else what is used now."""
    epoch, up, down = box.told.get(tag.key, (0, 0, 0))
    return words.Used(used.seconds, min(up, used.up), min(down, used.down)) if epoch == tag.epoch else used


def _needs_new_session(place: Place, values: dict[str, str]) -> bool:
    if not place.is_online or place.user is None:
        return False
    names = ("profile", *(name for name in BYTE_LIMITS if name in values))
    return any((place.user.get(name) or "0") != values[name] for name in names)


async def _write(box: Box, grant: Grant, verb: str, values: dict[str, str]) -> None:
    """Write the user; once more when its profile had been taken away meanwhile."""
    words_ = command(f"{USER}/{verb}", values)
    answer = (await box.api.ask_all([words_]))[0]
    if is_rejected(answer_error(answer), Reason.BAD_VALUE) and box.profiles:
        box.profiles.clear()
        await box.need_profiles([grant.limits])
        answer = (await box.api.ask_all([words_]))[0]
    if (error := answer_error(answer)) is not None:
        raise error


async def _alone(box: Box, place: Place, again: bool) -> None:
    """End what else is on: other users on this device, and this session on other devices or to be begun anew."""
    elsewhere = [row for row in place.online if again or row.get("address") != place.ip]
    if not place.others and not elsewhere:
        return
    names = {row.get("user", "") for row in place.others}
    ours = [name for name in names if words.key_of_user(box.install, name) is not None]
    cookies, users = await box.api.read(
        reading(COOKIE, ".id,user,mac-address"),
        reading(USER, ".id,name", *_any_of("name", ours or [""])),
    )
    with understood():
        await box.remove(USER, [row[".id"] for row in users if row.get("name") in ours], "set", disabled="yes")
        stale = [
            row[".id"] for row in cookies if row.get("user") in names and words.mac(row["mac-address"]) == place.mac
        ]
        await box.remove(COOKIE, stale)
        await box.remove(ACTIVE, [row[".id"] for row in (*place.others, *elsewhere)])


def _any_of(name: str, values: Sequence[str]) -> list[str]:
    """The query words for any of these values."""
    return [f"?{name}={value}" for value in values] + ["?#|"] * (len(values) - 1)


async def _log_in(box: Box, grant: Grant, place: Place, password: str) -> None:
    """Log the device in at the router. One that it has not seen yet may be on its way."""
    arguments = {
        "user": words.session_user(box.install, grant.key),
        "password": password,
        "ip": place.ip,
        "mac-address": (place.mac or "").upper(),
    }
    for left in range(TRIES - 1, -1, -1):
        error = answer_error((await box.api.ask_all([command(f"{ACTIVE}/login", arguments)]))[0])
        if error is None:
            return
        if isinstance(error, Unsupported) or "login method" in str(error):
            raise LoginNotAllowed(str(error)) from error
        if not is_rejected(error, Reason.UNKNOWN_CLIENT, Reason.BUSY) or left == 0:
            raise error
        await asyncio.sleep(TRY_AGAIN_S)


async def _seen(box: Box, grant: Grant, place: Place) -> RouterSession:
    """The session as it is now; one whose time does not follow its new limit is begun anew by the next admission."""
    name = words.session_user(box.install, grant.key)
    place.online, users = await box.api.read(
        reading(ACTIVE, ACTIVE_NAMES, f"?user={name}"), reading(USER, USER_NAMES, f"?name={name}")
    )
    place.user = next((row for row in users if box.tag_of(row) is not None), None)
    if not place.is_online or place.user is None:
        raise RouterRejected("the router said yes, and the device is not online")
    return _told(box, place)


def _told(box: Box, place: Place) -> RouterSession:
    assert place.user is not None
    tag = box.tag_of(place.user)
    assert tag is not None
    with understood():
        here = [row for row in place.online if row.get("address") == place.ip]
        return session_of(box, tag, place.user, here)


async def _forget(box: Box, grant: Grant) -> None:
    """A user whom the router then did not let in is of no use."""
    users = await box.read_user(f"?name={words.session_user(box.install, grant.key)}")
    with understood():
        await box.remove(USER, [row[".id"] for row in users if box.tag_of(row) is not None])


async def _handoff(box: Box, grant: Grant, place: Place, password: str, client: Client) -> Handoff:
    """The form that the guest's browser posts to the router. Only this device can use what is in it."""
    profiles, servers = await box.api.read(
        reading("/ip/hotspot/profile", "name,dns-name,hotspot-address,login-by"),
        reading("/ip/hotspot", "name,profile,disabled"),
    )
    with understood():
        in_use = [row.get("profile") for row in servers if box.options.server in (None, row.get("name"))]
        profile = next((row for row in profiles if row.get("name") in in_use), {})
    host = profile.get("dns-name") or profile.get("hotspot-address") or ""
    if not host or host == "0.0.0.0":
        raise Unsupported("the hotspot has no address that a form could be sent to")
    scheme = "https" if "https" in profile.get("login-by", "").split(",") else "http"
    fields = {
        "username": words.session_user(box.install, grant.key),
        "password": password,
        "dst": client.site_ref.get("dst", ""),
        "popup": "false",
    }
    return Handoff(f"{scheme}://{host}/login", "POST", fields)


# --- the other way


@dataclass
class Leaving:
    """Who is to go: user rows that are removed, names whose sessions end, and what of them is on."""

    users: list[Row]
    online: list[Row]
    cookies: list[Row]


async def kick(box: Box, target: RouterSession | Client) -> RouterSession | None:
    """End a device's session. It is out for good: nothing is left by which the router would know it again."""
    client = target if isinstance(target, Client) else target.client
    key = None if isinstance(target, Client) else target.key
    leaving = await _of_key(box, key, client) if key is not None else await _of_device(box, client)
    if not leaving.users and not leaving.online:
        return None
    last = await _put_out(box, leaving)
    tag = box.tag_of(leaving.users[0]) if leaving.users else None
    with understood():
        if tag is None:
            row = leaving.online[0]
            lost = words.key_of_user(box.install, row.get("user", ""))
            tag = words.Tag(box.install, key or lost or row.get("user", ""), 0)
            return _last_of(box, tag, None, leaving.online, key or lost)
        return _last_of(box, tag, last.get(leaving.users[0][".id"], leaving.users[0]), leaving.online, tag.key, leaving)


def _last_of(
    box: Box, tag: words.Tag, user: Row | None, online: Sequence[Row], key: str | None, leaving: Leaving | None = None
) -> RouterSession:
    """What to book at the end: the user's own counters once it is logged out, never less than were seen before."""
    session = session_of(box, tag, user, [] if user is not None else online)
    before = box.counting.used(leaving.users[0], online) if leaving is not None else words.Used()
    row = online[0] if online else user or {}
    return RouterSession(
        id=session.id,
        key=key,
        login=None,
        client=Client(words.mac(row.get("mac-address")), row.get("address")),
        started=None,
        uptime_s=max(session.uptime_s, before.seconds),
        up=max(session.up, before.up),
        down=max(session.down, before.down),
        epoch=tag.epoch,
        raw={"ended": "kicked"},
    )


async def _of_key(box: Box, key: str, client: Client) -> Leaving:
    """What there is of a session by its key; of a card that lies on the router, its session on this device."""
    name, mark = words.session_user(box.install, key), words.mark(box.install, key)
    active, users, cookies = await box.api.read(
        reading(ACTIVE, ACTIVE_NAMES),
        reading(USER, USER_NAMES, f"?name={name}", f"?email={mark}", "?#|"),
        reading(COOKIE, ".id,user,mac-address"),
        deadline_s=LIST_S,
    )
    mine = [row for row in users if (tag := box.tag_of(row)) is not None and tag.key == key]
    held = [row for row in mine if row.get("name") == name]
    cards = {row.get("name") for row in mine if row not in held}
    online = [
        row
        for row in active
        if row.get("user") == name
        or (row.get("user") in cards and client.mac in (None, words.mac(row.get("mac-address"))))
    ]
    macs = {words.mac(row.get("mac-address")) for row in online}
    known = [
        row
        for row in cookies
        if row.get("user") == name or (row.get("user") in cards and words.mac(row.get("mac-address")) in macs)
    ]
    return Leaving(held, online, known)


async def _of_device(box: Box, client: Client) -> Leaving:
    """Whatever lets this device in."""
    device = _device_queries(client)
    active, users, cookies = await box.api.read(
        reading(ACTIVE, ACTIVE_NAMES, *device),
        reading(USER, USER_NAMES, f"?email={words.mark(box.install, 'session')}"),
        reading(COOKIE, ".id,user,mac-address"),
        deadline_s=LIST_S,
    )
    macs = {words.mac(row.get("mac-address")) for row in active} | ({client.mac} if client.mac else set())
    held = [row for row in users if box.tag_of(row) is not None and words.mac(row.get("mac-address")) in macs]
    names = {row.get("user") for row in active}
    on_now = [row for row in held if row.get("name") in names]  # the others' last bytes have yet to be told
    return Leaving(on_now or held[:1], active, [row for row in cookies if words.mac(row.get("mac-address")) in macs])


async def _put_out(box: Box, leaving: Leaving) -> dict[str, Row]:
    """In this order, for the router lets a device that it knows by a cookie in again within a second: the right is
    closed, the cookies go, the session ends, the device is forgotten, and only then the user goes. The users' last rows
    are returned by id."""
    with understood():
        ids = [row[".id"] for row in leaving.users]
        await box.remove(USER, ids, "set", disabled="yes")
        await box.remove(COOKIE, [row[".id"] for row in leaving.cookies])
        await box.remove(ACTIVE, [row[".id"] for row in leaving.online])
        macs = {row.get("mac-address") for row in leaving.online}
        addresses = {row.get("address") for row in leaving.online}
        hosts, users, active = await box.api.read(
            reading(HOST, ".id,mac-address,address", *_any_of("mac-address", sorted(filter(None, macs)) or [""])),
            *([reading(USER, USER_NAMES, *_any_of(".id", ids))] if 0 < len(ids) <= ASKED_ONE_BY_ONE else [_NOBODY]),
            reading(ACTIVE, ".id,address"),
            deadline_s=LIST_S,
        )
        back = {row.get("address") for row in active} & addresses
        await box.remove(
            HOST, [row[".id"] for row in hosts if row.get("mac-address") in macs and row.get("address") not in back]
        )
        await box.remove(USER, ids)
        return {row[".id"]: row for row in users if row.get(".id") in ids}


_NOBODY = reading(USER, USER_NAMES, "?name=")


async def drop(box: Box, keys: Sequence[str]) -> list[Result]:
    """Take rights away, and put out who is on by them. One that is not there is fine."""
    users = await _users_of(box, keys)
    names = {row.get("name") for rows in users.values() for row in rows}
    names |= {words.session_user(box.install, key) for key in keys}
    active, cookies = await box.api.read(
        reading(ACTIVE, ACTIVE_NAMES), reading(COOKIE, ".id,user,mac-address"), deadline_s=LIST_S
    )
    online = [row for row in active if row.get("user") in names]
    leaving = [row for rows in users.values() for row in rows]
    await _put_out(box, Leaving(leaving, online, [row for row in cookies if row.get("user") in names]))
    for row in leaving:
        box.card_keys.pop(row.get("name", ""), None)
    lost = {words.key_of_user(box.install, row.get("user", "")) for row in online}
    return [Result(key, ok=True, changed=bool(users.get(key)) or key in lost) for key in keys]


async def _users_of(box: Box, keys: Sequence[str]) -> dict[str, list[Row]]:
    """Our user rows by key, for these keys."""
    names = ".id,name,comment"
    if len(keys) > ASKED_ONE_BY_ONE:
        (rows,) = await box.api.read(reading(USER, names), deadline_s=LIST_S)
    else:
        queries = [
            (f"?name={words.session_user(box.install, key)}", f"?email={words.mark(box.install, key)}", "?#|")
            for key in keys
        ]
        rows = [row for found in await box.api.read(*(reading(USER, names, *q) for q in queries)) for row in found]
    return _by_key(box, rows, set(keys))


def _by_key(box: Box, rows: Iterable[Row], keys: set[str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        tag = box.tag_of(row)
        if tag is not None and tag.key in keys:
            found.setdefault(tag.key, []).append(row)
    return found
