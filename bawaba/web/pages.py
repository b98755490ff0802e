"""What templates can say: sentences, numbers, times, and who is signed in."""

from __future__ import annotations

from typing import Any

from flask import Flask, g

from bawaba.web import guard, language


def install(app: Flask) -> None:
    """Give Jinja the reader's language and our ways to write things."""
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        _=language.translate,
        ngettext=language.translate_count,
        number=language.number,
        money=language.money,
        moment=language.moment,
        clock_time=language.clock_time,
        size=language.size,
        span=language.span,
        rate=language.rate,
        languages=language.languages,
    )

    @app.context_processor
    def about_the_reader() -> dict[str, Any]:
        spoken = language.current()
        caller = guard.caller()
        return {
            "lang": spoken,
            "dir": language.direction(spoken),
            "me": caller.actor if caller else None,
            "csrf_token": caller.csrf if caller else "",
            "request_id": g.get("request_id", ""),
        }
