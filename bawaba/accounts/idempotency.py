"""A create that is sent twice happens once, and its sender gets the first answer again.

The key is written in the transaction that creates the thing (`Once.record`), so the two are there together or not at
all, whichever process dies when. Two requests with one key race for one unique index: the loser's transaction is
rolled back, and it answers as the winner did. The answer itself is kept afterwards, sealed, for it may hold a code; a
process that died before that is made good by `again`, which tells the answer anew from what was created.

    @bp.post("/api/vouchers")
    @requires("vouchers:create")
    @takes(VoucherIn)
    @idempotent(again=show_card)              # show_card(voucher_id) -> the body; None for what is not kept (secrets)
    def make_card() -> tuple[dict[str, Any], int]:
        return card_out(making.make_card(runtime(), actor(), order, once())), 201

    def _make_card(db, …, once: Once | None):
        …
        if once is not None:
            once.record(db, voucher.id)
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

import orjson
from flask import Response, current_app, g, request
from flask.typing import ResponseReturnValue
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from bawaba.accounts.errors import IdempotencyConflict, IdempotencyInProgress
from bawaba.accounts.models import IdempotencyKey
from bawaba.core.errors import Invalid, field_fault
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.web.guard import actor, runtime

View = TypeVar("View", bound=Callable[..., Any])
Again = Callable[[int], Any]
HEADER = "Idempotency-Key"
NO_KEY = "must be 1 to 128 printable characters"
REPLAYED = "Idempotent-Replayed"
KEY_MOST = 128
KEPT = timedelta(days=1)
LONGEST_REQUEST = timedelta(seconds=10)  # after that the first request is not at work any more, it is dead
LOOKS = 40
LOOK_EVERY_S = 0.05
INSERT = Statement(
    "INSERT INTO idempotency_key (user_id, key, request_digest, subject_id, status, created_at) "
    "VALUES (:user_id, :key, :request_digest, :subject_id, 0, :now) ON CONFLICT (user_id, key) DO NOTHING"
)


class KeyTaken(Exception):
    """Another request with this key was first; what this one did is rolled back."""


@dataclass(frozen=True, slots=True)
class Once:
    """One use of a key: by whom, for which request."""

    user_id: int
    key: str
    request_digest: bytes
    now: datetime

    def record(self, db: Session, subject_id: int) -> None:
        """Write the key beside what it created (step). Raises `KeyTaken` when another request was first."""
        mine = (IdempotencyKey.user_id == self.user_id, IdempotencyKey.key == self.key)
        db.execute(delete(IdempotencyKey).where(*mine, IdempotencyKey.created_at < self.now - KEPT))
        row = {"user_id": self.user_id, "key": self.key, "request_digest": self.request_digest}
        if not INSERT.run(db, **row, subject_id=subject_id, now=self.now):
            raise KeyTaken()


class _Malformed(Once):
    """A key that none can be. It is refused where it would be recorded: after what is unknown or not allowed."""

    def record(self, db: Session, subject_id: int) -> None:
        raise field_fault(HEADER, NO_KEY)


def _refused(view: View, args: Any, kwargs: Any) -> ResponseReturnValue:
    """What the view says to a key that none can be: with its own faults of what was sent, where there are some."""
    try:
        return view(*args, **kwargs)  # type: ignore[no-any-return]
    except Invalid as fault:
        if type(fault) is not Invalid:
            raise
        raise Invalid(fields={**fault.details.get("fields", {}), HEADER: [NO_KEY]}) from fault


def form_once() -> Once | None:
    """The key that this page's form was given, so that a second click or a reload makes nothing twice."""
    key, user_id = request.form.get("once", "")[:64], actor().user_id
    if not key or user_id is None:
        return None
    sent = "&".join(f"{name}={value}" for name, value in sorted(request.form.items()))
    return Once(user_id, f"form-{key}", hashlib.sha256(sent.encode()).digest(), runtime().clock.now())


def made_before(db: Session, user_id: int, key: str) -> int | None:
    """The id of what was made with a key; None for a key that was never used (step)."""
    return db.scalar(
        select(IdempotencyKey.subject_id).where(IdempotencyKey.user_id == user_id, IdempotencyKey.key == key)
    )


def once() -> Once | None:
    """The key of this request, for the use case to record; None when it carries none."""
    found: Once | None = g.get("once")
    return found


def prune(db: Session, now: datetime) -> None:
    """Forget keys older than a day (step)."""
    db.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT))


