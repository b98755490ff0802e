"""Putting a device out so that it stays out, and taking rights away with whoever is on by them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bawaba.routers.driver import (
    Client,
    Result,
    RouterProtocolError,
    RouterSession,
    RouterUnreachable,
)
from bawaba.routers.drivers.routeros import boot, words
from bawaba.routers.drivers.routeros.box import (
    ACTIVE,
    ACTIVE_NAMES,
    COOKIE,
    HOST,
    USER,
    USER_NAMES,
    Box,
    any_of,
    device_queries,
    understood,
)
from bawaba.routers.drivers.routeros.client import LIST_S, Row, reading
from bawaba.routers.drivers.routeros.watching import session_of

ASKED_ONE_BY_ONE = 50  # users; for more the whole list is read once
_NOBODY = reading(USER, USER_NAMES, "?name=")


@dataclass
class Leaving:
    """Who is to go: user rows that are removed, names whose sessions end, and what of them is on."""

    users: list[Row]
    online: list[Row]
    cookies: list[Row]
    card: words.Tag | None = None  # whose session it is, where it is a card's that stays


async def kick(box: Box, target: RouterSession | Client) -> RouterSession | None:
    """End a device's session. It is out for good: nothing is left by which the router would know it again."""
    client = target if isinstance(target, Client) else target.client
    key = None if isinstance(target, Client) else target.key
    leaving = await _of_key(box, key, client) if key is not None else await _of_device(box, client)
    if not leaving.users and not leaving.online:
        await boot.must_be_up(box)
        return None
    last = await _put_out(box, leaving)
    with contextlib.suppress(RouterUnreachable, RouterProtocolError):  # a user that stays is seen as ended, and kicked
        await box.remove(USER, [row[".id"] for row in leaving.users])
    tag = box.tag_of(leaving.users[0]) if leaving.users else None
    with understood():
        if tag is None:
            row = leaving.online[0]
            lost = words.key_of_user(box.install, row.get("user", ""))
            tag = leaving.card or words.Tag(box.install, key or lost or row.get("user", ""), 0)
            return _last_of(box, tag, None, leaving.online, key or lost)
        return _last_of(box, tag, last.get(leaving.users[0][".id"], leaving.users[0]), leaving.online, tag.key, leaving)


def _last_of(
    box: Box, tag: words.Tag, user: Row | None, online: Sequence[Row], key: str | None, leaving: Leaving | None = None
) -> RouterSession:
    """What to book at the end: the user's own counters once it is logged out, never less than were seen before."""
    session = session_of(box, tag, user, [] if user is not None else online, box.clock.now())
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
    card = next((box.tag_of(row) for row in mine if row not in held), None)
    return Leaving(held, online, known, card)


async def _of_device(box: Box, client: Client) -> Leaving:
    """Whatever lets this device in."""
    device = device_queries(client)
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
    closed, the cookies go, the session ends, the device is forgotten; the caller then removes the users. Their last
    rows are returned by id."""
    with understood():
        ids = [row[".id"] for row in leaving.users]
        await box.disable(USER, ids)
        await box.remove(COOKIE, [row[".id"] for row in leaving.cookies])
        await box.remove(ACTIVE, [row[".id"] for row in leaving.online])
        macs = {row.get("mac-address") for row in leaving.online}
        addresses = {row.get("address") for row in leaving.online}
        hosts, users, active = await box.api.read(
            reading(HOST, ".id,mac-address,address", *any_of("mac-address", sorted(filter(None, macs)) or [""])),
            *([reading(USER, USER_NAMES, *any_of(".id", ids))] if 0 < len(ids) <= ASKED_ONE_BY_ONE else [_NOBODY]),
            reading(ACTIVE, ".id,address"),
            deadline_s=LIST_S,
        )
        back = {row.get("address") for row in active} & addresses
        await box.remove(
            HOST, [row[".id"] for row in hosts if row.get("mac-address") in macs and row.get("address") not in back]
        )
        return {row[".id"]: row for row in users if row.get(".id") in ids}


async def drop(box: Box, keys: Sequence[str]) -> list[Result]:
    """Take rights away, and put out who is on by them. One that is not there is fine."""
    users = await _users_of(box, keys)
    if len(users) < len(set(keys)):
        await boot.must_be_up(box)
    names = {row.get("name") for rows in users.values() for row in rows}
    names |= {words.session_user(box.install, key) for key in keys}
    active, cookies = await box.api.read(
        reading(ACTIVE, ACTIVE_NAMES), reading(COOKIE, ".id,user,mac-address"), deadline_s=LIST_S
    )
    online = [row for row in active if row.get("user") in names]
    leaving = [row for rows in users.values() for row in rows]
    await _put_out(box, Leaving(leaving, online, [row for row in cookies if row.get("user") in names]))
    await box.remove(USER, [row[".id"] for row in leaving])
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
