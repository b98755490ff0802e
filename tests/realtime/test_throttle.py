"""At most one update for a session in the time, its start and end at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bawaba.core.broadcast import Audience
from bawaba.realtime.throttle import Message, SessionThrottle

NOBODY = Audience(frozenset())


def update(bytes_down: int, *, session_id: int = 7, urgent: bool = False) -> Message:
    body = {"type": "session_update", "session": {"id": session_id, "bytes_down": bytes_down}}
    return Message(body, NOBODY, urgent)


class SteppingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock steps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._look = self._selector.select  # type: ignore[attr-defined] # selector_events.py
        self._selector.select = self._step  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now

    def _step(self, timeout: float | None) -> Any:
        self._now += timeout or 0
        return self._look(0)


def sent(steps: Sequence[tuple[float, Message]]) -> list[tuple[float, int]]:
    """Take each message at its second; what was sent, and when."""
    out: list[tuple[float, int]] = []
    faults: list[dict[str, Any]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, fault: faults.append(fault))

        def send(message: Message) -> None:
            out.append((round(loop.time(), 3), message.body["session"]["bytes_down"]))

        throttle = SessionThrottle(send, send)
        for at, message in steps:
            loop.call_at(at, throttle.take, message)
        await asyncio.sleep(60)
        assert not throttle._windows, "what is over is forgotten"

    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        runner.run(run())
    assert not faults
    return out


def test_the_first_goes_at_once_and_the_last_when_the_time_is_over() -> None:
    steps = [(0, update(1)), (1, update(2)), (4.9, update(3))]
    assert sent(steps) == [(0, 1), (5, 3)]


def test_what_was_held_begins_the_time_anew() -> None:
    steps = [(0, update(1)), (2, update(2)), (7, update(3))]
    assert sent(steps) == [(0, 1), (5, 2), (10, 3)]


def test_a_start_or_end_goes_at_once_and_nothing_older_comes_after_it() -> None:
    steps = [(0, update(1)), (1, update(2)), (3, update(3, urgent=True))]
    assert sent(steps) == [(0, 1), (3, 3)]


def test_the_time_counts_from_the_last_one_sent() -> None:
    steps = [(0, update(1)), (3, update(2, urgent=True)), (6, update(3))]
    assert sent(steps) == [(0, 1), (3, 2), (8, 3)]


def test_each_session_has_its_own_time() -> None:
    steps = [(0, update(1)), (1, update(2, session_id=8)), (2, update(3, session_id=9)), (11, update(4))]
    assert sent(steps) == [(0, 1), (1, 2), (2, 3), (11, 4)]
