"""News between the processes of one installation, over one Redis channel."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import orjson
import structlog

from bawaba.realtime.hub import Hub

CHANNEL = "bawaba:events"
MOST_WAITING = 1000
AT_ONCE = 100
ASK_EVERY_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0

log = structlog.get_logger(__name__)


class Fanout:
    """The hub's relay. Nothing is echoed to the process that it came from.

    While Redis is away news reach the own process only. When it is back everybody who may have missed some is told to
    read afresh: our own pages after each break of the subscription, the others' after each loss of what we had to say.
    """

    def __init__(self, redis_url: str, hub: Hub, channel: str = CHANNEL) -> None:
        self._url, self._hub, self._channel = redis_url, hub, channel
        self._me = secrets.token_hex(8)
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)
        self._lost = False
        self._listening = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Connect in the background; called in the loop."""
        self._tasks = [
            asyncio.create_task(self._for_ever(self._listen)),
            asyncio.create_task(self._for_ever(self._tell)),
        ]
        self._hub.set_relay(self)

    async def stop(self) -> None:
        """Disconnect."""
        self._hub.set_relay(None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_until_listening(self) -> None:
        """Return once the subscription stands."""
        await self._listening.wait()

    def send(self, kind: str, fields: dict[str, Any]) -> None:
        """Tell the hubs of the other processes, soon."""
        data = orjson.dumps({"origin": self._me, "kind": kind, "fields": fields}, option=orjson.OPT_UTC_Z)
        try:
            self._waiting.put_nowait(data)
        except asyncio.QueueFull:
            self._lost = True

    async def _for_ever(self, work: Any) -> None:
        """Connect and work; after a break connect again, with pauses that grow."""
        from redis.asyncio import Redis  # 19 MiB, for those who scale out only
        from redis.exceptions import RedisError

        pause_s = FIRST_PAUSE_S
        while True:
            began = asyncio.get_running_loop().time()
            client = Redis.from_url(self._url, socket_connect_timeout=3, socket_keepalive=True)
            try:
                await work(client)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("Redis does not answer, pages hear only of their own process", error=str(error))
            finally:
                await client.aclose()
            if asyncio.get_running_loop().time() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _listen(self, client: Any) -> None:
        broke_before = self._listening.is_set()
        async with client.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            await self._next(subscription)  # the confirmation
            self._listening.set()
            if broke_before:
                log.info("Redis is back, open pages start afresh")
                self._hub.resync()
            while True:
                message = await self._next(subscription)
                if message["type"] == "message":
                    self._hear(message["data"])

    async def _next(self, subscription: Any) -> dict[str, Any]:
        """The next message, or the answer to our own question whether Redis is still there."""
        message: dict[str, Any] | None = await subscription.get_message(timeout=ASK_EVERY_S)
        if message is None:
            await subscription.ping()
            message = await subscription.get_message(timeout=ASK_EVERY_S)
        if message is None:
            raise TimeoutError("no answer to a ping")
        return message

    def _hear(self, data: bytes) -> None:
        try:
            said = orjson.loads(data)
            if said["origin"] != self._me:
                self._hub.told(said["kind"], said["fields"])
        except (ValueError, KeyError, TypeError):
            log.exception("another process said something that we do not understand")

    async def _tell(self, client: Any) -> None:
        """Publish what waits, many at once when many wait."""
        await client.ping()
        if self._lost:
            self._lost = False
            self.send("resync", {})
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty() and len(batch) < AT_ONCE:
                batch.append(self._waiting.get_nowait())
            try:
                async with client.pipeline(transaction=False) as pipeline:
                    for data in batch:
                        pipeline.publish(self._channel, data)
                    await pipeline.execute()
            except BaseException:
                self._lost = True
                raise
