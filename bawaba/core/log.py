"""Structured logs: a fixed sentence and facts beside it. Never a code, password or token."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import structlog

SECRET_WORDS = ("password", "secret", "token", "code", "authorization", "cookie")
HARMLESS = frozenset({"error_code", "code_style", "status_code", "exit_code"})


class RotatingFile:
    """A log file that is set aside at a size, of which the newest `files` are kept: log, log.1, log.2 … A disk that is
    full loses lines, and nothing else."""

    def __init__(self, path: Path, most_bytes: int, files: int) -> None:
        self._path, self._most_bytes, self._files = path, most_bytes, files
        self._lock = threading.Lock()
        self._handle = self._open()
        self._size = os.fstat(self._handle).st_size

    def write(self, text: str) -> None:
        """Append a line; set the file aside when it is full."""
        line = text.encode("utf-8", "backslashreplace")
        with self._lock:
            try:
                if self._size + len(line) > self._most_bytes:
                    self._set_aside()
                self._size += os.write(self._handle, line)
            except OSError as error:
                sys.stderr.write(f"the log could not be written: {error.strerror}\n")

    def flush(self) -> None:
        """Nothing is held back."""

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def _set_aside(self) -> None:
        for number in range(self._files - 1, 0, -1):
            older = self._named(number - 1)
            if older.exists():
                older.replace(self._named(number))
        if self._files == 1:
            self._path.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle, self._size = self._open(), 0

    def _named(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def configure(level: str, form: str = "auto", file: Any = None) -> None:
    """Send everything to `file`, standard error unless given, as JSON lines or as text; `auto` is text on a terminal.
    Tracebacks show no values."""
    out = file or sys.stderr
    is_terminal = file is None and sys.stderr.isatty()
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    if form == "text" or (form == "auto" and is_terminal):
        plain = structlog.dev.plain_traceback
        chain.append(structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=plain))
    else:
        chain += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=out, format="%(levelname)s %(name)s %(message)s")


def hide_secrets(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """The net under our own care: a fact whose name sounds secret is never written."""
    for name in event:
        if name not in HARMLESS and any(word in name.lower() for word in SECRET_WORDS):
            event[name] = "***"
    return event
