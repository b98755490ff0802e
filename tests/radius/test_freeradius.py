"""The real FreeRADIUS in front of us: radclient as the NAS, our own HTTP behind."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from bawaba.core.config import Config
from bawaba.routers.models import Router
from bawaba.server import build_front
from tests.cast import MIB, PHONE, TABLET
from tests.radius.conftest import Gateway
from tests.radius.freeradius import answers, ask, freeradius, request, send, together
from tests.serving import serving

pytestmark = pytest.mark.freeradius
GIB = 1024 * MIB
NASTY = 'it\'s "a" ${secret} %{x} # 22+ characters'


@pytest.fixture
def config(tmp_path, empty_sqlite) -> Config:
    """SQLite only: what both databases do is tested behind FreeRADIUS."""
    import shutil

    shutil.copy(empty_sqlite, tmp_path / "bawaba.db")
    return Config(data_dir=tmp_path, public_url="http://login.wifi")


def change(rt, gateway, **facts) -> None:
    """Change its row, as the owner did before the configuration was written."""

    def step(db):
        router = db.get_one(Router, gateway.router.id)
        for name, value in facts.items():
            setattr(router, name, value)

    rt.transact(step)


@pytest.fixture
def roof(rt, gateway) -> Gateway:
    """The NAS at 127.0.0.2."""
    change(rt, gateway, address="127.0.0.2")
    return gateway


@contextmanager
def all_of_it(rt, tmp_path, **options):
    with serving(build_front(rt)) as served, freeradius(rt, served.port, tmp_path / "raddb", **options) as running:
        yield running


@pytest.fixture
def running(rt, roof, tmp_path):
    with all_of_it(rt, tmp_path) as made:
        yield made


def guest(code: str, mac: str = PHONE, **more) -> str:
    station = mac.upper().replace(":", "-")
    return request(User_Name=code, User_Password=code, Calling_Station_Id=station, **more)


def report(kind: str, answer, **more) -> str:
    mark = {"Class": answer.attributes["Class"]} if answer else {}
    return request(signed=False, Acct_Status_Type=kind, Acct_Session_Id="81", Calling_Station_Id=PHONE, **mark, **more)


class TestAnswers:
    def test_a_card_lets_a_guest_in_and_his_time_and_bytes_are_counted(self, running, roof, cast, clock):
        card = cast.make_voucher(quota_bytes=10 * GIB, rate_up_kbps=2000, rate_down_kbps=10000)
        answer = ask(running, guest(card.code))

        assert answer.kind == "Access-Accept"
        assert answer.order[0] == "Message-Authenticator"
        assert answer.attributes["Session-Timeout"] == "10800"
        assert answer.attributes["Mikrotik-Total-Limit"] == "2147483648"
        assert answer.attributes["Mikrotik-Total-Limit-Gigawords"] == "2"
        assert answer.attributes["Mikrotik-Rate-Limit"] == "2000k/10000k"

        assert ask(running, report("Start", answer), "acct").kind == "Accounting-Response"
        clock.advance(60)
        words = {"Acct_Output_Octets": 4 * MIB, "Acct_Output_Gigawords": 1, "Acct_Input_Octets": 5}
        ask(running, report("Interim-Update", answer, Acct_Session_Time=60, **words), "acct")
        session = roof.session()
        assert (session.state, session.bytes_up, session.bytes_down) == ("online", 5, 4 * GIB + 4 * MIB)
        ask(running, report("Stop", answer, Acct_Session_Time=60, Acct_Terminate_Cause=1, **words), "acct")
        assert roof.session().terminate_cause == "User-Request"

    def test_chap(self, running, cast):
        code = cast.make_voucher().code
        asked = request(User_Name=code, CHAP_Password=code, Calling_Station_Id=PHONE)
        assert ask(running, asked).kind == "Access-Accept"

    def test_chilli_is_told_both_words(self, rt, roof, cast, tmp_path):
        change(rt, roof, options={"nas": "chilli"})
        with all_of_it(rt, tmp_path) as running:
            told = ask(running, guest(cast.make_voucher(quota_bytes=10 * GIB).code)).attributes
        assert told["ChilliSpot-Max-Total-Octets"] == "2147483648"
        assert told["ChilliSpot-Max-Total-Gigawords"] == "2"

    def test_a_refusal_says_why_in_both_languages_at_once(self, running):
        answer = ask(running, guest("000000000000"))
        assert answer.kind == "Access-Reject"
        assert "Wrong code" in answer.attributes["Reply-Message"] and "رمز خاطئ" in answer.attributes["Reply-Message"]
        assert set(answer.attributes) == {"Message-Authenticator", "Reply-Message"}

    def test_a_name_in_arabic_digits_arrives_whole(self, running, cast):
        code = cast.make_voucher().code.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
        assert ask(running, guest(code)).kind == "Access-Accept"

    def test_eap_is_refused(self, running, cast):
        asked = request(User_Name=cast.make_voucher().code, EAP_Message="0x0201000501", Calling_Station_Id=PHONE)
        assert ask(running, asked).kind == "Access-Reject"

    def test_a_nas_that_has_started_anew_is_noted(self, running, roof, cast, clock):
        ask(running, report("Start", ask(running, guest(cast.make_voucher().code))), "acct")
        clock.advance(5)
        assert ask(running, request(signed=False, Acct_Status_Type="Accounting-On"), "acct").kind
        assert roof.session().terminate_cause == "NAS-Reboot"

    def test_which_nas_asks_follows_from_its_secret_and_address(self, rt, roof, make_gateway, cast, tmp_path):
        other_site = cast.make_site()
        other = make_gateway()
        change(rt, other, address="127.0.0.3", site_id=other_site.id)
        code = cast.make_voucher().code
        with all_of_it(rt, tmp_path) as running:
            elsewhere = request("127.0.0.3", User_Name=code, Calling_Station_Id=TABLET, NAS_IP_Address="127.0.0.2")
            assert "another place" in ask(running, elsewhere).attributes["Reply-Message"]
            assert ask(running, guest(code)).kind == "Access-Accept"

    def test_a_secret_may_be_anything_that_can_be_typed(self, rt, roof, cast, tmp_path):
        change(rt, roof, password_sealed=rt.keyring.encrypt(NASTY.encode(), b"router password"), name="}\nclient x {")
        with all_of_it(rt, tmp_path) as running:
            assert ask(running, guest(cast.make_voucher().code), secret=NASTY).kind == "Access-Accept"


class TestSilence:
    """Nothing is answered where an answer would be wrong: the NAS asks again, or its spare."""

    def test_while_we_are_down_and_at_once_when_we_are_back(self, rt, roof, cast, tmp_path):
        code = cast.make_voucher().code
        with serving(build_front(rt)) as served:
            port = served.port
        with freeradius(rt, port, tmp_path / "raddb") as running:
            assert ask(running, guest(code)).kind == ""
            assert ask(running, report("Start", None), "acct").kind == ""
            with serving(build_front(rt), port=port) as _:
                assert ask(running, guest(code), tries=3).kind == "Access-Accept"

    def test_a_request_that_is_sent_again_is_answered_as_soon_as_we_are_back(self, rt, roof, cast, tmp_path):
        with serving(build_front(rt)) as served:
            port = served.port
        with freeradius(rt, port, tmp_path / "raddb") as running, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ask, running, guest(cast.make_voucher().code), tries=6)
            time.sleep(1)
            with serving(build_front(rt), port=port) as _:
                assert waiting.result().kind == "Access-Accept"

    def test_packets_without_message_authenticator(self, running, rt, cast):
        code = cast.make_voucher().code
        assert (
            ask(running, request(signed=False, User_Name=code, User_Password=code, Calling_Station_Id=PHONE)).kind == ""
        )

    def test_unless_the_owner_has_said_that_his_nas_cannot(self, rt, roof, cast, tmp_path):
        change(rt, roof, options={"nas": "mikrotik", "message_authenticator": False})
        code = cast.make_voucher().code
        with all_of_it(rt, tmp_path) as running:
            asked = request(signed=False, User_Name=code, User_Password=code, Calling_Station_Id=PHONE)
            assert ask(running, asked).kind == "Access-Accept"

    def test_a_nas_with_another_secret_or_from_another_address(self, running, cast):
        code = cast.make_voucher().code
        assert ask(running, guest(code), secret="another-secret-of-22-characters").kind == ""
        assert ask(running, request("127.0.0.9", User_Name=code, Calling_Station_Id=PHONE)).kind == ""

    def test_a_freeradius_that_does_not_know_our_secret(self, rt, roof, cast, tmp_path):
        code = cast.make_voucher().code
        with all_of_it(rt, tmp_path, password="another") as running:
            assert ask(running, guest(code)).kind == ""
            assert ask(running, report("Start", None), "acct").kind == ""

    def test_a_router_that_is_ours_no_more(self, running, rt, roof, cast):
        code = cast.make_voucher().code
        change(rt, roof, driver="fake")
        assert ask(running, guest(code)).kind == ""

    def test_no_code_is_written_into_its_log(self, running, cast):
        code = cast.make_voucher().code
        ask(running, guest(code))
        ask(running, guest("000000000000"))
        assert code not in running.log.read_text() and "000000000000" not in running.log.read_text()


def test_a_hundred_at_once_are_all_answered(running, cast):
    cards = [cast.make_voucher() for _ in range(100)]
    packets = [guest(card.code, f"02:00:5e:20:00:{number:02x}") for number, card in enumerate(cards)]
    said = send(running, together(packets), tries=3, at_once=50)
    assert answers(said).count("Access-Accept") == 100
