"""Rates: one HTB class a session on each side, chosen by the nftables maps, so that no tc filter is needed.

Downloads are shaped where they leave for the guest, uploads where they leave for the internet. Who has no class passes
by the queue's direct way, unshaped.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable

from bawaba.gateway import kernel
from bawaba.gateway.kernel import KernelError
from bawaba.gateway.ruleset import DOWN_HANDLE, UP_HANDLE
from bawaba.gateway.sessions import Session

log = logging.getLogger(__name__)

LAST_CLASS = 0xAFFF  # below our root handles, for each class names its leaf by its own number
PROBE_CLASS = 0xB000
QUARANTINE_S = 10.0  # a packet on its way may still bear the class of a session that has ended
LEAF_DELAY_S = 0.15  # how long a packet may wait in a plain queue
CHUNK = 250


class ClassNumbers:
    """Hands out class numbers, and not again before nobody can mean the old one."""

    def __init__(self) -> None:
        self._fresh = 1
        self._taken: set[int] = set()
        self._waiting: deque[tuple[float, int]] = deque()

    def take(self) -> int:
        """A number nobody has; 0 when there is none."""
        if self._waiting and self._waiting[0][0] <= time.monotonic():
            number = self._waiting.popleft()[1]
        else:
            while self._fresh in self._taken:
                self._fresh += 1
            number = self._fresh if self._fresh <= LAST_CLASS else 0
        self._taken.add(number)
        return number

    def hold(self, number: int) -> None:
        """This one is in use."""
        self._taken.add(number)

    def give_back(self, number: int) -> None:
        """Not in use any more."""
        if number and number in self._taken:
            self._taken.discard(number)
            self._waiting.append((time.monotonic() + QUARANTINE_S, number))


class Shaper:
    """Keeps the queues of both sides. Where the kernel cannot, `works` is false and rates are not kept."""

    def __init__(self, lan: str, wan: str, wanted: bool) -> None:
        self._sides = ((lan, DOWN_HANDLE), (wan, UP_HANDLE))
        self._wanted = wanted
        self.numbers = ClassNumbers()
        self.works = False
        self.fair = False  # whether fq_codel is there
        self.complaint = ""  # why it does not work

    async def start(self) -> None:
        """Put our queue on both sides, unless it is there already, and see what the kernel can do."""
        if not self._wanted:
            return
        try:
            for device, handle in self._sides:
                if not await self._standing(device, handle):
                    root = f"qdisc replace dev {device} root handle {handle}: htb default 0 direct_qlen 1000"
                    await kernel.shape([root])
        except KernelError as error:
            self.works = False
            if str(error) != self.complaint:  # else it was said at the last try
                self.complaint = str(error)
                log.error("rates cannot be kept: %s", error)
            return
        self.works, self.complaint = True, ""
        self.fair = await self._has_fq_codel()

    async def stands(self) -> bool:
        """Whether our queues are there; an interface that is away, or was made anew, has lost them."""
        if not self._wanted:
            return True
        try:
            return self.works and all([await self._standing(device, handle) for device, handle in self._sides])
        except KernelError:
            return False

    async def put(self, sessions: Iterable[Session]) -> None:
        """Give these sessions their classes, new or changed."""
        await self._each_chunk([line for session in sessions for line in self._put(session)])

    async def drop(self, numbers: Iterable[int]) -> None:
        """Take classes away, with what waits in them. One that is not there is fine."""
        numbers = [number for number in numbers if number]
        lines = [
            f"class del dev {device} classid {handle}:{number:x}"
            for number in numbers
            for device, handle in self._sides
        ]
        await self._each_chunk(lines)
        for number in numbers:
            self.numbers.give_back(number)

    async def match(self, sessions: Iterable[Session]) -> None:
        """Make the classes exactly those of these sessions, after a restart."""
        if not self.works:
            return
        wanted = {session.class_id: session for session in sessions if session.class_id}
        there = [await kernel.class_ids(device, handle) for device, handle in self._sides]
        both = there[0] & there[1]
        await self.drop((there[0] | there[1]) - wanted.keys())
        await self.put(wanted[number] for number in wanted.keys() - both)

    def _put(self, session: Session) -> Iterable[str]:
        if not self.works or not session.class_id:
            return
        rates = (session.rate_down_kbps, session.rate_up_kbps)
        for (device, handle), kbps in zip(self._sides, rates, strict=True):
            number = f"{handle}:{session.class_id:x}"
            if not kbps:
                continue
            burst = max(32 * 1024, kbps * 125 // 100)
            yield (
                f"class replace dev {device} parent {handle}: classid {number} htb rate {kbps}kbit ceil {kbps}kbit "
                f"burst {burst} cburst {burst}"
            )
            yield f"qdisc replace dev {device} parent {number} handle {session.class_id:x}: {self._leaf(kbps)}"

    def _leaf(self, kbps: int) -> str:
        if self.fair:
            return "fq_codel"
        return f"bfifo limit {max(16 * 1514, int(kbps * 125 * LEAF_DELAY_S))}"

    async def _each_chunk(self, lines: list[str]) -> None:
        if not self.works:
            return
        for start in range(0, len(lines), CHUNK):
            try:
                await kernel.shape(lines[start : start + CHUNK], forgiving=True)
            except KernelError as error:
                log.error("a rate could not be set: %s", error)

    async def _standing(self, device: str, handle: str) -> bool:
        return f"qdisc htb {handle}: root" in await kernel.queueing(device)

    async def _has_fq_codel(self) -> bool:
        device, handle = self._sides[0]
        number = f"{handle}:{PROBE_CLASS:x}"
        try:
            await kernel.shape(
                [
                    f"class replace dev {device} parent {handle}: classid {number} htb rate 1mbit",
                    f"qdisc replace dev {device} parent {number} fq_codel",
                ]
            )
        except KernelError:
            return False
        finally:
            await kernel.shape([f"class del dev {device} classid {number}"], forgiving=True)
        return True
