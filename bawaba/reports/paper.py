"""A report on A4, set by a process of its own: the typesetter stays out of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import structlog

from bawaba.core.errors import Unavailable
from bawaba.core.runtime import Runtime
from bawaba.reports import words
from bawaba.reports.summary import Report
from bawaba.sites.models import Site
from bawaba.web import language
from bawaba.web.language import translate as _
from bawaba.web.messages import say

log = structlog.get_logger(__name__)
DEADLINE_S = 60.0
WAIT_FOR_TURN_S = 20.0
_turn = threading.BoundedSemaphore(1)


class ReportNotSet(Unavailable):
    """The report could not be put on paper; the log says why."""

    code = "report_not_set"


say(report_not_set="The report could not be put on paper. Try again in a minute.")


def on_paper(rt: Runtime, site: Site, found: Report) -> Path:
    """The report as a PDF in the reader's language: a file for one download. Raises `ReportNotSet`."""
    folder = rt.config.data_dir / "outgoing"
    folder.mkdir(mode=0o700, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".pdf")
    os.close(handle)
    if not _turn.acquire(timeout=WAIT_FOR_TURN_S):
        Path(name).unlink()
        raise ReportNotSet()
    try:
        _set(facts(site, found, language.moment(rt.clock.now(), site.time_zone)), Path(name))
    finally:
        _turn.release()
    return Path(name)


def facts(site: Site, found: Report, made_at: str) -> dict[str, Any]:
    """All words and figures of the sheet, in the reader's language."""
    spoken = language.current()
    totals = found.totals
    income = dict(totals.income)
    return {
        "language": spoken.split("-")[0].split("_")[0],
        "direction": language.direction(spoken),
        "title": _("Sales and use"),
        "site": site.name,
        "days": f"{found.time.first.isoformat()} – {found.time.last.isoformat()}",
        "made": made_at,
        "figures": [
            [_("Income"), words.income_words(site, income)],
            [_("Cards sold"), language.number(totals.cards)],
            [_("Sessions"), language.number(totals.sessions)],
            [_("Data"), language.size(totals.up + totals.down)],
        ],
        "head": [_(words.HEADINGS[found.by]), _("Cards"), _("Income"), _("Sessions"), _("Time online"), _("Data")],
        "rows": [
            [
                words.line_name(found.by, line),
                language.number(line.cards),
                words.income_words(site, line.income),
                language.number(line.sessions),
                language.span(line.seconds),
                language.size(line.up + line.down),
            ]
            for line in found.lines
        ],
    }


def _set(said: dict[str, Any], path: Path) -> None:
    command = [sys.executable, "-m", "bawaba.reports.typesetting", str(path)]
    try:
        subprocess.run(command, input=json.dumps(said).encode(), check=True, capture_output=True, timeout=DEADLINE_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        path.unlink(missing_ok=True)
        log.error("a report could not be set", said=(error.stderr or b"").decode(errors="replace")[-2000:])
        raise ReportNotSet() from error
