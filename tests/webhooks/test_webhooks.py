"""What happens reaches the owner's other programs, signed, once it is so, and whatever becomes of the other side."""

from __future__ import annotations

import hashlib
import hmac
import socket
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core import outward
from bawaba.core.actor import SYSTEM
from bawaba.core.runtime import Runtime
from bawaba.notifications.models import Notification
from bawaba.routers import service as routers
from bawaba.routers.driver import RouterUnreachable
from bawaba.sessions import rules as session_rules
from bawaba.sessions.ending import end_session
from bawaba.sessions.redeem import Guest, redeem
from bawaba.vouchers import making
from bawaba.vouchers.making import BatchOrder
from bawaba.webhooks import posting, rules, sending, service
from bawaba.webhooks.models import Webhook, WebhookDelivery
from bawaba.webhooks.sender import Sender, sender
from tests.cast import PHONE, Cast
from tests.services import free_port
from tests.webhooks.conftest import Receiver, Taken, subscribe


def deliveries(rt: Runtime) -> list[WebhookDelivery]:
    return rt.read(lambda db: list(db.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id))))


def webhook_of(rt: Runtime) -> Webhook:
    return rt.read(lambda db: db.scalars(select(Webhook)).one())


def happen(rt: Runtime, site_id: int = 1, kind: str = rules.DOWN) -> None:
    rt.transact(lambda db: outward.tell(db, kind, site_id, lambda: {"router_id": 7}, rt.clock.now()))


def is_signed(taken: Taken, secret: str) -> bool:
    """As docs/webhooks.md tells its readers to look."""
    signed = taken.headers["X-Bawaba-Timestamp"].encode() + b"." + taken.body
    right = "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right, taken.headers["X-Bawaba-Signature"])


def use_a_card(rt: Runtime, cast: Cast) -> Any:
    card = cast.make_voucher()
    return card, redeem(rt, card.code, Guest(cast.router.id, PHONE, "10.0.0.7"))


def test_a_card_used_for_the_first_time_is_told_signed_and_without_its_code(rt, cast: Cast, receiver: Receiver, clock):
    _, secret = subscribe(rt, receiver.url)
    card, got = use_a_card(rt, cast)
    redeem(rt, card.code, Guest(cast.router.id, PHONE, "10.0.0.7"))  # the same device again is nothing new

    assert sender(rt).round() == 1

    (taken,) = receiver.taken
    assert is_signed(taken, secret) and not is_signed(taken, secret + "x")
    assert taken.headers["X-Bawaba-Timestamp"] == str(int(clock.now().timestamp()))
    assert taken.said["type"] == "voucher.redeemed" and taken.said["data"]["serial"] == card.serial
    assert taken.said["data"]["client_mac"] == PHONE and taken.said["data"]["voucher_id"] == got.voucher_id
    assert card.code.replace("-", "").encode() not in taken.body
    (row,) = deliveries(rt)
    assert (row.state, row.status, row.attempts, row.event_id) == ("done", 200, 1, taken.said["id"])


def test_the_end_of_a_session_is_told_once_with_its_cause(rt, cast: Cast, receiver: Receiver):
    subscribe(rt, receiver.url, events=[rules.ENDED])
    _, got = use_a_card(rt, cast)
    now = rt.clock.now()
    rt.transact(end_session, got.session_id, session_rules.ADMIN_RESET, now)
    rt.transact(end_session, got.session_id, session_rules.ADMIN_RESET, now)

    sender(rt).round()

    (taken,) = receiver.taken
    assert taken.said["data"]["session_id"] == got.session_id
    assert taken.said["data"]["terminate_cause"] == session_rules.ADMIN_RESET


def test_a_router_that_goes_down_is_told_once(rt, cast: Cast, receiver: Receiver):
    subscribe(rt, receiver.url)
    for _ in range(4):
        rt.transact(routers.missed, cast.router.id, RouterUnreachable("no answer"), rt.clock.now())

    sender(rt).round()

    (taken,) = receiver.taken
    assert taken.said["type"] == "router.down"
    assert taken.said["data"]["name"] == cast.router.name and taken.said["data"]["error"] == "no answer"


