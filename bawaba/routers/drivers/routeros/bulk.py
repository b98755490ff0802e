"""Cards that lie on the router: many at once, a window of them on their way at any time.

The window follows the router: a small one takes some tenths of a second for each card, and a guest who wants in must
not wait behind sixty of them. What was not taken when the time is over, or when the link broke, is said to be so; asked
again, those that are there already cost one reading and no writing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime

from bawaba.routers.driver import GatewayError, Grant, Reason, Result, RouterRejected, RouterUnreachable
from bawaba.routers.drivers.routeros import words
from bawaba.routers.drivers.routeros.box import USER, USER_NAMES, Box, answer_error, understood
from bawaba.routers.drivers.routeros.client import LIST_S, Exchange, Line, Reply, Row, Words, command, reading
from bawaba.routers.drivers.routeros.refusals import is_rejected

WINDOW, WINDOW_LEAST, WINDOW_MOST = 8, 2, 64
SLOW_S = 0.5  # an answer that takes so much longer than the link does: the router is behind
BULK_S = 50.0  # of the minute that the caller gives
Answer = Reply | GatewayError


class Conveyor:
    """Sends many questions, a window at a time, for as long as the time lasts."""

    def __init__(self, box: Box, ends_at: float) -> None:
        self._box = box
        self._ends_at = ends_at
        self._window = WINDOW

    async def all(self, questions: Sequence[Words]) -> list[Answer]:
        """The answers, in order."""
        line = await self._box.api.line()
        answers: list[Answer] = []
        under_way: deque[tuple[Exchange, float]] = deque()
        for words_ in questions:
            if time.monotonic() >= self._ends_at or line.ended is not None:
                break
            await self._let_guests_first()
            under_way.append((line.ask(words_), time.monotonic()))
            if len(under_way) >= self._window:
                answers.append(await self._oldest(line, under_way))
        while under_way:
            answers.append(await self._oldest(line, under_way))
        rest = line.ended or RouterUnreachable("there was no time left for it")
        return answers + [_not_sent(rest) for _ in questions[len(answers) :]]

    async def _oldest(self, line: Line, under_way: deque[tuple[Exchange, float]]) -> Answer:
        """Wait for the oldest answer. Those that come in time widen the window, a late one halves it."""
        exchange, sent_at = under_way.popleft()
        slow = False
        if not exchange.answer.done():
            await self._box.api.wait(line, [exchange], LIST_S)
            slow = time.monotonic() - sent_at > SLOW_S + 2 * self._box.api.link_s
        self._window = max(WINDOW_LEAST, self._window // 2) if slow else min(WINDOW_MOST, self._window + 1)
        error = exchange.answer.exception()
        if isinstance(error, GatewayError):
            return error
        return exchange.answer.result()

    async def _let_guests_first(self) -> None:
        if not self._box.quiet.is_set():
            await self._box.quiet.wait()


def _not_sent(reason: GatewayError) -> GatewayError:
    return RouterUnreachable(str(reason))


async def put(box: Box, grants: Sequence[Grant]) -> list[Result]:
    """Write cards on the router. Raises only when it took none of them at all."""
    now = box.clock.now()
    results: dict[int, Result] = {}
    sound: list[tuple[int, Grant]] = []
    for place, grant in enumerate(grants):
        try:
            _check(grant, now)
            sound.append((place, grant))
        except RouterRejected as error:
            results[place] = Result(grant.key, ok=False, error=error)
    if sound:
        await box.need_profiles([grant.limits for _, grant in sound])
        answers = await _put_sound(box, [grant for _, grant in sound])
        results.update({place: result for (place, _), result in zip(sound, answers, strict=True)})
        _raise_where_the_link_broke_at_once(list(results.values()))
    return [results[place] for place in range(len(grants))]


def _check(grant: Grant, now: datetime) -> None:
    words.check(grant, now)
    if not grant.login or words.is_mac(grant.login):
        raise RouterRejected(f"{grant.key}: a router would take {grant.login!r} for something else", Reason.BAD_VALUE)


def _raise_where_the_link_broke_at_once(results: Sequence[Result]) -> None:
    errors = [result.error for result in results]
    lost = [error for error in errors if error is not None and not isinstance(error, RouterRejected)]
    if lost and len(lost) == len(errors):
        raise lost[0]


async def _put_sound(box: Box, grants: Sequence[Grant]) -> list[Result]:
    conveyor = Conveyor(box, time.monotonic() + BULK_S)
    epoch = box.now_ms()
    tags = [words.Tag(box.install, grant.key, grant.rev, epoch) for grant in grants]
    adds = [_add(box, grant, tag) for grant, tag in zip(grants, tags, strict=True)]
    answers = await conveyor.all(adds)
    results = [_added(grant, answer) for grant, answer in zip(grants, answers, strict=True)]
    for grant, tag, result in zip(grants, tags, results, strict=True):
        if result.ok:
            box.strangers.discard(grant.login)
            box.card_keys[grant.login] = tag
    there = [place for place, result in enumerate(results) if is_rejected(result.error, Reason.DUPLICATE)]
    if there:
        brought = await _bring_up_to_date(box, conveyor, [grants[place] for place in there])
        for place, result in zip(there, brought, strict=True):
            results[place] = result
    return results


def _add(box: Box, grant: Grant, tag: words.Tag) -> Words:
    values = {"name": grant.login, **_values(box, grant), "comment": str(tag)}
    return command(f"{USER}/add", values)


def _values(box: Box, grant: Grant) -> dict[str, str]:
    """What a card's user holds. A card's limits are those of its whole life, and the router counts what is used."""
    return {
        "password": grant.secret,
        "server": box.options.server or "all",
        "profile": words.profile_name(grant.limits),
        "email": words.mark(box.install, grant.key),
        **words.limits_from(grant.limits, words.Used(), box.clock.now()),
    }


def _added(grant: Grant, answer: Answer) -> Result:
    error = answer_error(answer)
    return Result(grant.key, ok=error is None, changed=error is None, error=error)


async def _bring_up_to_date(box: Box, conveyor: Conveyor, grants: Sequence[Grant]) -> list[Result]:
    """Users of these names are there: ours are changed where they differ, another's is left alone."""
    found = await conveyor.all([reading(USER, USER_NAMES, f"?name={grant.login}") for grant in grants])
    results: list[Result | None] = [None] * len(grants)
    writes: list[tuple[int, Words]] = []
    for place, (grant, answer) in enumerate(zip(grants, found, strict=True)):
        if isinstance(answer, GatewayError):
            results[place] = Result(grant.key, ok=False, error=answer)
            continue
        with understood():
            results[place], write = _compared(box, grant, answer.rows)
        if write is not None:
            writes.append((place, write))
    answers = await conveyor.all([write for _, write in writes])
    for (place, _), answer in zip(writes, answers, strict=True):
        results[place] = _added(grants[place], answer)
    return [result for result in results if result is not None]


def _compared(box: Box, grant: Grant, rows: Sequence[Row]) -> tuple[Result | None, Words | None]:
    """What is to be done about a card whose name is taken."""
    mine = [(row, tag) for row in rows if (tag := box.tag_of(row)) is not None and tag.key == grant.key]
    if not rows:
        starting = RouterRejected("the router says that the name is taken, and by nobody", Reason.BUSY)
        return Result(grant.key, ok=False, error=starting), None
    if not mine:
        taken = RouterRejected("somebody else's user has this name", Reason.DUPLICATE)
        return Result(grant.key, ok=False, error=taken), None
    row, tag = mine[0]
    box.card_keys[grant.login] = tag
    profile = row.get("profile") == words.profile_name(grant.limits)
    if tag.rev == grant.rev and profile and not words.is_true(row.get("disabled")):
        return Result(grant.key, ok=True), None
    values = _values(box, grant)
    comment = str(words.Tag(box.install, grant.key, grant.rev, tag.epoch))
    return None, command(f"{USER}/set", {".id": row[".id"], **values, "disabled": "no", "comment": comment})
