"""Structured logs: a fixed sentence and facts beside it. Never a code, password or token."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

SECRET_WORDS = ("password", "secret", "token", "code", "authorization", "cookie")
HARMLESS = frozenset({"error_code", "code_style", "status_code", "exit_code"})


def configure(level: str) -> None:
    """Send everything to standard error: readable on a terminal, JSON lines elsewhere. Tracebacks show no values."""
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    if sys.stderr.isatty():
        chain.append(structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback))
    else:
        chain += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def hide_secrets(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """The net under our own care: a fact whose name sounds secret is never written."""
    for name in event:
        if name not in HARMLESS and any(word in name.lower() for word in SECRET_WORDS):
            event[name] = "***"
    return event