def test_a_batch_is_told_of_when_it_is_ready(rt, cast: Cast, receiver: Receiver):
    subscribe(rt, receiver.url)
    version = cast.make_plan()
    batch = making.order_batch(rt, SYSTEM, BatchOrder(plan_id=version.plan_id, quantity=3))
    assert deliveries(rt) == []
    rt.parts["batch_maker"].make(batch.id)

    sender(rt).round()

    (taken,) = receiver.taken
    assert taken.said["type"] == "batch.ready"
    assert (taken.said["data"]["batch_id"], taken.said["data"]["quantity"]) == (batch.id, 3)


def test_what_is_rolled_back_is_not_told(rt, cast: Cast, receiver: Receiver):
    subscribe(rt, receiver.url)

    def fail(db: Session) -> None:
        outward.tell(db, rules.DOWN, cast.site.id, dict, rt.clock.now())
        raise LookupError

    with pytest.raises(LookupError):
        rt.transact(fail)
    assert deliveries(rt) == []


def test_nothing_is_written_where_nobody_listens(rt, cast: Cast, receiver: Receiver):
    def refuse() -> dict[str, Any]:
        raise AssertionError("nobody wants to know")

    other = cast.make_site()
    subscribe(rt, receiver.url, events=[rules.ENDED], site_id=cast.site.id)
    rt.transact(lambda db: outward.tell(db, rules.DOWN, cast.site.id, refuse, rt.clock.now()))
    rt.transact(lambda db: outward.tell(db, rules.ENDED, other.id, refuse, rt.clock.now()))
    assert deliveries(rt) == []


def test_a_webhook_that_is_gone_keeps_no_redemption_back(rt, cast: Cast, receiver: Receiver):
    """Another process has removed it, and this one's memory still has it."""
    subscribe(rt, receiver.url)
    rt.transact(lambda db: db.delete(db.scalars(select(Webhook)).one()))
    assert use_a_card(rt, cast)[1].status in {"online", "opening"}
    assert deliveries(rt) == []


def test_two_processes_send_a_message_once(rt, cast: Cast, receiver: Receiver, clock):
    subscribe(rt, receiver.url)
    happen(rt, cast.site.id)
    mine = rt.transact(sending.take, rt.keyring, rt.clock.now())
    assert len(mine) == 1 and rt.transact(sending.take, rt.keyring, rt.clock.now()) == []
    assert Sender(rt).round() == 0

    clock.advance(61)  # the first one died: the other goes on

    assert Sender(rt).round() == 1
    assert len(receiver.taken) == 1


def test_a_refusal_is_tried_again_later_and_later_and_given_up_after_a_day(rt, cast, receiver: Receiver, clock):
    subscribe(rt, receiver.url)
    receiver.status = 500
    happen(rt, cast.site.id)
    sender(rt).round()
    assert sender(rt).round() == 0  # not at once
    for _ in range(60):
        clock.advance(timedelta(minutes=30).total_seconds())
        sender(rt).round()

    (row,) = deliveries(rt)
    assert (row.state, row.status, row.error) == ("failed", 500, posting.NOT_TAKEN)
    assert 20 < row.attempts < 40 and len(receiver.taken) == row.attempts
    assert len({taken.body for taken in receiver.taken}) == 1
    assert len({taken.headers["X-Bawaba-Timestamp"] for taken in receiver.taken}) == row.attempts


def test_what_was_refused_arrives_when_the_other_side_is_mended(rt, cast, receiver: Receiver, clock):
    subscribe(rt, receiver.url)
    receiver.status = 503
    happen(rt, cast.site.id)
    sender(rt).round()
    assert webhook_of(rt).failing_since is not None
    receiver.status = 204
    clock.advance(timedelta(seconds=30).total_seconds())

    sender(rt).round()

    assert deliveries(rt)[0].state == "done" and webhook_of(rt).failing_since is None


