"""A gateway that fetches its guests by itself (openNDS, FAS level 4), over a real socket."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote

import pytest

from bawaba.authmon.waiting import OFFERS_MOST
from bawaba.core.actor import SYSTEM
from bawaba.routers import nds
from bawaba.sessions import service
from tests.authmon.far import FASKEY
from tests.cast import HOUR, MIB, PHONE, TABLET, phones

pytestmark = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def test_from_the_redirect_to_the_last_byte(cafe, cast):
    card = cast.make_voucher(
        duration_seconds=3 * HOUR, quota_up_bytes=5 * MIB, quota_bytes=50 * MIB, rate_up_kbps=512, rate_down_kbps=2048
    )
    phone = cafe.phone()
    phone.type(card.code)
    assert cafe.session().state == "opening" and cafe.card(card).first_used_at is None

    cafe.clock.advance(4)
    cafe.nds.round()
    seen = cafe.nds.clients[PHONE]
    assert (seen.minutes, seen.rates, seen.quotas) == (180, (512, 2048), (5 * 1024, 50 * 1024))
    tag = nds.tag_of(seen.custom)
    assert (
        tag is not None
        and tag.key == f"session:{cafe.session().id}"
        and set(seen.custom) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    )
    assert cafe.session().state == "online" and cafe.session().start_time == cast.now
    assert "You are online" in phone.open("/status?" + phone.url.partition("?")[2]).text

    cafe.nds.move(PHONE, 1000, 2 * MIB)
    cafe.pass_time(600)
    cafe.nds.end(PHONE, "client")
    session = cafe.session()
    assert (session.state, session.terminate_cause) == ("ended", "User-Request")
    assert (session.bytes_up, session.bytes_down) == (1000, 2 * MIB)
    assert (cafe.card(card).bytes_up, cafe.card(card).bytes_down) == (1000, 2 * MIB)
    assert cafe.jobs("kick") == []


def test_an_answer_is_as_the_script_reads_it(cafe, cast):
    assert cafe.nds.start() == "" and cafe.nds.call("view", "none") == "*"
    cafe.phone().type(cast.make_voucher(duration_seconds=90 * 60).code)
    listed = cafe.nds.call("view", "none")
    proof = hashlib.sha256((cafe.nds.clients[PHONE].hid + FASKEY).encode()).hexdigest()
    mark, entry = listed.split(" ")
    assert mark == "*" and unquote(entry).split()[:6] == [proof, "90", "0", "0", "0", "0"]
    assert cafe.nds.call("view", "none") == listed  # it stays until it is acknowledged
    assert cafe.nds.call("view", "*") == "ack"
    assert cafe.session().state == "opening"
    assert cafe.nds.call("view", f"* {proof}") == "ack" and cafe.nds.call("view", "none") == "*"
    assert cafe.session().state == "online"
    assert cafe.nds.call("custom", "whatever") == "ack"


def test_a_box_with_php_posts_the_same(make_cafe, cast):
    cafe = make_cafe(posts=True)
    cafe.come_in(cast.make_voucher())
    assert cafe.nds.online() == [PHONE] and cafe.session().state == "online"


def test_what_is_listed_to_be_forgotten_is_taken_as_done(cafe, cast):
    cafe.phone().type(cast.make_voucher().code)
    assert len(cafe.nds.let_in(cafe.nds.call("list", "none"))) == 1
    assert cafe.session().state == "online" and cafe.nds.call("list", "none") == "*"


def test_one_whom_the_gateway_does_not_see_any_more_holds_up_nobody_and_pays_nothing(cafe, cast):
    gone, card = [cast.make_voucher() for _ in range(6)], cast.make_voucher()
    for number, (mac, lost) in enumerate(zip(phones(6), gone, strict=True)):
        cafe.nds.join(mac, f"10.88.1.{number}")
        cafe.phone(mac).type(lost.code)
        del cafe.nds.clients[mac]
    cafe.phone().type(card.code)
    cafe.pass_time(30)
    assert cafe.nds.online() == [PHONE]
    for _ in range(2 * OFFERS_MOST):
        cafe.nds.round()
    assert cafe.nds.call("view", "none") == "*"
    assert {session.terminate_cause for session in cafe.sessions() if session.client_mac != PHONE} == {"Lost-Service"}
    assert all(cafe.card(lost).first_used_at is None and cafe.card(lost).used_seconds == 0 for lost in gone)


@pytest.mark.parametrize(
    ("method", "cause"),
    [("timeout", "Session-Timeout"), ("download_quota", "NAS-Request"), ("downquota", "NAS-Request"),
     ("upload_quota", "NAS-Request"), ("client", "User-Request"), ("ndsctl", "Admin-Reset"),
     ("shutdown", "Admin-Reboot"), ("something_new", "NAS-Error")],
)  # fmt: skip
def test_why_a_session_ended_is_told_in_our_words(cafe, cast, method, cause):
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR)
    cafe.come_in(card)
    cafe.pass_time(120)
    cafe.nds.end(PHONE, method)
    assert cafe.session().terminate_cause == cause and 118 <= cafe.card(card).used_seconds <= 120


def test_the_silent_tail_is_given_back(cafe, cast):
    card = cast.make_voucher(kind="used_time", duration_seconds=2 * HOUR)
    cafe.come_in(card)
    cafe.pass_time(20 * 60)
    cafe.nds.end(PHONE, "idle")
    assert cafe.session().terminate_cause == "Idle-Timeout"
    assert 290 <= cafe.card(card).used_seconds <= 310  # 15 minutes of silence before


def test_when_the_word_that_he_is_in_is_lost_his_time_is_known_from_the_end(cafe, cast):
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR)
    cafe.phone().type(card.code)
    cafe.nds.cut("before", 1)  # the acknowledgement
    cafe.nds.round()
    cafe.nds.heal()
    assert cafe.nds.online() == [PHONE] and cafe.session().state == "opening"
    for _ in range(OFFERS_MOST):
        cafe.nds.round()
    cafe.pass_time(60)
    assert cafe.session().state == "opening" and cafe.jobs("admit")[0].outcome_unknown
    cafe.nds.end(PHONE, "client")
    assert cafe.session().state == "ended" and cafe.card(card).used_seconds == 60
    assert cafe.session().start_time is not None and cafe.card(card).first_used_at is not None


def test_a_gateway_whose_answer_was_lost_asks_again_and_nothing_is_done_twice(cafe, cast):
    cafe.phone().type(cast.make_voucher().code)
    cafe.nds.cut("after", 0, 2)
    cafe.nds.round()
    cafe.nds.heal()
    assert cafe.nds.online() == []
    cafe.nds.round()
    assert cafe.nds.online() == [PHONE] and cafe.session().state == "online" and len(cafe.sessions()) == 1


def test_after_a_power_cut_the_guest_goes_on_and_used_time_is_not_charged_for_the_dark(cafe, cast):
    card = cast.make_voucher(kind="used_time", duration_seconds=2 * HOUR)
    cafe.come_in(card)
    cafe.pass_time(600)
    cafe.nds.power_off()
    cafe.clock.advance(HOUR)
    cafe.nds.start()
    assert cafe.session().terminate_cause == "NAS-Reboot" and 595 <= cafe.card(card).used_seconds <= 605
    phone = cafe.phone()
    phone.send("/resume")
    cafe.nds.round()
    assert cafe.nds.online() == [PHONE] and 108 <= cafe.nds.clients[PHONE].minutes <= 110
    assert cafe.session().state == "online" and len(cafe.sessions()) == 2


def test_after_a_power_cut_a_card_by_the_clock_goes_on_to_the_same_end(cafe, cast):
    card = cast.make_voucher(duration_seconds=3 * HOUR)
    cafe.come_in(card)
    over_at = cafe.card(card).over_at
    cafe.nds.power_off()
    cafe.clock.advance(HOUR)
    cafe.nds.start()
    phone = cafe.phone()
    assert cafe.sessions()[0].terminate_cause == "NAS-Reboot"
    phone.send("/resume")
    cafe.nds.round()
    assert cafe.nds.online() == [PHONE] and cafe.card(card).over_at == over_at
    assert cafe.nds.clients[PHONE].minutes in (119, 120)


def test_who_stayed_online_over_a_restart_is_charged_at_his_end(cafe, cast):
    """openNDS may bring its clients back after it was started anew."""
    card = cast.make_voucher(kind="used_time", duration_seconds=2 * HOUR)
    cafe.come_in(card)
    cafe.pass_time(600)
    cafe.nds.start()
    cafe.pass_time(300)
    cafe.nds.move(PHONE, 5, 500)
    cafe.nds.end(PHONE, "client")
    assert 890 <= cafe.card(card).used_seconds <= 910
    assert (cafe.card(card).bytes_up, cafe.card(card).bytes_down) == (5, 500)


def test_a_link_that_was_away_loses_nobody_and_an_end_that_was_not_heard_does_not_lock_him_out(cafe, cast):
    card = cast.make_voucher(duration_seconds=3 * HOUR)
    cafe.come_in(card)
    cafe.nds.cut("before", 0, None)
    cafe.pass_time(60)
    cafe.nds.end(PHONE, "idle")  # nobody hears it
    cafe.pass_time(60)
    cafe.look()
    assert cafe.row().status != "up"
    cafe.nds.heal()
    cafe.nds.round()
    assert cafe.row().status == "up" and cafe.session().state == "online"
    cafe.phone().send("/resume")
    cafe.nds.round()
    assert cafe.nds.online() == [PHONE]


def test_ten_phones_that_say_the_same_mac_are_ten_devices(cafe, cast):
    card = cast.make_voucher(devices_at_once=1)
    cafe.come_in(card)
    for number, mac in enumerate(phones(10)):
        cafe.nds.join(mac, f"10.88.1.{number}")
        assert "Another phone is online with this card" in cafe.phone(mac, says_mac=PHONE).type(card.code).text
        cafe.nds.round()
    assert cafe.nds.online() == [PHONE]


def test_the_same_phone_in_an_older_window_is_the_same_device(cafe, cast):
    card = cast.make_voucher()
    window = cafe.phone()
    cafe.come_in(card)
    assert "You are online" in window.go(window.url).text


def test_time_that_is_over_ends_the_session_whether_it_is_told_or_not(cafe, cast):
    cafe.come_in(cast.make_voucher(duration_seconds=600))
    cafe.nds.clients[PHONE].online = False  # gone, and never told
    cafe.clock.advance(601)
    cafe.nds.round()
    cafe.look()
    assert (cafe.session().state, cafe.session().terminate_cause) == ("ended", "Session-Timeout")
    assert cafe.jobs("kick") == []


def test_who_is_online_is_not_taken_for_silent_though_nothing_is_counted(cafe, cast):
    card = cast.make_voucher(kind="used_time", duration_seconds=3 * HOUR, idle_timeout_seconds=300)
    cafe.come_in(card)
    for _ in range(30):
        cafe.pass_time(30)
        cafe.look()
    assert cafe.session().state == "online"
    cafe.come_in(card, TABLET)
    assert cafe.nds.online() == [PHONE]


def test_an_order_that_cannot_be_given_is_said_and_is_over_when_the_session_is(cafe, cast, rt):
    card = cast.make_voucher(duration_seconds=HOUR)
    cafe.come_in(card)
    service.set_disabled(rt, SYSTEM, card.id, True)
    for _ in range(8):
        cafe.clock.advance(61)
        cafe.nds.round()
        cafe.look()
    (order,) = cafe.jobs("kick")
    assert order.state == "failed" and "takes no orders" in order.last_error and cafe.session().state == "ended"
    cafe.nds.move(PHONE, 0, 100)
    cafe.nds.end(PHONE, "timeout")
    assert cafe.jobs("kick")[0].state == "done" and cafe.card(card).bytes_down == 100


def test_a_card_without_anything_left_is_not_offered(cafe, cast, rt):
    card = cast.make_voucher()
    cafe.phone().type(card.code)
    service.set_disabled(rt, SYSTEM, card.id, True)
    assert cafe.nds.call("view", "none") == "*"


def test_a_gateway_that_does_not_call_is_said_to_be_down_and_no_card_is_taken(cafe, cast):
    cafe.nds.round()
    for _ in range(3):
        cafe.clock.advance(40)
        cafe.look()
    assert cafe.row().status == "down" and "not called" in cafe.row().error
    card = cast.make_voucher()
    cafe.phone().type(card.code)
    assert cafe.card(card).status == "unused"
    cafe.nds.round()
    assert cafe.row().status == "up"
