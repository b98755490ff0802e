"""openNDS (9.10, 10.x) with Bawaba as its FAS: guests are sent to our portal, and `ndsctl` lets them in.

`ndsctl` is reached through a shell on the gateway: over SSH with a key, or on this machine. It knows whole minutes, kB
and one call at a time; limits of a session that is on cannot be changed, so it is ended and begun anew. What a session
had moved when it ended stands in the log of BinAuth. A guest's request can end the daemon (9.10): whoever finds it gone
starts it again, and the next poll lets everybody in anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from bawaba.core.clock import Clock, SystemClock
from bawaba.routers import nds
from bawaba.routers.driver import (
    Cap,
    Client,
    Connection,
    Grant,
    Health,
    Info,
    Owned,
    Reason,
    Result,
    RouterAuthFailed,
    RouterDriver,
    RouterRejected,
    RouterSession,
    RouterUnreachable,
)
from bawaba.routers.drivers.opennds import look, notes
from bawaba.routers.drivers.opennds.shell import Shell, ssh_command
from bawaba.routers.drivers.opennds.words import Seen, Snapshot
from bawaba.routers.nds import Tag
from bawaba.routers.options import Needs, RouterOptions, in_words

BUSY_TRIES = 6  # ndsctl takes one call at a time, and openNDS's own scripts call it too
BUSY_WAIT_S = 0.3
FIND_TRIES = 3  # a device that has just come is not in openNDS's tables yet
FIND_WAIT_S = 0.7
REVIVE_EVERY_S = 10.0
KICKED_AGO_S, ENDED_AGO_S = 120, 900  # how long a session that ended is told of
HostKey = Annotated[str, StringConstraints(pattern=r"^$|^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+$")]
Path = Annotated[str, StringConstraints(pattern=r"^$|^/[ -~]*$")]


class Options(RouterOptions):
    """How openNDS is reached, and what it calls itself."""

    channel: Literal["ssh", "local"] = Field(
        "ssh",
        title="Commands go",
        description="How Bawaba runs ndsctl.",
        json_schema_extra=in_words({"ssh": "Over SSH", "local": "On this machine"}),
    )
    key_file: Path = Field(
        "",
        title="SSH key file",
        description="The private key, on the machine that Bawaba runs on, like /etc/bawaba/id.",
    )
    host_key: HostKey = Field(
        "",
        title="The router's SSH key",
        description="Its public host key, like ssh-ed25519 AAAA…; empty: the first one seen is kept.",
    )
    gateway_name: str = Field(
        "", title="Gateway name", description="The option gatewayname of openNDS, when guests' networks overlap.",
        max_length=80,
    )  # fmt: skip


class Driver(RouterDriver):
    """Speaks to one openNDS through `ndsctl`."""

    vendor = "opennds"
    Options = Options
    notes = notes.SENTENCES
    needs = Needs(
        address_hint="192.168.1.1",
        port=22,
        username=True,
        username_help="The SSH user; root unless you say otherwise.",
        password=True,
        password_help="The faskey of openNDS, 32 characters or more; made up where you leave it empty.",
        password_least=32,
        password_made=True,
    )
    at_once = 1
    caps = (
        Cap.ADMIT | Cap.KICK | Cap.SESSIONS | Cap.COUNTERS | Cap.TIME_LIMIT | Cap.BYTES_SPLIT | Cap.RATE
        | Cap.OWNED_LIST | Cap.HEALTH | Cap.LOCATE | Cap.DEVICES
    )  # fmt: skip

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        super().__init__(connection)
        self._clock = clock or SystemClock()
        options = Options.model_validate(connection.options)
        command = ["sh"]
        if options.channel == "ssh":
            user = connection.username or "root"
            command = ssh_command(
                connection.address, connection.port, user, options.key_file, options.host_key, connection.connect_s
            )
        self._shell = Shell(command)
        self._told: set[tuple[str, int]] = set()  # sessions that ended and were asked for
        self._life: look.Life | None = None
        self._revived_at = -REVIVE_EVERY_S

    async def probe(self) -> Info:
        said = (await self._shell.run(look.PROBE)).text
        facts = dict(line.partition("=")[::2] for line in said.splitlines())
        if not facts.get("ndsctl"):
            raise RouterAuthFailed("there is no ndsctl on it, or this user may not run it")
        skew_s = int(facts["now"]) - self._clock.now().timestamp() if facts.get("now", "").isdigit() else None
        await self._look()
        version = facts.get("version", "").strip() or "unknown"
        return Info(f"openNDS {version}", facts.get("board", ""), skew_s, notes=notes.of(facts))

    async def drop(self, keys: Sequence[str]) -> list[Result]:
        seen = await self._look()
        return [await self._dropped(key, seen) for key in keys]

    async def admit(self, grant: Grant, client: Client) -> RouterSession:
        mac = _mac(client)
        allowed = nds.allowed(grant.limits, self._clock.now())
        tag = Tag(self.connection.install, grant.key, grant.rev)
        seen = await self._look()
        if mac in seen.blocked:
            raise RouterRejected("the device is blocked")
        for other in seen.snapshot.online():
            if other.tag is not None and (other.tag.install, other.tag.key) == (tag.install, tag.key):
                if other.mac == mac and other.tag.rev == tag.rev:
                    return self._session(other, seen.snapshot)
                await self._ndsctl(f"deauth {other.mac}")
        there = seen.snapshot.client(mac)
        if there is not None and there.online and (there.tag is None or there.tag.key != tag.key):
            await self._ndsctl(f"deauth {mac}")
        return await self._authenticate(mac, f"{allowed} {tag}", tag)

    async def kick(self, session: RouterSession | Client) -> RouterSession | None:
        client = session if isinstance(session, Client) else session.client
        key = None if isinstance(session, Client) else session.key
        seen = await self._look()
        mine = [one for one in seen.snapshot.online() if self._is_meant(one, client.mac, key)]
        for one in mine:
            await self._ndsctl(f"deauth {one.mac}")
        if mine:
            seen = await self._look()
            gone = next((g for g in seen.snapshot.gone if (g.mac, g.started) == (mine[0].mac, mine[0].started)), None)
            self._told.add((mine[0].mac, mine[0].started))
            return self._session(gone or mine[0], seen.snapshot)
        ended = [one for one in self._ended(seen.snapshot) if self._is_meant(one, client.mac, key)]
        self._told |= {(one.mac, one.started) for one in ended}
        return self._session(ended[-1], seen.snapshot) if ended else None

    async def sessions(self) -> list[RouterSession]:
        snapshot = (await self._look()).snapshot
        seen = [*snapshot.online(), *self._ended(snapshot)]
        return [self._session(one, snapshot) for one in seen]

    async def owned(self) -> list[Owned]:
        online = (await self._look()).snapshot.online()
        tagged = [(one, one.tag) for one in online if one.tag is not None]
        return [
            Owned(tag.key, tag.rev, one.mac, up=one.up, down=one.down)
            for one, tag in tagged
            if tag.install == self.connection.install
        ]

    async def health(self) -> Health:
        seen = await self._look()
        life = seen.life
        if self._life is not None and self._life.ticks == life.ticks:
            life = self._life  # the machine's idea of when it booted moves by a second, or with its clock
        elif life.boot > (self._life.boot if self._life is not None else self.connection.boot):
            await self._keep_devices(*look.devices(seen.kept))  # it forgets them at its end
        self._life = life
        return Health(
            life.uptime_s, memory_percent=seen.memory_percent, sessions=len(seen.snapshot.online()), boot=life.boot
        )

    async def locate(self, *, ip: str | None = None, mac: str | None = None) -> Client | None:
        """By the gateway's own ARP table: nobody's word but the network's."""
        table = (await self._shell.run("cat /proc/net/arp")).text
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) >= 6 and fields[2] != "0x0" and (fields[0] == ip or (mac and fields[3].lower() == mac)):
                return Client(fields[3].lower(), fields[0])
        return None

    async def set_devices(self, trusted: Sequence[str], blocked: Sequence[str]) -> None:
        seen = await self._look()
        before = look.devices(seen.kept)
        for verb, gone in (("untrust", before[0] - set(trusted)), ("unblock", before[1] - set(blocked))):
            for mac in sorted(gone):
                await self._ndsctl(f"{verb} {mac}")
        await self._shell.run(look.keep(self.connection.install, trusted, blocked))
        await self._keep_devices(set(trusted), set(blocked))
        for one in seen.snapshot.online():
            if one.mac in blocked:
                await self._ndsctl(f"deauth {one.mac}")

    async def close(self) -> None:
        await self._shell.close()

    async def _keep_devices(self, trusted: set[str], blocked: set[str]) -> None:
        for verb, macs in (("trust", trusted), ("block", blocked)):
            for mac in sorted(macs):
                await self._ndsctl(f"{verb} {mac}")

    async def _authenticate(self, mac: str, words_after: str, tag: Tag) -> RouterSession:
        """Have openNDS let a device in, and see that it did."""
        for attempt in range(FIND_TRIES):
            await self._ndsctl(f"auth {mac} {words_after}")
            snapshot = (await self._look()).snapshot
            there = snapshot.client(mac)
            if there is not None and there.online and there.tag == tag:
                return self._session(there, snapshot)
            if attempt + 1 < FIND_TRIES:
                await asyncio.sleep(FIND_WAIT_S)
        raise RouterRejected(f"openNDS does not see {mac}: no address from its DHCP, or not on its network", UNKNOWN)

    async def _dropped(self, key: str, seen: look.Look) -> Result:
        mine = [one for one in seen.snapshot.online() if self._is_meant(one, None, key)]
        for one in mine:
            await self._ndsctl(f"deauth {one.mac}")
            self._told.add((one.mac, one.started))
        return Result(key, ok=True, changed=bool(mine))

    async def _look(self) -> look.Look:
        """Everything at once. Where openNDS has ended, it is started again. Raises `RouterUnreachable` then."""
        for attempt in range(BUSY_TRIES):
            said = await self._shell.run(look.script(self.connection.install))
            if said.code == look.DOWN:
                raise await self._revive()
            if said.code == 0:
                return look.read(said.text)
            await asyncio.sleep(BUSY_WAIT_S * (attempt + 1))
        raise RouterRejected("ndsctl is busy", Reason.BUSY)

    async def _ndsctl(self, call: str) -> str:
        """One command; its words. One that is locked out by another is tried again."""
        for attempt in range(BUSY_TRIES):
            said = await self._shell.run(f"ndsctl {call} 2>&1")
            if said.code != look.LOCKED and "locked by" not in said.text:
                return said.text
            await asyncio.sleep(BUSY_WAIT_S * (attempt + 1))
        raise RouterRejected("ndsctl is busy", Reason.BUSY)

    async def _revive(self) -> RouterUnreachable:
        """Start it again, but not over and over."""
        if time.monotonic() - self._revived_at < REVIVE_EVERY_S:
            return RouterUnreachable("openNDS is starting")
        self._revived_at = time.monotonic()
        said = await self._shell.run(look.REVIVE)
        if said.code:
            return RouterUnreachable("openNDS is not running, and could not be started")
        return RouterUnreachable("openNDS had ended and was started again")

    def _is_meant(self, seen: Seen, mac: str | None, key: str | None) -> bool:
        """Whether a session is the one that is asked for: by its key, or whatever is ours on a device."""
        if seen.tag is None or seen.tag.install != self.connection.install:
            return key is None and seen.mac == mac
        return seen.tag.key == key if key is not None else seen.mac == mac

    def _ended(self, snapshot: Snapshot) -> list[Seen]:
        """Our sessions that have ended lately and were not asked for since, the newest of each key."""
        on = {one.tag.key for one in snapshot.online() if one.tag is not None}
        newest: dict[str, Seen] = {}
        for one in snapshot.gone:
            ago_s = KICKED_AGO_S if one.ended == "ndsctl" else ENDED_AGO_S
            if one.tag is None or one.tag.install != self.connection.install or one.tag.key in on:
                continue
            if snapshot.now - one.ended_at <= ago_s:
                newest[one.tag.key] = one
        return [one for one in newest.values() if (one.mac, one.started) not in self._told]

    def _session(self, seen: Seen, snapshot: Snapshot) -> RouterSession:
        until = seen.ended_at if seen.ended else snapshot.now
        uptime_s = max(0, until - seen.started)
        ours = seen.tag is not None and seen.tag.install == self.connection.install
        return RouterSession(
            id=f"{seen.mac}/{seen.started}",
            key=seen.tag.key if ours and seen.tag is not None else None,
            login=None,
            client=Client(seen.mac, seen.ip or None),
            started=self._clock.now() - timedelta(seconds=uptime_s),
            uptime_s=uptime_s,
            up=seen.up,
            down=seen.down,
            epoch=seen.started,
            raw={"ended": seen.ended} if seen.ended else {},
        )


UNKNOWN = Reason.UNKNOWN_CLIENT


def _mac(client: Client) -> str:
    if client.mac is None or not look.MAC.fullmatch(client.mac):
        raise RouterRejected("openNDS knows devices by their MAC", UNKNOWN)
    return client.mac
