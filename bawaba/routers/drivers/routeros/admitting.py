"""Letting a device in.

A session is held by a user of its own on the router, bound to the device's MAC, with what the session may use; nobody
knows its password. The router ends it at its limits while we are away.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from bawaba.routers.driver import (
    Client,
    Grant,
    Handoff,
    Reason,
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
    any_of,
    device_queries,
    understood,
)
from bawaba.routers.drivers.routeros.client import Row, command, raised, reading
from bawaba.routers.drivers.routeros.refusals import is_rejected
from bawaba.routers.drivers.routeros.watching import session_of

NO_ADDRESS = "0.0.0.0"
PASSWORD_LENGTH = 24
CLOCK_S = 5  # how far a session's time may be from what it should be
TRIES, TRY_AGAIN_S = 4, 1.0  # a device is known once it has sent a packet through the hotspot
BYTE_LIMITS = ("limit-bytes-total", "limit-bytes-in", "limit-bytes-out")


@dataclass
class Place:
    """A device as the router sees it now, and what is there of the session that it is to have."""

    ip: str
    mac: str | None
    inner_ip: str | None = None  # what the hotspot gave a device that came with an address of its own
    boot: int = 0
    user: Row | None = None
    online: list[Row] = field(default_factory=list)  # of this session, wherever
    others: list[Row] = field(default_factory=list)  # of other users, on this device

    @property
    def is_online(self) -> bool:
        """Whether this session is on, on this device."""
        return any(map(self.has, self.online))

    def has(self, row: Row) -> bool:
        """Whether this is on the device, at the address that it has now."""
        return row.get("address") in (self.ip, self.inner_ip or self.ip)


async def admit(box: Box, grant: Grant, client: Client) -> RouterSession | Handoff:
    """Let a device in, or give the session that is on what it may use from now on."""
    words.check(grant, box.clock.now())
    with box.for_a_guest():
        place = await _looked(box, grant, client)
        made = place.user is None
        if place.is_online and place.user is not None and _is_as(box, place.user, grant):
            return _told(box, place)
        tag = _tag(box, grant, place)
        password = _password(box, tag)
        again = await _written(box, grant, tag, place, password)
        try:
            await _alone(box, place, again)
            if box.options.sign_in == "browser" and not place.is_online:
                raise LoginNotAllowed("guests are let in by their browser")
            if again or not place.is_online:
                await _log_in(box, grant, place, password)
            elif not await _time_follows(box, grant):
                await _alone(box, place, again=True)
                await _log_in(box, grant, place, password)
        except (LoginNotAllowed, NotSeenYet) as error:
            return await _handoff(box, grant, place, password, client, error)
        except RouterRejected:
            if made:
                await _forget(box, grant)
            raise
        return await _seen(box, grant, place)


class LoginNotAllowed(RouterRejected):
    """This hotspot lets nobody in by the API."""


class NotSeenYet(RouterRejected):
    """The hotspot has not seen the device; a form that its browser sends comes through the hotspot by itself."""


async def _looked(box: Box, grant: Grant, client: Client) -> Place:
    """See who and where the device is. Raises `RouterRejected` where it is blocked, or another than it says."""
    name = words.session_user(box.install, grant.key)
    device = device_queries(client)
    answers = await box.api.ask_all(
        [
            reading(
                BINDING, "type,disabled,mac-address", *([f"?mac-address={client.mac.upper()}"] if client.mac else [])
            ),
            reading(HOST, "mac-address,address,to-address", *device),
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
        place = Place(ip, mac, (host or {}).get("to-address"))
        place.online = [row for row in active if row.get("user") == name]
        place.others = [row for row in active if row.get("user") != name and _is_of(row, place)]
        place.user = next((row for row in users if box.tag_of(row) is not None), None)
        uptime = resource[0].get("uptime", "")
    place.boot = await boot.boot_of(box, uptime, answers[-1])
    await _older_life_away(box, place)
    return place


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
    return place.has(active) or words.mac(active.get("mac-address")) == place.mac


async def _older_life_away(box: Box, place: Place) -> None:
    """A user from before a restart has counters that may have lost their last bytes: a new one counts from zero."""
    tag = box.tag_of(place.user) if place.user is not None else None
    if place.user is None or tag is None or tag.epoch >= place.boot or place.online:
        return
    await box.remove(USER, [place.user[".id"]])
    place.user = None


def _is_as(box: Box, user: Row, grant: Grant) -> bool:
    tag = box.tag_of(user)
    return tag is not None and tag.rev == grant.rev and not words.is_true(user.get("disabled"))


def _tag(box: Box, grant: Grant, place: Place) -> words.Tag:
    """The tag that the session's user is to have. Its epoch stays as long as its counters do."""
    before = box.tag_of(place.user) if place.user is not None else None
    epoch = max(box.now_ms(), place.boot + 1) if before is None else before.epoch
    return words.Tag(box.install, grant.key, grant.rev, epoch)


