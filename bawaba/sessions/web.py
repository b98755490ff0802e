"""The pages of sessions: who is online, who was, and ending one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bawaba.routers import queries as routers
from bawaba.sessions import queries, service
from bawaba.sessions.models import GuestSession
from bawaba.web import pages
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.language import span
from bawaba.web.language import translate as _
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("sessions_pages", __name__, enable_openapi=False)
CAUSES = {  # RADIUS's words (RFC 2866, 5.10) in ours
    "Session-Timeout": "Time over",
    "Idle-Timeout": "Phone went away",
    "NAS-Request": "Data used up",
    "User-Request": "Logged out",
    "Admin-Reset": "Disconnected by staff",
    "Port-Preempted": "Moved to another phone",
    "NAS-Reboot": "Router restarted",
    "Lost-Carrier": "Phone went away",
    "NAS-Error": "Router failed",
    "Lost-Service": "No longer reported by the router",
    "Admin-Reboot": "Router restarted",
}

pages.say(session_ended="The device is offline.")


@dataclass(frozen=True, slots=True)
class SessionLine:
    """One session in a list."""

    session: GuestSession
    serial: str
    router: str


@bp.app_template_global("cause")
def cause_in_words(cause: str | None) -> str:
    """Why a session ended, in words; an empty text when that is not known."""
    return _(CAUSES.get(cause, cause)) if cause else ""


@bp.get("/sessions")
@requires("sessions:read")
def list_sessions() -> Response:
    """Who is online; or who was."""
    page, ended = page_request(), request.args.get("ended") == "true"

    def read(db: Session) -> tuple[list[SessionLine], int, list[routers.Unread]]:
        rows = queries.list_sessions(db, actor(), page, active=not ended)
        return lines(db, rows), queries.online_now(db, actor()), [] if ended else routers.unread(db, actor())

    rows, online, unread = runtime().read(read)
    found = page_of(rows, page, lambda line: line.session.id)
    return pages.show(
        "sessions/list.html", "sessions/_list.html", page=found, ended=ended, online=online, unread=unread
    )


@bp.get("/sessions/<int:session_id>/end")
@requires("sessions:terminate")
def ask_to_end(session_id: int) -> Response:
    """What ending a session means."""
    session, serial = runtime().read(queries.get_session, actor(), session_id)
    now, back = runtime().clock.now(), pages.back_to("/sessions")
    facts = [_("It uses card %(serial)s.", serial=pages.ltr(serial))]
    if session.start_time is not None:
        facts = [_("It has been online for %(span)s.", span=span((now - session.start_time).total_seconds())), *facts]
    facts.append(_("The card is not switched off: with what is left on it, the guest can come back."))
    return pages.show(
        "question.html",
        question=_("Disconnect %(device)s?", device=pages.ltr(session.client_mac)),
        facts=[" ".join(facts[:-1]), facts[-1]],
        verb=_("Disconnect"),
        action=f"/sessions/{session_id}/end",
        back=back,
        hidden={"back": back},
        destroys=True,
    )


@bp.post("/sessions/<int:session_id>/end")
@requires("sessions:terminate")
def end_session(session_id: int) -> ResponseReturnValue:
    """End a session, here and on its router."""
    service.terminate(runtime(), actor(), session_id)
    return pages.go(pages.back_to("/sessions"), "session_ended")


def lines(db: Session, rows: Sequence[queries.Row]) -> list[SessionLine]:
    """Sessions with the names of their routers (step)."""
    names = routers.names(db, {session.router_id for session, _serial in rows})
    return [SessionLine(session, serial, names.get(session.router_id, "")) for session, serial in rows]
