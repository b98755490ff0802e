"""The rules by which a router is asked, left alone and tried again; whose turn it is; how long a call may take."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from bawaba.routers.breaker import CLOSED, HALF_OPEN, OPEN, Breaker, rest_s
from bawaba.routers.lane import BULK, GUEST, READING, Lane
from bawaba.routers.pace import CONNECT_LONGEST_S, CONNECT_S, Pace

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def broken(failures: int = 3) -> Breaker:
    breaker = Breaker()
    for _ in range(failures):
        breaker.failed(NOW, 0.5)
    return breaker


def test_two_failures_are_forgiven_and_the_third_opens_it():
    assert broken(2).lets_through(NOW)
    assert not broken(3).lets_through(NOW)


def test_an_answer_between_failures_begins_the_count_anew():
    breaker = broken(2)
    breaker.answered()
    breaker.failed(NOW, 0.5)
    assert (breaker.state, breaker.failures) == (CLOSED, 1)


def test_after_its_rest_one_call_is_the_trial_and_the_others_wait_for_it():
    breaker = broken()
    later = NOW + timedelta(seconds=6)
    assert breaker.lets_through(later) and breaker.state == HALF_OPEN
    assert not breaker.lets_through(later)
    breaker.failed(later, 0.5)
    assert breaker.state == OPEN and not breaker.lets_through(later)


def test_a_poll_may_always_ask():
    assert broken().lets_through(NOW, probing=True)


def test_a_trial_that_was_never_heard_of_is_repeated():
    breaker = broken()
    assert breaker.lets_through(NOW + timedelta(seconds=6))
    assert breaker.lets_through(NOW + timedelta(seconds=60))


def test_rests_grow_to_a_minute_and_are_spread():
    assert [rest_s(failures, 0.5) for failures in (3, 4, 5, 6, 7, 30)] == [5, 10, 20, 40, 60, 60]
    assert rest_s(3, 0.0) < rest_s(3, 1.0)


def test_the_most_urgent_goes_first_and_equals_in_their_order():
    async def order() -> list[str]:
        lane, went = Lane(1), []

        async def go(name: str, priority: int) -> None:
            async with lane.turn(priority):
                went.append(name)
                await asyncio.sleep(0)

        async with lane.turn(BULK):
            asked = [("cards", BULK), ("poll", READING), ("first guest", GUEST), ("second guest", GUEST)]
            tasks = [asyncio.create_task(go(*each)) for each in asked]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return went

    assert asyncio.run(order()) == ["first guest", "second guest", "poll", "cards"]


def test_who_stops_waiting_leaves_the_turn_to_the_next():
    async def gone() -> bool:
        lane = Lane(1)
        async with lane.turn(GUEST):
            impatient = asyncio.create_task(enter(lane))
            await asyncio.sleep(0)
        impatient.cancel()  # its turn has just come
        await asyncio.gather(impatient, return_exceptions=True)
        async with asyncio.timeout(1), lane.turn(BULK):
            return True

    async def enter(lane: Lane) -> None:
        async with lane.turn(GUEST):
            await asyncio.sleep(10)

    assert asyncio.run(gone())


def test_a_link_gets_four_times_what_it_takes_and_never_less_than_three_seconds():
    pace = Pace()
    assert pace.connect_s == CONNECT_S
    for _ in range(50):
        pace.took("health", 1.5)
    assert 5.9 < pace.connect_s <= 6.0
    assert pace.deadline_s("health") == 5.0 + pace.connect_s - CONNECT_S
    assert pace.deadline_s("admit") == 6.0  # a guest waits


def test_a_late_answer_gives_the_next_connection_more_time_within_bounds():
    pace = Pace()
    pace.was_late()
    assert pace.connect_s == 6.0
    for _ in range(5):
        pace.was_late()
    assert pace.connect_s == CONNECT_LONGEST_S


def test_long_calls_say_nothing_about_the_link():
    pace = Pace()
    pace.took("put", 30.0)
    assert pace.link_s is None
