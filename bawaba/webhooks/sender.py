"""The thread that sends what webhooks are to be told, and keeps the memory of who wants to hear of what."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bawaba.core.background import Background
from bawaba.core.errors import Problem
from bawaba.core.outward import TELLER
from bawaba.core.runtime import Runtime
from bawaba.webhooks import outbox, posting, sending
from bawaba.webhooks.outbox import Outbox
from bawaba.webhooks.posting import Letter, Outcome

log = structlog.get_logger(__name__)
LOOK_EVERY_S = 1.0
REFRESH_EVERY = 3  # looks


class Sender(Background):
    """One a process. Several may send at once: a message is leased to one of them, and what was not noted before a
    stop is sent again by the next."""

    def __init__(self, rt: Runtime) -> None:
        super().__init__("webhooks")
        self._rt = rt
        self._outbox = Outbox(rt.rng)
        rt.database.info[TELLER] = self._outbox

    def start(self) -> None:
        """Begin. Who wants to hear of what is known before anything can happen."""
        self.refresh()
        super().start()

    def refresh(self) -> None:
        """Read anew who wants to hear of what."""
        self._outbox.refresh(self._rt.read(outbox.wanted))

    def round(self) -> int:
        """Send what is due, some at a time; how many were tried."""
        rt, tried = self._rt, 0
        while not self._stopping.is_set() and rt.read(sending.anything_due, rt.clock.now()):
            letters = rt.transact(sending.take, rt.keyring, rt.clock.now())
            asyncio.run(self._send_all(letters))
            tried += len(letters)
        return tried

    def send_now(self, delivery_id: int) -> Outcome:
        """Try one message at once, in the caller's thread (5 s at most)."""
        letter = self._rt.transact(sending.take_one, self._rt.keyring, delivery_id, self._rt.clock.now())
        return asyncio.run(self._send(letter))

    async def _send_all(self, letters: list[Letter]) -> None:
        await asyncio.gather(*(self._send(letter) for letter in letters))

    async def _send(self, letter: Letter) -> Outcome:
        rt = self._rt
        outcome = await posting.post(letter, int(rt.clock.now().timestamp()))
        for event in await rt.transact_async(sending.note, letter, outcome, rt.clock.now(), rt.rng.random()):
            rt.publish(event)
        return outcome

    def _work(self) -> None:
        looks = 0
        while not self._stopping.is_set():
            self._woken.clear()
            looks += 1
            try:
                if looks % REFRESH_EVERY == 0:
                    self.refresh()
                self.round()
            except (Problem, SQLAlchemyError, OSError) as error:
                log.warning("webhooks were put off", error=str(error))
            except Exception:
                log.exception("webhooks could not be sent")
            self._woken.wait(LOOK_EVERY_S)


def sender(rt: Runtime) -> Sender:
    """This process's."""
    found: Sender = rt.parts["webhooks"]
    return found
