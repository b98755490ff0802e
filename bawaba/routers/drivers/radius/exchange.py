"""Asking a NAS over UDP and waiting for its signed answer; the same packet again when none comes (RFC 5176, 2.3)."""

from __future__ import annotations

import asyncio
from typing import Any

from bawaba.routers.driver import RouterAuthFailed, RouterRejected, RouterUnreachable
from bawaba.routers.drivers.radius import packet

TRIES = 3
TRY_S = 1.5  # three of them within the 5 s that a kick may take


class Exchange(asyncio.DatagramProtocol):
    """One socket to one NAS. Many questions at once, told apart by their number."""

    def __init__(self, address: str, port: int, secret: bytes) -> None:
        self._address, self._port, self._secret = address, port, secret
        self._transport: asyncio.DatagramTransport | None = None
        self._opening = asyncio.Lock()
        self._waiting: dict[int, tuple[bytes, asyncio.Future[tuple[int, int | None]]]] = {}
        self._forged: set[int] = set()
        self._last = -1

    async def ask(self, code: int, attributes: packet.Attributes) -> tuple[int, int | None]:
        """The answer's code and Error-Cause. Raises `RouterUnreachable` (the outcome is unknown), or
        `RouterAuthFailed` when all that came back was signed with another secret."""
        transport = await self._open()
        number = self._free_number()
        asked = packet.request(code, number, attributes, self._secret)
        answered: asyncio.Future[tuple[int, int | None]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (asked, answered)
        try:
            for _ in range(TRIES):
                transport.sendto(asked)
                done, _pending = await asyncio.wait([answered], timeout=TRY_S)
                if done:
                    return answered.result()
        finally:
            self._waiting.pop(number, None)
            answered.cancel()
        if number in self._forged:
            self._forged.discard(number)
            raise RouterAuthFailed("the NAS answers with another secret than ours")
        raise RouterUnreachable(f"no answer from {self._address} port {self._port}", outcome_known=False)

    def close(self) -> None:
        """Let go of the socket."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def _open(self) -> asyncio.DatagramTransport:
        async with self._opening:
            if self._transport is None or self._transport.is_closing():
                loop = asyncio.get_running_loop()
                try:
                    self._transport, _ = await loop.create_datagram_endpoint(
                        lambda: self, remote_addr=(self._address, self._port)
                    )
                except OSError as error:
                    raise RouterUnreachable(f"{self._address} cannot be reached: {error}") from error
            return self._transport

    def _free_number(self) -> int:
        for step in range(1, 257):
            number = (self._last + step) % 256
            if number not in self._waiting:
                self._last = number
                self._forged.discard(number)
                return number
        raise RouterRejected("256 questions wait for this NAS already")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        asked, answered = self._waiting.get(data[1] if len(data) > 1 else -1, (b"", None))
        if answered is None or answered.done():
            return
        try:
            answered.set_result(packet.answer(data, asked, self._secret))
        except packet.Forged:
            self._forged.add(data[1])  # the true answer may still come

    def error_received(self, exc: Exception) -> None:
        for _, answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(RouterUnreachable(f"{self._address} port {self._port}: {exc}"))