def idempotent(again: Again | None = None, status: int = 201) -> Callable[[View], View]:
    """Give a create view its `Idempotency-Key`. Stands below the permission, above the view.

    `again(id)` tells the body of the answer from what was created, for the one case that the answer was never kept;
    without it (secrets that are shown once) such a repeat is refused.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        def answered(*args: Any, **kwargs: Any) -> ResponseReturnValue:
            used = _once_of_request()
            if used is None:
                return view(*args, **kwargs)  # type: ignore[no-any-return]
            g.once = used
            rt = runtime()
            if isinstance(used, _Malformed):
                return _refused(view, args, kwargs)
            kept = rt.read(_find, used)
            if kept is None:
                try:
                    return _keep(rt, used, current_app.make_response(view(*args, **kwargs)))
                except KeyTaken:
                    pass
            return _replay(rt, used, again, status)

        return answered  # type: ignore[return-value]

    return wrap


def _once_of_request() -> Once | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    user_id = actor().user_id
    assert user_id is not None
    fits = 0 < len(key) <= KEY_MOST and key.isascii() and key.isprintable()
    return (Once if fits else _Malformed)(user_id, key, _request_digest(), runtime().clock.now())


def _request_digest() -> bytes:
    """What was asked for: the same JSON in another order of fields is the same request."""
    raw = request.get_data(cache=True)
    if request.is_json:
        with suppress(orjson.JSONDecodeError):  # the view will refuse it
            raw = orjson.dumps(orjson.loads(raw), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(b"\0".join([request.method.encode(), request.full_path.encode(), raw])).digest()


@dataclass(frozen=True, slots=True)
class _Kept:
    request_digest: bytes
    subject_id: int
    status: int
    answer: bytes | None
    created_at: datetime


def _find(db: Session, used: Once) -> _Kept | None:
    columns = [getattr(IdempotencyKey, field.name) for field in fields(_Kept)]
    mine = (IdempotencyKey.user_id == used.user_id, IdempotencyKey.key == used.key)
    row = db.execute(select(*columns).where(*mine, IdempotencyKey.created_at >= used.now - KEPT)).one_or_none()
    return _Kept(*row) if row is not None else None


def _keep(rt: Runtime, used: Once, answer: Response) -> Response:
    """Keep the answer of a create that happened; refusals are not kept, for nothing happened."""
    if answer.status_code >= 400:
        return answer
    words = orjson.dumps([answer.mimetype, answer.headers.get("Location"), answer.get_data(as_text=True)])
    sealed = rt.keyring.encrypt(words, _context(used))
    if not rt.transact(_store, used, answer.status_code, sealed):
        raise RuntimeError("an idempotent view created something without Once.record")
    return answer


def _store(db: Session, used: Once, status: int, sealed: bytes) -> int:
    mine = (IdempotencyKey.user_id == used.user_id, IdempotencyKey.key == used.key)
    result: Any = db.execute(update(IdempotencyKey).where(*mine).values(status=status, answer=sealed))
    return int(result.rowcount)


def _replay(rt: Runtime, used: Once, again: Again | None, status: int) -> ResponseReturnValue:
    """The first answer; while the first request is still at work on it, wait a moment."""
    for _ in range(LOOKS):
        kept = rt.read(_find, used)
        if kept is None:
            break  # pruned this very moment
        if kept.request_digest != used.request_digest:
            raise IdempotencyConflict()
        if kept.answer is not None:
            return _open(rt, used, kept.status, kept.answer)
        if used.now - kept.created_at > LONGEST_REQUEST:
            return _tell_anew(kept.subject_id, again, status)
        time.sleep(LOOK_EVERY_S)
    raise IdempotencyInProgress()


def _tell_anew(subject_id: int, again: Again | None, status: int) -> Response:
    """The answer was never kept: its process died after the create. What was created is still there."""
    if again is None:
        raise IdempotencyInProgress()
    return _replayed(current_app.make_response((again(subject_id), status)))


def _open(rt: Runtime, used: Once, status: int, sealed: bytes) -> Response:
    mimetype, location, text = orjson.loads(rt.keyring.decrypt(sealed, _context(used)))
    answer = Response(text, status, mimetype=mimetype)
    if location is not None:
        answer.headers["Location"] = location
    return _replayed(answer)


def _replayed(answer: Response) -> Response:
    answer.headers[REPLAYED] = "true"
    return answer


def _context(used: Once) -> bytes:
    return f"idempotency {used.user_id} {used.key}".encode()
