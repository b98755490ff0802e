"""Is this process alive, and can it do its work?"""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy import text

from bawaba.core.clock import SystemClock
from bawaba.web.guard import open_to_everyone, runtime

bp = APIBlueprint("health", __name__)


@bp.get("/healthz")
@open_to_everyone
def healthz() -> dict[str, Any]:
    """The process answers."""
    return {"status": "ok"}


@bp.get("/readyz")
@open_to_everyone
def readyz() -> dict[str, Any]:
    """The database answers too (503 `database_away` when it does not); and whether the machine's clock was moved."""
    rt = runtime()
    rt.read(lambda db: db.execute(text("SELECT 1")).scalar())
    jump_s = rt.clock.jump_s() if isinstance(rt.clock, SystemClock) else 0.0
    return {"status": "ok", "clock_moved_seconds": round(jump_s)}