def test_one_that_is_not_there_is_left_alone_for_a_while_and_loses_nothing(rt, cast, receiver: Receiver, clock):
    dead = f"http://127.0.0.1:{free_port()}/"
    webhook, _ = subscribe(rt, dead)
    happen(rt, cast.site.id)
    sender(rt).round()
    happen(rt, cast.site.id)
    assert sender(rt).round() == 0
    assert [(row.attempts, row.error) for row in deliveries(rt)] == [(1, posting.UNREACHABLE), (0, None)]

    service.change_webhook(rt, SYSTEM, webhook.id, {"url": receiver.url})
    clock.advance(timedelta(minutes=1).total_seconds())
    sender(rt).round()

    assert [row.state for row in deliveries(rt)] == ["done", "done"]


def test_one_that_fails_for_days_is_switched_off_and_the_owner_is_told(rt, cast, receiver: Receiver, clock):
    subscribe(rt, receiver.url)
    receiver.status = 404
    for _ in range(5):
        happen(rt, cast.site.id)
        sender(rt).round()
        clock.advance(timedelta(days=1).total_seconds())

    webhook = webhook_of(rt)
    assert not webhook.enabled and webhook.gave_up_at is not None
    assert rt.read(lambda db: db.scalars(select(Notification.kind)).all()) == ["webhook"]
    tried = len(receiver.taken)
    happen(rt, cast.site.id)
    assert sender(rt).round() == 0 and len(receiver.taken) == tried


def test_no_redirect_is_followed(rt, cast, receiver: Receiver):
    subscribe(rt, receiver.url)
    receiver.status, receiver.location = 302, f"http://127.0.0.1:{receiver.port}/elsewhere"
    happen(rt, cast.site.id)
    sender(rt).round()
    assert len(receiver.taken) == 1 and deliveries(rt)[0].error == posting.REDIRECTED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_inside_is_not_spoken_to_unless_that_is_allowed(rt, cast, receiver: Receiver, host: str):
    subscribe(rt, f"https://{host}:{receiver.port}/", allow_private=False)
    happen(rt, cast.site.id)
    sender(rt).round()
    assert receiver.taken == [] and deliveries(rt)[0].error == posting.PRIVATE_HOST


async def _post(url: str, deadline_s: float = 5.0) -> posting.Outcome:
    return await posting.post(posting.Letter(1, 1, url, True, "s", "{}"), 1, deadline_s)


def test_who_takes_too_long_is_left(rt):
    import asyncio

    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = asyncio.run(_post(f"http://127.0.0.1:{silent.getsockname()[1]}/", 0.3))
    assert (outcome.error, outcome.status) == (posting.TIMED_OUT, None)


def test_what_cannot_be_reached_is_told_apart(receiver: Receiver):
    import asyncio

    assert asyncio.run(_post(f"http://127.0.0.1:{free_port()}/")).error == posting.UNREACHABLE
    assert asyncio.run(_post("https://no-such-host.invalid/")).error == posting.UNKNOWN_HOST
    assert asyncio.run(_post(f"https://127.0.0.1:{receiver.port}/")).error in {
        posting.BAD_CERTIFICATE, posting.UNREACHABLE,
    }  # fmt: skip
    assert asyncio.run(_post("http://169.254.169.254/latest/meta-data")).error == posting.PRIVATE_HOST


def test_old_messages_are_forgotten_and_what_waited_too_long_is_given_up(rt, cast, receiver: Receiver, clock):
    webhook, _ = subscribe(rt, receiver.url)
    happen(rt, cast.site.id)
    sender(rt).round()
    happen(rt, cast.site.id)
    service.change_webhook(rt, SYSTEM, webhook.id, {"enabled": False})
    clock.advance(timedelta(days=2).total_seconds())
    rt.transact(sending.prune, clock.now())
    assert [row.state for row in deliveries(rt)] == ["done", "failed"]
    clock.advance(timedelta(days=13).total_seconds())
    rt.transact(sending.prune, clock.now())
    assert [row.state for row in deliveries(rt)] == ["failed"]
    clock.advance(timedelta(days=16).total_seconds())
    rt.transact(sending.prune, clock.now())
    assert deliveries(rt) == []


def test_the_background_sends_by_itself(rt, cast, receiver: Receiver):
    import time

    subscribe(rt, receiver.url)
    sender(rt).start()
    happen(rt, cast.site.id)
    until = time.monotonic() + 10
    while not receiver.taken and time.monotonic() < until:
        time.sleep(0.05)
    assert len(receiver.taken) == 1
