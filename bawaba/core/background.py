"""A thread of the process that works by itself until it is stopped."""

from __future__ import annotations

import threading

STOP_S = 10.0


class Background:
    """Who inherits writes `_work`: it goes on until `_stopping` is set, and rests on `_woken`, which `wake` sets."""

    def __init__(self, name: str) -> None:
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do: now, not at the next look."""
        self._woken.set()

    def stop(self) -> None:
        """End after what is under way, 10 s at most."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _work(self) -> None:
        raise NotImplementedError
