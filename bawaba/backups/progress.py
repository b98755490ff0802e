"""How far a run is: its lease renewed and its progress written while it works, its steps ended at their deadlines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bawaba.backups import runs
from bawaba.backups.errors import Interrupted, TooSlow
from bawaba.backups.models import BackupRun
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime

log = structlog.get_logger(__name__)
HOUR_S = 3600.0
STEPS = {  # and the deadline of each, in seconds
    "waiting": HOUR_S,
    "dump": 2 * HOUR_S,
    "pack": 2 * HOUR_S,
    "upload": 12 * HOUR_S,
    "confirm": 12 * HOUR_S,
    "drill": 3 * HOUR_S,
    "prune": HOUR_S / 4,
}
WRITE_EVERY_S = 1.0
RENEW_EVERY_S = 10.0
Told = Callable[[str, int], object]  # a step's name, thousandths


class Progress:
    """One run at work. `beat`, called from its loops, ends the step that takes too long or whose lease is lost."""

    def __init__(self, rt: Runtime, run: BackupRun, owner: str) -> None:
        self._rt, self._run_id, self._owner = rt, run.id, owner
        self._step, self._thousandths, self._until = run.step, 0, time.monotonic() + STEPS["waiting"]
        self._lost, self._failed_in = False, ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="backup-lease", daemon=True)
        self.told: Told = lambda step, thousandths: None

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def current(self) -> str:
        """The step's name: of a run that has failed, of the first that did, whatever was tidied up after it."""
        return self._failed_in or self._step

    @contextmanager
    def step(self, name: str, deadline_s: float | None = None) -> Iterator[None]:
        """A step of the run, from here to the end of the block."""
        self._step, self._thousandths = name, 0
        self._until = time.monotonic() + (STEPS[name] if deadline_s is None else deadline_s)
        self._write()
        try:
            yield
            self.beat()
        except BaseException:
            self._failed_in = self._failed_in or name
            raise

    def beat(self, done: int = 0, total: int = 0) -> None:
        """Still at work. Raises `TooSlow`, `Interrupted`."""
        if total:
            self._thousandths = min(1000, done * 1000 // total)
        if self._lost:
            raise Interrupted()
        if time.monotonic() > self._until:
            raise TooSlow(step=self._step)

    def note(self, **facts: Any) -> None:
        """Write down what came of the work so far. Raises `Interrupted` when the run is not ours any more."""
        now = self._rt.clock.now()
        if not self._rt.transact(runs.go_on, self._run_id, self._owner, facts, now):
            self._lost = True
            raise Interrupted()

    def _write(self) -> None:
        self.note(step=self._step, progress=self._thousandths)
        self.told(self._step, self._thousandths)

    def _renew(self) -> None:
        written, renewed = ("", 0), time.monotonic()
        while not self._stopping.wait(WRITE_EVERY_S):
            now = (self._step, self._thousandths)
            if now == written and time.monotonic() - renewed < RENEW_EVERY_S:
                continue
            try:
                self._write()
                written, renewed = now, time.monotonic()
            except Interrupted:
                return
            except (Problem, SQLAlchemyError) as error:
                log.warning("the progress of a backup could not be written", error=str(error))
