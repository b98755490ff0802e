"""Numbers that only grow: over restarts, reboots, and clocks that were set back."""

from __future__ import annotations

import logging
import time
from pathlib import Path

log = logging.getLogger(__name__)

RESERVE = 10_000_000  # so many are promised to the file at a time


class Epochs:
    """Names each life of a counter by milliseconds of wall time, or by one more than the largest ever given."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "epoch"
        self._promised = self._read()
        self._last = self._promised

    def next(self) -> int:
        """A number larger than every one before."""
        self._last = max(self._last + 1, int(time.time() * 1000))
        if self._last >= self._promised:
            self._promise(self._last + RESERVE)
        return self._last

    def met(self, epoch: int) -> None:
        """This number is in use; those to come are larger."""
        self._last = max(self._last, epoch)

    def continue_from(self, epoch: int) -> None:
        """The life that began with `epoch` goes on: what the file promised above it need not be skipped."""
        self._last = max(epoch, min(self._last, int(time.time() * 1000)))

    def _read(self) -> int:
        try:
            return int(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _promise(self, highest: int) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new = self._file.with_suffix(".new")
            new.write_text(str(highest), encoding="ascii")
            new.replace(self._file)
        except OSError as error:
            log.warning("the epoch cannot be kept in %s: %s", self._file, error)
        self._promised = highest
