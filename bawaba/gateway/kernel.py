"""The one place that runs `nft`, `tc` and `ip`: as child processes with a deadline, their print made into values."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Collection, Iterable
from typing import Any

from bawaba.gateway.ruleset import TABLE

DEADLINE_S = 20.0
Meters = dict[int, tuple[int, int]]

_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")}


class KernelError(Exception):
    """The kernel, or the program that speaks to it, refused."""


class TableGone(KernelError):
    """Our table is not there: the ruleset was flushed, or the machine has started anew."""


async def run(*command: str, given: str = "", fine: Collection[int] = (0,)) -> str:
    """Run a program to its end and return what it printed."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if given else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT,
        )
    except OSError as error:
        raise KernelError(f"{command[0]} cannot be run: {error}") from error
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await child.communicate(given.encode() if given else None)
    except TimeoutError as error:
        raise KernelError(f"{command[0]} did not end within {DEADLINE_S:.0f} s") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode not in fine:
        raise KernelError(err.decode(errors="replace").strip()[:400] or f"{command[0]} ended with {child.returncode}")
    return out.decode(errors="replace")


async def transact(text: str) -> None:
    """Apply all of this to nftables, or none of it."""
    if text:
        await run("nft", "-f", "-", given=text)


async def table_exists() -> bool:
    """Whether our table is there."""
    listing = json.loads(await run("nft", "-j", "list", "tables"))
    family, name = TABLE.split()
    tables = [item["table"] for item in listing["nftables"] if "table" in item]
    return any((table["family"], table["name"]) == (family, name) for table in tables)


async def whole_table() -> list[dict[str, Any]]:
    """Everything in our table as nft's own objects, each under its kind."""
    listing: list[dict[str, Any]] = json.loads(await run("nft", "-j", "list", "table", *TABLE.split()))["nftables"]
    return listing


async def elements(kind: str, name: str) -> list[Any]:
    """The elements of one of our sets or maps."""
    try:
        text = await run("nft", "-j", "list", kind, *TABLE.split(), name)
    except KernelError as error:
        if "No such file or directory" in str(error):
            raise TableGone(str(error)) from error
        raise
    for item in json.loads(text)["nftables"]:
        if kind in item:
            found: list[Any] = item[kind].get("elem", [])
            return found
    return []


async def quotas() -> dict[str, tuple[int, int]]:
    """What each quota allows and what was used of it, by its name."""
    listing = json.loads(await run("nft", "-j", "list", "quotas", "table", *TABLE.split()))["nftables"]
    return quotas_in(listing)


def quotas_in(listing: Iterable[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """The quotas among nft's objects."""
    found = [item["quota"] for item in listing if "quota" in item]
    return {quota["name"]: (quota["bytes"], quota["used"]) for quota in found}


async def meters() -> Meters:
    """Bytes up and down of every session. (nft 1.0.6 takes longer to find a few by name than to list all.)"""
    up, down = (counts(found) for found in await asyncio.gather(elements("set", "up"), elements("set", "down")))
    return {mark: (up.get(mark, 0), down.get(mark, 0)) for mark in up.keys() | down.keys()}


def counts(found: Iterable[Any]) -> dict[int, int]:
    """Bytes by mark, from the elements of a metering set."""
    return {item["elem"]["val"]: item["elem"]["counter"]["bytes"] for item in found if isinstance(item, dict)}


async def shape(lines: Iterable[str], forgiving: bool = False) -> None:
    """Feed commands to `tc`; a forgiving run goes on after an error."""
    text = "\n".join(lines)
    if text:
        options = ["-force"] if forgiving else []
        await run("tc", *options, "-batch", "-", given=text + "\n", fine=(0, 1) if forgiving else (0,))


async def queueing(device: str) -> str:
    """What `tc` says of a device's queues."""
    return await run("tc", "qdisc", "show", "dev", device)


async def class_ids(device: str, handle: str) -> set[int]:
    """The classes that lie below one of our handles."""
    text = await run("tc", "class", "show", "dev", device, fine=(0, 1))
    return {int(number, 16) for number in re.findall(rf"class htb {handle}:([0-9a-f]+)", text)}


async def neighbours(device: str, ip: str | None = None) -> list[tuple[str, str]]:
    """MAC and address of who the kernel knows on this link."""
    place = ["to", ip] if ip else []
    text = await run("ip", "-j", "neigh", "show", *place, "dev", device)
    found = json.loads(text or "[]")
    return [(item["lladdr"], item["dst"]) for item in found if "lladdr" in item and "FAILED" not in item["state"]]


async def seen() -> list[tuple[str, str, int]]:
    """Every MAC and address pair of the last minutes with the seconds it is still remembered; newest last."""
    found: list[tuple[str, str, int]] = []
    for items in await asyncio.gather(elements("set", "seen4"), elements("set", "seen6")):
        for item in items:
            mac, ip = item["elem"]["val"]["concat"]
            found.append((mac, ip, item["elem"].get("expires", 0)))
    return sorted(found, key=lambda pair: pair[2])
