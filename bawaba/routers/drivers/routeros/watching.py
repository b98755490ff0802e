"""Who is online, how the router is, and who has an address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bawaba.routers.driver import (
    Client,
    GatewayError,
    Health,
    Notice,
    Owned,
    RouterSession,
    Stranger,
)
from bawaba.routers.drivers.routeros import boot, words
from bawaba.routers.drivers.routeros.box import (
    ACTIVE,
    ACTIVE_NAMES,
    HOST,
    PROFILE,
    USER,
    USER_NAMES,
    Box,
    understood,
)
from bawaba.routers.drivers.routeros.client import LIST_S, Reply, Row, raised, reading

POLLED_ACTIVE = ".id,user,address,mac-address,uptime,bytes-in,bytes-out"
POLLED_USER = "name,comment,uptime,bytes-in,bytes-out"
STRANGERS_ASKED = 500


async def sessions(box: Box) -> list[RouterSession]:
    """Everybody who is online, and our sessions that ended by themselves, with their last counters.

    A device that the router has logged out because it does not answer, and that is still away, is told as it was: its
    right goes on. Once the device is back, its session is told as ended, so that it is let in again.
    """
    active, users = await box.api.read(
        _of_server(box, reading(ACTIVE, POLLED_ACTIVE)),
        reading(USER, POLLED_USER, _our_sessions(box)),
        deadline_s=LIST_S,
    )
    if not active and not users:
        await boot.must_be_up(box)
    now = box.clock.now()
    with understood():
        by_user: dict[str, list[Row]] = {}
        for row in active:
            by_user.setdefault(row.get("user", ""), []).append(row)
        ours = [(row, tag) for row in users if (tag := box.tag_of(row)) is not None]
        found = [session_of(box, tag, row, on, now) for row, tag in ours if (on := by_user.pop(row["name"], None))]
    if len(found) < len(ours):
        found += await _off_line(box, {session.id for session in found})
    box.told = {session.id: (session.epoch, session.up, session.down) for session in found}
    box.counting.forget({row.get(".id", "") for row in active})
    await _know(box, [name for name in by_user if name not in box.strangers and name not in box.card_keys])
    with understood():
        return found + [_other(box, row, now) for rows in by_user.values() for row in rows]


def _of_server(box: Box, question: tuple[str, ...]) -> tuple[str, ...]:
    return (*question, f"?server={box.options.server}") if box.options.server else question


def _our_sessions(box: Box) -> str:
    return f"?email={words.mark(box.install, 'session')}"


def session_of(
    box: Box, tag: words.Tag, user: Row | None, online: Sequence[Row], now: datetime, ended: str = ""
) -> RouterSession:
    """One of our sessions, from its user's row and what of it is on."""
    used = box.counting.used(user, online)
    row = online[0] if online else user or {}
    here = words.seconds(row.get("uptime", ""))
    return RouterSession(
        id=tag.key,
        key=tag.key,
        login=None,
        client=Client(words.mac(row.get("mac-address")), row.get("address")),
        started=now - timedelta(seconds=here) if online else None,
        uptime_s=here if online else used.seconds,
        up=used.up,
        down=used.down,
        epoch=tag.epoch,
        raw={"ended": ended} if ended else {},
    )


async def _off_line(box: Box, on_line: set[str]) -> list[RouterSession]:
    """Our sessions that are not on: those at their limits, those that a restart has ended, devices that are away and
    devices that are back."""
    users, hosts, resource, marks = await box.api.ask_all(
        [reading(USER, USER_NAMES, _our_sessions(box)), reading(HOST, "mac-address"), boot.UPTIME, boot.QUESTION]
    )
    with understood():
        here = {words.mac(row.get("mac-address")) for row in raised(hosts).rows}
        uptime = raised(resource).rows[0].get("uptime", "")
        ours = [(row, tag) for row in raised(users).rows if (tag := box.tag_of(row)) is not None]
    booted, now = await boot.boot_of(box, uptime, marks), box.clock.now()
    with understood():
        off = [(row, tag) for row, tag in ours if tag.key not in on_line]
        return [session_of(box, tag, row, [], now, _why_off(box, row, tag, here, booted)) for row, tag in off]


