"""What a NAS reports: time starts and ends when it says so, bytes count once, whatever is lost, late or said twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bawaba.radius.models import RadiusSession
from bawaba.routers.models import RouterJob
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.models import Voucher
from tests.cast import MIB, PHONE, TABLET

HOUR = 3600
GIB = 1024 * MIB


def kicks(rt) -> list[int]:
    """The sessions that are to be closed out on a NAS."""
    return rt.read(lambda db: [job.ref for job in db.query(RouterJob).filter(RouterJob.kind == "kick")])


@pytest.fixture
def online(gateway, cast):
    """A guest who is in, with a card of an hour online."""
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR)
    verdict = gateway.ask(card.code)
    gateway.tell("Start", verdict=verdict)
    return card, verdict


class TestTime:
    def test_time_starts_when_the_nas_says_that_the_guest_is_in(self, gateway, cast, clock):
        card = cast.make_voucher()
        verdict = gateway.ask(card.code)
        assert gateway.session().state == "opening" and cast.row(Voucher, card.id).first_used_at is None

        clock.advance(20)
        gateway.tell("Start", verdict=verdict)
        session = gateway.session()
        assert session.state == "online" and session.start_time == cast.now
        assert session.end_time == cast.now + timedelta(hours=3)

    def test_a_report_that_was_long_under_way_started_time_when_it_was_written(self, gateway, cast, clock):
        verdict = gateway.ask(cast.make_voucher().code)
        clock.advance(60)
        gateway.tell("Start", verdict=verdict, **{"Acct-Delay-Time": 50})
        assert gateway.session().start_time == cast.now - timedelta(seconds=50)

    @pytest.mark.parametrize("kind", ["Interim-Update", "Stop"])
    def test_a_lost_start_is_known_from_the_length_of_the_session(self, gateway, cast, clock, kind):
        verdict = gateway.ask(cast.make_voucher().code)
        clock.advance(100)
        gateway.tell(kind, verdict=verdict, seconds=90, down=MIB)
        session = gateway.session()
        assert session.start_time == cast.now - timedelta(seconds=90)
        assert (session.ended_at == cast.now) == (kind == "Stop")

    def test_no_session_is_older_than_its_accept(self, gateway, cast):
        verdict = gateway.ask(cast.make_voucher().code)
        gateway.tell("Interim-Update", verdict=verdict, seconds=10**9)
        assert gateway.session().start_time == cast.now

    def test_a_stop_ends_it_with_its_cause_and_used_time_is_what_the_nas_measured(self, gateway, cast, clock, online):
        card, verdict = online
        clock.advance(630)  # the report could not reach us for half a minute
        gateway.tell("Stop", verdict=verdict, seconds=600, **{"Acct-Delay-Time": 30})
        session = gateway.session()
        assert (session.terminate_cause, session.used_seconds) == ("User-Request", 600)
        assert session.ended_at == session.start_time + timedelta(seconds=600)
        assert cast.row(Voucher, card.id).used_seconds == 600

    def test_the_silent_tail_is_given_back(self, gateway, cast, clock, online):
        card, verdict = online
        clock.advance(900)
        gateway.tell("Stop", verdict=verdict, seconds=900, down=MIB, cause="Idle-Timeout")
        assert cast.row(Voucher, card.id).used_seconds == 600

    def test_a_cause_that_no_standard_knows_is_the_nas_s_fault(self, gateway, online):
        gateway.tell("Stop", verdict=online[1], seconds=1, cause="27")
        assert gateway.session().terminate_cause == "NAS-Error"

    def test_a_session_that_never_came_up_costs_nothing(self, gateway, cast):
        card = cast.make_voucher()
        gateway.tell("Stop", verdict=gateway.ask(card.code), cause="Port-Error")
        assert gateway.session().ended_at is not None
        assert cast.row(Voucher, card.id).first_used_at is None


class TestBytes:
    def test_both_words_of_a_counter_count(self, gateway, cast, online):
        gateway.tell("Interim-Update", verdict=online[1], seconds=10, up=MIB, down=5 * GIB)
        assert (gateway.session().bytes_up, gateway.session().bytes_down) == (MIB, 5 * GIB)
        assert cast.row(Voucher, online[0].id).bytes_down == 5 * GIB

    def test_a_stop_that_comes_again_counts_once(self, gateway, cast, clock, online):
        clock.advance(60)
        for _ in range(3):
            gateway.tell("Stop", verdict=online[1], seconds=60, down=MIB)
        assert cast.row(Voucher, online[0].id).bytes_down == MIB
        assert cast.row(Voucher, online[0].id).used_seconds == 60

    def test_what_comes_after_the_stop_changes_nothing(self, gateway, clock, online):
        clock.advance(60)
        gateway.tell("Stop", verdict=online[1], seconds=60, down=MIB)
        gateway.tell("Interim-Update", verdict=online[1], seconds=30, down=MIB // 2)
        gateway.tell("Start", verdict=online[1])
        session = gateway.session()
        assert session.state == "ended" and session.bytes_down == MIB

    def test_the_last_bytes_of_a_session_that_we_ended_count(self, rt, gateway, cast, online):
        from bawaba.core.actor import SYSTEM
        from bawaba.sessions import service

        service.set_disabled(rt, SYSTEM, online[0].id, True)
        gateway.tell("Stop", verdict=online[1], seconds=5, down=MIB, cause="Admin-Reset")
        assert cast.row(Voucher, online[0].id).bytes_down == MIB

    def test_more_than_any_link_carries_is_not_counted(self, gateway, cast, online):
        gateway.tell("Interim-Update", verdict=online[1], seconds=1, down=2**50)
        assert cast.row(Voucher, online[0].id).bytes_down == 0
        gateway.tell("Interim-Update", verdict=online[1], seconds=1, down=MIB)
        assert cast.row(Voucher, online[0].id).bytes_down == MIB

    def test_a_quota_ends_with_the_report_that_reaches_it(self, rt, gateway, cast):
        card = cast.make_voucher(quota_bytes=10 * MIB)
        verdict = gateway.ask(card.code)
        gateway.tell("Start", verdict=verdict)
        gateway.tell("Interim-Update", verdict=verdict, seconds=60, down=11 * MIB)
        assert gateway.session().terminate_cause == "NAS-Request"
        assert kicks(rt) == [gateway.session().id]


class TestWhose:
    def test_a_nas_that_does_not_say_our_mark_back_is_understood(self, gateway, cast, clock):
        card = cast.make_voucher()
        gateway.ask(card.code)
        gateway.tell("Start", code=card.code)
        clock.advance(60)
        gateway.tell("Interim-Update", code="another name", down=MIB, seconds=60)
        assert gateway.session().bytes_down == MIB

    def test_the_sessions_of_others_are_left_alone(self, rt, gateway, cast):
        gateway.tell("Start", code="somebody")
        gateway.tell("Interim-Update", code=cast.make_voucher().code, down=MIB)
        assert rt.read(lambda db: db.query(RadiusSession).count()) == 0

    def test_a_nas_cannot_speak_for_another_sites_session(self, rt, gateway, cast, make_gateway):
        verdict = gateway.ask(cast.make_voucher().code)
        elsewhere = make_gateway()
        other_site = cast.make_site()

        def move(db):
            db.get_one(type(elsewhere.router), elsewhere.router.id).site_id = other_site.id

        rt.transact(move)
        elsewhere.tell("Start", verdict=verdict)
        assert gateway.session().state == "opening"

    def test_the_mark_of_another_installation_is_not_ours(self, gateway, cast):
        verdict = gateway.ask(cast.make_voucher().code)
        verdict.attributes["Class"] = "deadbeef" + str(verdict.attributes["Class"])[8:]
        gateway.tell("Start", verdict=verdict)
        assert gateway.session().state == "opening"

    def test_the_code_lies_nowhere_in_clear(self, rt, gateway, cast):
        card = cast.make_voucher()
        gateway.tell("Start", code=card.code, verdict=gateway.ask(card.code))
        row = rt.read(lambda db: db.query(RadiusSession).one())
        assert card.code.encode() not in row.names_sealed


class TestMoving:
    def test_a_device_that_comes_back_before_its_old_session_was_ended_keeps_the_new_one(self, gateway, clock, online):
        card, verdict = online
        clock.advance(60)
        again = gateway.ask(card.code)
        gateway.tell("Start", acct="82", verdict=again)
        gateway.tell("Stop", acct="81", verdict=verdict, seconds=59, down=MIB, cause="Lost-Carrier")

        session = gateway.session()
        assert session.state == "online" and session.bytes_down == MIB
        gateway.tell("Interim-Update", acct="82", verdict=again, seconds=1, down=MIB)
        assert gateway.session().bytes_down == 2 * MIB

    def test_who_is_reported_though_his_session_is_over_is_closed_out(self, rt, gateway, cast, clock, online):
        clock.advance(HOUR + 1)
        gateway.look()
        assert gateway.session().terminate_cause == "Session-Timeout"
        gateway.tell("Interim-Update", verdict=online[1], seconds=HOUR + 30)
        assert kicks(rt) == [gateway.session().id]

    def test_a_device_that_went_on_at_another_nas_is_closed_out_at_the_first(self, rt, gateway, make_gateway, online):
        card, verdict = online
        other = make_gateway()
        other.tell("Start", acct="99", verdict=other.ask(card.code))
        gateway.tell("Interim-Update", verdict=verdict, seconds=9)
        assert gateway.session().router_id == other.router.id
        assert set(kicks(rt)) == {gateway.session().id}

    def test_another_card_on_the_same_device_ends_the_first(self, gateway, cast, online):
        second = cast.make_voucher()
        gateway.tell("Start", acct="82", verdict=gateway.ask(second.code))
        assert [s.terminate_cause for s in gateway.sessions()] == ["Port-Preempted", None]


class TestReboots:
    def test_a_nas_that_has_started_anew_has_nobody_online(self, gateway, cast, clock, online):
        card, verdict = online
        clock.advance(60)
        gateway.tell("Interim-Update", verdict=verdict, seconds=60)
        clock.advance(5 * HOUR)
        gateway.tell("Accounting-On")

        session = gateway.session()
        assert (session.terminate_cause, session.used_seconds) == ("NAS-Reboot", 60)
        assert cast.row(Voucher, card.id).used_seconds == 60

    def test_one_that_says_that_it_goes_down_ends_them_then(self, gateway, clock, online):
        clock.advance(90)
        gateway.tell("Accounting-Off")
        assert (gateway.session().terminate_cause, gateway.session().used_seconds) == ("Admin-Reboot", 90)

    def test_what_began_after_the_start_goes_on_when_the_news_of_it_comes_late(self, gateway, cast, clock):
        clock.advance(100)
        gateway.tell("Start", verdict=gateway.ask(cast.make_voucher().code))
        clock.advance(10)
        gateway.tell("Accounting-On", **{"Acct-Delay-Time": 60})
        assert gateway.session().state == "online"

    def test_other_gateways_guests_stay(self, gateway, make_gateway, online):
        make_gateway().tell("Accounting-On")
        assert gateway.session().state == "online"


class TestTheLookAtIt:
    def test_an_accept_of_which_nothing_came_frees_the_card(self, gateway, cast, clock):
        card = cast.make_voucher()
        gateway.ask(card.code)
        clock.advance(119)
        gateway.look()
        assert not gateway.ask(card.code, mac=TABLET).accepted
        clock.advance(2)
        gateway.look()
        assert gateway.ask(card.code, mac=TABLET).accepted
        assert cast.row(Voucher, card.id).first_used_at is None

    def test_a_session_that_a_speaking_nas_no_longer_reports_ended_when_it_was_last_heard_of(
        self, gateway, cast, clock, online
    ):
        other = gateway.ask(cast.make_voucher().code, mac=TABLET)
        gateway.tell("Start", acct="90", mac=TABLET, verdict=other)
        for _ in range(4):
            clock.advance(60)
            gateway.tell("Interim-Update", acct="90", mac=TABLET, verdict=other, down=MIB)
        gateway.look()
        first, second = gateway.sessions()
        assert (first.terminate_cause, first.used_seconds) == ("Lost-Service", 0)
        assert second.state == "online"

    def test_a_nas_that_is_silent_altogether_is_down_and_loses_nobody(self, gateway, clock, online):
        clock.advance(200)
        gateway.look()
        assert gateway.row().status == "degraded" and gateway.session().state == "online"
        clock.advance(30)
        gateway.look()
        assert gateway.row().status == "down" and gateway.row().error_code == "unreachable"

        gateway.tell("Interim-Update", verdict=online[1], seconds=230, down=MIB)
        gateway.look()
        assert gateway.row().status == "up" and gateway.session().state == "online"

    def test_after_a_gap_of_ours_sessions_have_time_to_be_reported_again(self, gateway, cast, clock, online):
        other = gateway.ask(cast.make_voucher().code, mac=TABLET)
        gateway.tell("Start", acct="90", mac=TABLET, verdict=other)
        clock.advance(1200)
        gateway.tell("Interim-Update", acct="90", mac=TABLET, verdict=other, down=MIB, seconds=1200)
        gateway.look()
        assert [s.state for s in gateway.sessions()] == ["online", "online"]

    def test_a_nas_without_guests_may_be_silent(self, gateway, cast, clock):
        gateway.ask("000000000000")
        clock.advance(24 * HOUR)
        gateway.look()
        assert gateway.row().status == "up"

    def test_time_that_is_over_ends_here_and_there(self, rt, gateway, clock, online):
        clock.advance(HOUR)
        gateway.look()
        assert gateway.session().terminate_cause == "Session-Timeout" and kicks(rt) == [gateway.session().id]
        assert gateway.row().online == 0

    def test_who_moves_nothing_any_more_stops_his_clock(self, gateway, cast, clock, online):
        for _ in range(6):
            clock.advance(60)
            gateway.tell("Interim-Update", verdict=online[1], down=MIB)
        clock.advance(1)
        gateway.look()
        assert gateway.session().terminate_cause == "Idle-Timeout"
        assert cast.row(Voucher, online[0].id).used_seconds == 60


REPORTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.booleans()), max_size=25)


@given(reports=REPORTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_lost_late_or_repeated_bytes_count_once(gateway, cast, clock, reports):
    """Four sessions, one after the other, of one card; each report is a step (0 to 9) of its session's counters."""
    card = cast.make_voucher(duration_seconds=None, quota_bytes=GIB, kind="used_time")
    verdict = gateway.ask(card.code)
    most: dict[int, int] = {}
    for life, step, stops in reports:
        clock.advance(1)
        kind = "Stop" if stops else "Interim-Update"
        gateway.tell(kind, acct=f"life {life}", verdict=verdict, seconds=step, up=step * 10, down=step * 1000)
        most[life] = max(most.get(life, 0), step)

    total = sum(most.values())
    voucher, session = cast.row(Voucher, card.id), gateway.session()
    assert (voucher.bytes_up, voucher.bytes_down) == (total * 10, total * 1000)
    assert (session.bytes_up, session.bytes_down) == (total * 10, total * 1000)
    assert isinstance(session, GuestSession) and session.client_mac == PHONE
