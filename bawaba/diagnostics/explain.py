"""How the database would carry out a statement, asked beside the request that it was slow in (steps).

Only placeholders were kept of its values, so PostgreSQL is asked for the plan that holds for any (`plan_cache_mode`).
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.orm import Session

EXPLAINS = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
NAMED = re.compile(r"%\(\w+\)s")
LINES_MOST = 40
DEADLINE_MS = 2000


def plan_of(db: Session, statement: str) -> list[str]:
    """The plan, a line for each step of it; empty for what has none. Nothing is carried out."""
    if not statement.lstrip().upper().startswith(EXPLAINS) or ";" in statement:
        return []
    raw = db.info["raw"]
    try:
        lines = _of_sqlite(raw, statement) if db.info["sqlite"] else _of_postgresql(raw, statement)
    except Exception as error:  # noqa: BLE001 a plan is a help, whatever the driver says
        return [f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"]
    return lines[:LINES_MOST]


def _of_sqlite(raw: Any, statement: str) -> list[str]:
    rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?")).fetchall()
    depth = {0: -1}
    lines = []
    for number, parent, _unused, words in rows:
        depth[number] = depth.get(parent, -1) + 1
        lines.append("  " * depth[number] + words)
    return lines


def _of_postgresql(raw: Any, statement: str) -> list[str]:
    count = len(NAMED.findall(statement))
    numbers = iter(range(1, count + 1))
    text = NAMED.sub(lambda _: f"${next(numbers)}", statement).replace("%%", "%")
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    raw.execute(f"SET LOCAL statement_timeout = {DEADLINE_MS}")
    raw.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    raw.execute(f"PREPARE explained AS {text}")
    try:
        return [line for (line,) in raw.execute(f"EXPLAIN EXECUTE explained{values}").fetchall()]
    finally:
        raw.execute("DEALLOCATE explained")