def _why_off(box: Box, user: Row, tag: words.Tag, here: set[str | None], booted: int) -> str:
    """Why a session is not on; empty for a device that is away, whose right goes on."""
    used = box.counting.used(user, [])
    if reached := words.ended_by(words.limits_left(user, used)):
        return reached
    if words.is_true(user.get("disabled")):
        return "closed"
    if tag.epoch < booted:
        return "reboot"
    if used == words.Used():
        return "not on"
    return "logged out" if words.mac(user.get("mac-address")) in here else ""


async def _know(box: Box, names: Sequence[str]) -> None:
    """Look up whose these users are."""
    prefixed = [name for name in names if name.startswith("bw.")]  # a session of another installation, or a lost one
    box.strangers.update(name for name in prefixed if words.key_of_user(box.install, name) is None)
    asked = [name for name in names if name not in prefixed][:STRANGERS_ASKED]
    if not asked:
        return
    found = await box.api.read(*(reading(USER, "name,comment", f"?name={name}") for name in asked), deadline_s=LIST_S)
    for name, rows in zip(asked, found, strict=True):
        tag = next((tag for row in rows if (tag := box.tag_of(row)) is not None), None)
        if tag is None:
            box.strangers.add(name)
        else:
            box.card_keys[name] = tag


def _other(box: Box, row: Row, now: datetime) -> RouterSession:
    """A session by a card that lies on the router, or of a stranger. What a card has used is in `owned`: counters here
    are those of this log-in."""
    name = row.get("user", "")
    tag, lost = box.card_keys.get(name), words.key_of_user(box.install, name)
    here = words.seconds(row.get("uptime", ""))
    return RouterSession(
        id=row[".id"],
        key=tag.key if tag is not None else lost,
        login=name or None,
        client=Client(words.mac(row.get("mac-address")), row.get("address")),
        started=now - timedelta(seconds=here),
        uptime_s=here,
        up=words.number(row.get("bytes-in")),
        down=words.number(row.get("bytes-out")),
        epoch=tag.epoch if tag is not None else 0,
    )


async def owned(box: Box) -> list[Owned]:
    """Every user of ours: sessions with what is left of their limits, cards with the limits of their whole life."""
    active, users = await box.api.read(
        reading(ACTIVE, ACTIVE_NAMES), reading(USER, USER_NAMES), deadline_s=LIST_S
    )  # fmt: skip
    if not users:
        await boot.must_be_up(box)
    by_user: dict[str, list[Row]] = {}
    for row in active:
        by_user.setdefault(row.get("user", ""), []).append(row)
    with understood():
        rows = [(row, tag) for row in users if (tag := box.tag_of(row)) is not None]
        return [_owned(box, row, tag, by_user.get(row["name"], [])) for row, tag in rows]


def _owned(box: Box, row: Row, tag: words.Tag, online: Sequence[Row]) -> Owned:
    used = box.counting.used(row, online)
    return Owned(
        key=tag.key,
        rev=tag.rev,
        native_id=row[".id"],
        enabled=not words.is_true(row.get("disabled")),
        limits=words.limits_left(row, used if box.is_session(row, tag) else words.Used()),
        up=used.up,
        down=used.down,
        uptime_s=used.seconds,
    )


async def strangers(box: Box) -> list[Stranger]:
    """Every user that is not ours, nor the router's own; its speed is its profile's."""
    users, profiles = await box.api.read(
        reading(USER, USER_NAMES + ",default,dynamic"),
        reading(PROFILE, "name,rate-limit,shared-users"),
        deadline_s=LIST_S,
    )
    with understood():
        by_name = {row.get("name", ""): row for row in profiles}
        theirs = [row for row in users if box.tag_of(row) is None and not words.is_true(row.get("default"))]
        return [_stranger(row, by_name.get(row.get("profile", ""), {})) for row in theirs]


