"""One message for a dead link, however much waits for it, and one when it is back; to each in their language."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from bawaba.core.runtime import Runtime
from bawaba.monitoring import polling
from bawaba.notifications import channels, incidents
from bawaba.notifications.models import Notification, NotificationChannel, NotificationDelivery
from bawaba.notifications.notifier import Notifier
from bawaba.routers.drivers import fake
from bawaba.routers.models import Router, RouterJob
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.events import CardUsedTwice, GuessingSuspected
from bawaba.vouchers import making
from bawaba.vouchers.models import Batch
from tests.cast import person, phones
from tests.notifications.conftest import Hook
from tests.staff import Person, error_of, signed_in

HANA = person()
CHANNEL = {"name": "hook", "language": "en", "least": "warning", "allow_private": True, "enabled": True}


@pytest.fixture
def notifier(rt: Runtime) -> Notifier:
    found: Notifier = rt.parts["notifier"]
    return found


@pytest.fixture
def channel(rt: Runtime, hook: Hook) -> NotificationChannel:
    return channels.add_channel(rt, HANA, CHANNEL | {"url": hook.url})


def deliver(rt: Runtime, router_id: int) -> None:
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(router_id)).result(30)


def look(rt: Runtime, router_id: int) -> None:
    rt.parts["routers"].loop.submit(polling.poll(rt, router_id)).result(30)


def notifications(rt: Runtime, **is_like: Any) -> list[Notification]:
    return rt.read(lambda db: list(db.scalars(select(Notification).filter_by(**is_like).order_by(Notification.id))))


def down(rt: Runtime, router: Router) -> None:
    fake.box(router.id).break_with("unreachable")
    for _ in range(2):
        look(rt, router.id)


def test_a_dead_link_is_one_message_and_its_return_another_with_what_came_of_it(
    rt, cast, clock, hook, channel, notifier
):
    router = cast.make_router(cast.make_site(mode="router_held").id, name="Roof")
    box = fake.box(router.id, clock)
    box.break_with("unreachable")
    batch = making.order_batch(rt, HANA, making.BatchOrder(cast.make_plan(site_id=router.site_id).plan_id, 200))
    rt.parts["batch_maker"].make(batch.id)
    for mac in phones(3):
        card = cast.make_voucher(site_id=router.site_id)
        rt.transact(lambda db: db.query(Router).update({"status": "up", "breaker_until": None}))
        redeeming.redeem(rt, card.code, cast.guest(mac, router))
    notifier.round()
    notifier.round()
    (told,) = hook.taken
    assert told["title"] == "Router Roof does not answer"
    assert "3 guests wait. 200 cards wait." in told["message"] and "partial_failure" in told["message"]

    box.mend()
    clock.advance(12 * 60)
    look(rt, router.id)
    notifier.round()
    deliver(rt, router.id)
    clock.advance(30)
    notifier.round()
    assert [each["title"] for each in hook.taken[1:]] == ["Router Roof is back"]
    assert hook.taken[1]["message"] == "Back after 12 min. 3 guests let in. 200 cards pushed."
    assert notifications(rt)[0].closed_at is not None


def test_a_link_that_comes_and_goes_is_still_one_message(rt, cast, clock, hook, channel, notifier):
    for _ in range(4):
        down(rt, cast.router)
        notifier.round()
        fake.box(cast.router.id).mend()
        clock.advance(10)
        look(rt, cast.router.id)
        notifier.round()
    assert len(hook.taken) == len(notifications(rt)) == 1


def test_a_thousand_refusals_of_one_router_are_one_message(rt, cast, hook, channel, notifier):
    facts = {"router_id": cast.router.id, "kind": "kick", "state": "failed", "last_error": "rejected: no"}
    for _ in range(20):
        cast._add(RouterJob(**facts, next_try_at=cast.now, created_at=cast.now))
    for _ in range(2):
        notifier.round()
    assert [each["title"] for each in hook.taken] == [f"Router {cast.router.name}: work needs your decision"]
    rt.transact(lambda db: db.query(RouterJob).update({"given_up_by": "hana"}))
    notifier.round()
    assert len(hook.taken) == 2 and "all is decided" in hook.taken[1]["title"]


def test_a_failed_batch_is_told_once(rt, cast, hook, channel, notifier):
    batch = making.order_batch(rt, HANA, making.BatchOrder(cast.make_plan().plan_id, 40))
    rt.transact(lambda db: db.query(Batch).filter_by(id=batch.id).update({"state": "failed", "error": "disk full"}))
    for _ in range(2):
        notifier.round()
    assert [each["title"] for each in hook.taken] == ["A batch of 40 cards failed"]


def test_guessing_at_a_site_is_told_once_an_hour_and_one_phones_mistakes_never(
    rt, cast, clock, hook, channel, notifier
):
    rt.publish(GuessingSuspected(cast.site.id, "02:00:5e:10:00:01"))
    notifier.round()
    assert hook.taken == []
    for _ in range(3):
        rt.publish(GuessingSuspected(cast.site.id, ""))
        notifier.round()
    assert [each["title"] for each in hook.taken] == [f"{cast.site.name}: somebody tries codes"]


def test_a_card_used_on_two_routers_is_told(rt, cast, hook, channel, notifier):
    card = cast.make_voucher()
    rt.publish(CardUsedTwice(cast.site.id, card.id, card.serial))
    notifier.round()
    assert hook.taken[0]["title"] == f"Card {card.serial} was used on two routers"


def test_a_card_that_two_looks_find_on_two_routers_is_told_once(rt, cast, clock, hook, channel, notifier):
    for seconds in (0, 5, 3600):
        clock.advance(seconds)
        rt.publish(CardUsedTwice(cast.site.id, 7, "S000007"))
        notifier.round()
    assert len(rt.read(lambda db: db.scalars(select(Notification).where(Notification.kind == "card_twice")).all())) == 2


def test_the_database_that_was_away_is_told_with_how_long(rt, cast, clock, hook, channel, notifier):
    notifier.round()
    rt.database.on_away(ConnectionError("gone"))
    notifier._say_database_is_away()
    clock.advance(90)
    notifier.round()
    titles = [each["title"] for each in hook.taken]
    assert titles == ["The database does not answer", "The database answers again"]
    assert "1 min 30 s" in hook.taken[1]["message"]
    (row,) = notifications(rt, kind="database")
    assert row.closed_at is not None


def test_a_message_that_is_not_taken_is_tried_again_later(rt, cast, clock, hook, channel, notifier):
    hook.status = 503
    down(rt, cast.router)
    notifier.round()
    notifier.round()
    assert len(hook.taken) == 1
    assert cast.row(NotificationChannel, channel.id).last_error == "not_taken"
    hook.status = 200
    clock.advance(60)
    notifier.round()
    delivery = rt.read(lambda db: db.scalars(select(NotificationDelivery)).one())
    assert (len(hook.taken), delivery.state, delivery.attempts) == (2, "done", 2)
    assert cast.row(NotificationChannel, channel.id).last_error is None


def test_a_channel_speaks_its_language_carries_what_it_should_and_only_of_its_site(rt, cast, hook, notifier):
    other = cast.make_site()
    for facts in ({"language": "ar"}, {"least": "critical", "name": "urgent"}, {"site_id": other.id, "name": "other"}):
        channels.add_channel(rt, HANA, CHANNEL | {"url": hook.url, "least": "info"} | facts)
    facts = {"router_id": cast.router.id, "kind": "kick", "state": "failed", "last_error": "rejected: no"}
    cast._add(RouterJob(**facts, next_try_at=cast.now, created_at=cast.now))
    notifier.round()
    assert len(hook.taken) == 1 and "قرارك" in hook.taken[0]["title"]


def test_a_removed_router_leaves_no_notification_open(rt, cast, clock, notifier):
    from bawaba.routers import removing

    down(rt, cast.router)
    notifier.round()
    removing.remove_router(rt, HANA, cast.router.id)
    notifier.round()
    assert notifications(rt)[0].closed_at is not None


def test_two_processes_that_look_at_once_tell_it_once(rt, cast):
    rt.transact(lambda db: db.query(Router).update({"status": "down"}))
    incident = incidents.Incident("router_down", "critical", cast.site.id, "router:1", "/routers/1", {"name": "Roof"})
    first = rt.transact(incidents.begin, incident, cast.now)
    assert len(first) == 1 and rt.transact(incidents.begin, incident, cast.now) == []


# --- over the API and on pages ---------------------------------------------------------------------------------------


def listed(person: Person, query: str = "") -> list[dict[str, Any]]:
    answer: Any = person.get(f"/api/notifications{query}").json
    return list(answer["items"])


def test_each_person_has_their_own_reading_mark(app, rt, cast, hana, notifier):
    omar = signed_in(app, rt, "omar", "operator", [cast.site.id])
    down(rt, cast.router)
    notifier.round()
    (row,) = listed(hana)
    assert (row["read"], row["severity"], row["path"]) == (False, "critical", f"/routers/{cast.router.id}")
    assert hana.post("/api/notifications/read", {"ids": [row["id"]]}).json == {"read": 1}
    assert hana.post("/api/notifications/read").json == {"read": 0}
    assert listed(hana)[0]["read"] and not listed(omar)[0]["read"]
    assert listed(hana, "?unread=true") == [] and len(listed(omar, "?unread=true")) == 1


def test_whoever_works_elsewhere_hears_nothing(app, rt, cast, notifier):
    other = signed_in(app, rt, "other", "operator", [cast.make_site().id])
    down(rt, cast.router)
    notifier.round()
    assert listed(other) == []
    number = notifications(rt)[0].id
    assert error_of(other.post("/api/notifications/read", {"ids": [number]})) == "notification_not_found"


def test_a_channels_address_is_never_shown_again(rt, hana, hook, cast):
    url = hook.url.replace("json://", "json://user:s3cret@")
    body = {"name": "hook", "url": url, "allow_private": True}
    made: Any = hana.post("/api/notification-channels", body)
    assert made.status_code == 201 and made.json["kind"] == "json"
    assert "s3cret" not in made.text + hana.get("/api/notification-channels").text + hana.get("/channels").text
    row = cast.row(NotificationChannel, made.json["id"])
    assert b"s3cret" not in row.url_sealed
    assert "s3cret" not in hana.get("/api/audit").text
    tested = hana.post(f"/api/notification-channels/{row.id}/test")
    assert tested.json == {"ok": True, "result": "sent"} and len(hook.taken) == 1


def test_a_test_to_a_private_address_says_why_it_was_not_sent(hana, hook):
    made: Any = hana.post("/api/notification-channels", {"name": "hook", "url": hook.url}).json
    answer = hana.post(f"/api/notification-channels/{made['id']}/test")
    assert answer.json == {"ok": False, "result": "private_host"} and hook.taken == []


def test_only_an_admin_sets_channels_up(app, rt, cast):
    omar = signed_in(app, rt, "omar", "operator", [cast.site.id])
    for method, path in (("GET", "/api/notification-channels"), ("POST", "/api/notification-channels")):
        assert omar.ask(method, path, None if method == "GET" else {}).status_code == 403


def test_an_address_that_apprise_does_not_know_is_refused_at_its_field(hana):
    answer = hana.post("/api/notification-channels", {"name": "x", "url": "nonsense://x"})
    assert answer.status_code == 422 and "url" in answer.json["details"]["fields"]


def test_what_cannot_be_noted_keeps_nothing_else_back(rt, cast, notifier):
    def broken(db):
        raise ValueError("of ours")

    part = rt.parts["notifier"]
    part._later(broken)
    rt.publish(CardUsedTwice(cast.site.id, 7, "K-7"))
    down(rt, cast.router)
    notifier.round()
    assert {row.kind for row in notifications(rt)} == {"card_twice", "router_down"}
    assert part._steps == []