def _password(box: Box, tag: words.Tag) -> str:
    """The password of a session's user: the same whenever we are asked, so that a form which a guest was given stays
    good, and nobody's to guess who does not know the router's own."""
    named = f"{tag.install} {tag.key} {tag.epoch}"
    return hmac.new(box.api.way.password.encode(), named.encode(), "sha256").hexdigest()[:PASSWORD_LENGTH]


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
        try:
            await _write(box, grant, "add", {"name": name, **values, **limits, "comment": str(tag)})
        except RouterRejected as error:
            if error.reason is Reason.DUPLICATE:  # made meanwhile by another process of ours, or not listed yet
                raise RouterRejected(str(error), Reason.BUSY) from error
            raise
        return False
    before = box.tag_of(place.user)
    assert before is not None
    if before.rev != grant.rev:  # asked twice for the same, it allows no more than once
        used = box.counting.used(place.user, place.online)
        values |= words.limits_from(grant.limits, _counted(box, before, used), box.clock.now())
        values["comment"] = str(tag)
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
    elsewhere = [row for row in place.online if again or not place.has(row)]
    if not place.others and not elsewhere:
        return
    names = {row.get("user", "") for row in place.others}
    ours = [name for name in names if words.key_of_user(box.install, name) is not None]
    cookies, users = await box.api.read(
        reading(COOKIE, ".id,user,mac-address"),
        reading(USER, ".id,name", *any_of("name", ours or [""])),
    )
    with understood():
        await box.disable(USER, [row[".id"] for row in users if row.get("name") in ours])
        stale = [
            row[".id"] for row in cookies if row.get("user") in names and words.mac(row["mac-address"]) == place.mac
        ]
        await box.remove(COOKIE, stale)
        await box.remove(ACTIVE, [row[".id"] for row in (*place.others, *elsewhere)])


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
        if not is_rejected(error, Reason.UNKNOWN_CLIENT, Reason.BUSY):
            raise error
        if left == 0:
            raise NotSeenYet(str(error), Reason.UNKNOWN_CLIENT) from error
        await asyncio.sleep(TRY_AGAIN_S)


async def _time_follows(box: Box, grant: Grant) -> bool:
    """Whether a session that is on has taken over its new time. Not every version may do that."""
    wanted = words.time_left(grant.limits, box.clock.now())
    (rows,) = await box.api.read(
        reading(ACTIVE, "session-time-left", f"?user={words.session_user(box.install, grant.key)}")
    )
    with understood():
        left = [words.seconds(row.get("session-time-left", "")) for row in rows]
    return all(abs(seconds - (wanted or 0)) <= CLOCK_S for seconds in left)


async def _seen(box: Box, grant: Grant, place: Place) -> RouterSession:
    """The session as it is now."""
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
        here = [row for row in place.online if place.has(row)]
        return session_of(box, tag, place.user, here, box.clock.now())


async def _forget(box: Box, grant: Grant) -> None:
    """A user whom the router then did not let in is of no use."""
    users = await box.read_user(f"?name={words.session_user(box.install, grant.key)}")
    with understood():
        await box.remove(USER, [row[".id"] for row in users if box.tag_of(row) is not None])


async def _handoff(box: Box, grant: Grant, place: Place, password: str, client: Client, why: RouterRejected) -> Handoff:
    """The form that the guest's browser posts to the router. Only this device can use what is in it."""
    profiles, servers = await box.api.read(
        reading("/ip/hotspot/profile", "name,dns-name,hotspot-address,login-by"), reading("/ip/hotspot", "name,profile")
    )
    with understood():
        in_use = [row.get("profile") for row in servers if box.options.server in (None, row.get("name"))]
        profile = next((row for row in profiles if row.get("name") in in_use), {})
    host = profile.get("dns-name") or profile.get("hotspot-address") or NO_ADDRESS
    ways = profile.get("login-by", "").split(",")
    said = password if {"http-pap", "https"}.intersection(ways) else _by_challenge(password, ways, client)
    if host == NO_ADDRESS or said is None:
        raise why
    fields = {
        "username": words.session_user(box.install, grant.key),
        "password": said,
        "dst": _web_address(client.site_ref.get("return_url", "")),
        "popup": "false",
    }
    return Handoff(f"{'https' if 'https' in ways else 'http'}://{host}/login", "POST", fields)


def _by_challenge(password: str, ways: Sequence[str], client: Client) -> str | None:
    """The password as the log-in page's challenge wants it (manual, HotSpot customisation); None without one."""
    number, challenge = client.site_ref.get("chap-id"), client.site_ref.get("chap-challenge")
    if "http-chap" not in ways or not number or not challenge:
        return None
    proof = words.unescaped(number) + password.encode() + words.unescaped(challenge)
    return hashlib.md5(proof, usedforsecurity=False).hexdigest()


def _web_address(text: str) -> str:
    """Where the browser goes on; it came through the guest's hands, and old routers run what is no address."""
    return text if text.startswith(("http://", "https://")) else ""