def _stranger(row: Row, profile: Row) -> Stranger:
    rate, shared = words.bits(profile.get("rate-limit", "")), profile.get("shared-users", "1")
    up, down = (rate[0], rate[-1]) if rate else (0, 0)  # one figure stands for both
    limits = replace(
        words.limits_left(row, words.Used()),
        rate_up_kbps=up // 1000 or None,
        rate_down_kbps=down // 1000 or None,
        devices=words.number(shared) if shared.isdigit() else 1,
    )
    moved = any(words.number(row.get(side)) for side in ("bytes-in", "bytes-out"))
    return Stranger(
        login=row.get("name", ""),
        group=row.get("profile", ""),
        limits=limits,
        used=moved or bool(words.seconds(row.get("uptime", ""))),
        enabled=not words.is_true(row.get("disabled")),
        comment=row.get("comment", ""),
    )


async def health(box: Box) -> Health:
    """How the router is."""
    names = "uptime,cpu-load,free-memory,total-memory"
    resource, active, marks = await box.api.ask_all(
        [reading(boot.RESOURCE, names), _of_server(box, reading(ACTIVE, ".id")), boot.QUESTION]
    )
    with understood():
        row = raised(resource).rows[0]
        uptime = words.seconds(row["uptime"])
        total, free = words.number(row.get("total-memory")), words.number(row.get("free-memory"))
        load = words.number(row.get("cpu-load"))
    return Health(
        uptime_s=uptime,
        cpu_percent=float(load),
        memory_percent=round(100 - 100 * free / total, 1) if total else None,
        sessions=len(raised(active).rows),
        sessions_most=await _ceiling(box),
        boot=await boot.boot_of(box, row["uptime"], marks),
    )


async def _ceiling(box: Box) -> int | None:
    """How many sessions the licence allows, asked once a connection."""
    if not box.licence_seen:
        (answer,) = await box.api.ask_all([reading("/system/license", "nlevel")])
        with understood():
            box.sessions_most = words.ceiling(answer.rows) if isinstance(answer, Reply) else None
        box.licence_seen = True
    return box.sessions_most


async def locate(box: Box, ip: str | None, mac: str | None) -> Client | None:
    """Who has an address: by the hotspot's own list first, then by the leases, then by ARP."""
    lease, arp = "/ip/dhcp-server/lease", "/ip/arp"
    wanted = f"?mac-address={mac.upper()}" if mac else f"?address={ip}"
    translated = [] if mac else [f"?to-address={ip}", "?#|"]  # a device that came with an address of its own
    answers = await box.api.ask_all(
        [
            reading(HOST, "mac-address,address", wanted, *translated),
            reading(lease, "mac-address,address,status", wanted),
            reading(arp, "mac-address,address", wanted),
        ]
    )
    if all(isinstance(answer, GatewayError) for answer in answers):
        assert isinstance(answers[0], GatewayError)
        raise answers[0]
    for answer in answers:
        for row in answer.rows if isinstance(answer, Reply) else ():
            if row.get("mac-address") and row.get("status", "bound") == "bound":
                return Client(words.mac(row["mac-address"]), row.get("address"))
    return None


async def events(box: Box) -> AsyncIterator[Notice]:
    """A notice whenever somebody goes on or off line."""
    known: dict[str, RouterSession] = {}
    async for row in box.api.listen(ACTIVE, ".id,user,address,mac-address,.dead"):
        number = row.get(".id", "")
        if words.is_true(row.get(".dead")):
            yield Notice(known.pop(number, None), gone=True)
        elif "user" in row:
            session = _other(box, {**row, ".id": number}, box.clock.now())
            before = known.get(number)
            known[number] = session
            if before is None or (before.login, before.client) != (session.login, session.client):
                yield Notice(session)
