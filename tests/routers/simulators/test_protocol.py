"""What goes over the wire, to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bawaba.routers.simulators.routeros import rights, wire
from bawaba.routers.simulators.routeros.commands import Command, Login, execute
from bawaba.routers.simulators.routeros.router import Router
from tests.routers.simulators.raw import Raw, attributes


@given(st.lists(st.lists(st.binary(min_size=1, max_size=400), min_size=1), max_size=5), st.integers(1, 50))
def test_sentences_survive_however_they_are_cut(sentences, size):
    data = b"".join(wire.encode(words) for words in sentences)
    reader = wire.SentenceReader()
    found: list[list[bytes]] = []
    for start in range(0, len(data), size):
        found += reader.feed(data[start : start + size])
    assert found == sentences


@pytest.mark.parametrize("size", [1, 0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000])
def test_every_length_has_its_form(routeros, size):
    with Raw(routeros.api_port) as raw:
        raw.login()
        word = "x" * (size - len("=comment=")) if size > 9 else "x"

        [answer] = raw.ask("/ip/hotspot/user/add", "=name=long", f"=comment={word}")
        rows = raw.ask("/ip/hotspot/user/print", "?name=long", "=.proplist=comment")

    assert answer == ["!done", "=ret=*2"]
    assert attributes(rows[0]) == {"comment": word}


WORDS = st.one_of(
    st.sampled_from(
        ["=.id=*1", "=numbers=*1,*2", "=name=a", "=profile=default", "?name=a", "?#|", "?#!", "?>uptime=1s", "?-x",
         "=.proplist=name", "=limit-uptime=1h", "=ip=10.5.50.2", "=mac-address=02:B0:00:00:00:01", "=count-only=",
         "=user=a", "=value-name=name", "=destination=*1", "=copy-from=*1", "=address=10.0.0.1/24", "=max-limit=1M/2M"]
    ),
    st.text(max_size=12),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_asked_there_is_an_answer(data):
    router = Router()
    router.crowd(2)
    login = Login("127.0.0.1", "admin", frozenset(rights.POLICIES))
    for _ in range(data.draw(st.integers(1, 6))):
        menu = router.menus[data.draw(st.sampled_from(sorted(router.menus)))]
        verbs = sorted({"print", "listen", "get", *menu.verbs, *menu.own_verbs})
        command = Command.parse([f"{menu.path}/{data.draw(st.sampled_from(verbs))}", *data.draw(st.lists(WORDS))])
        answer = execute(router, login, command)
        assert answer.follow is not None or answer.sentences[-1][0] == "!done"


def test_nothing_is_done_before_the_login(routeros):
    with Raw(routeros.api_port) as raw:
        assert raw.ask("/system/identity/print") == [["!fatal", "not logged in"]]
        with pytest.raises(ConnectionError):
            raw.read()


def test_a_bad_login_stays_connected_unless_it_does_not(routeros):
    with Raw(routeros.api_port) as raw:
        refusal = raw.ask("/login", "=name=admin", "=password=wrong")
        assert refusal == [["!trap", "=message=invalid user name or password (6)"], ["!done"]]
        raw.login()
    routeros.behaviour.login_failure = "fatal"
    with Raw(routeros.api_port) as raw:
        assert raw.ask("/login", "=name=admin", "=password=wrong")[0][0] == "!fatal"


def test_a_control_byte_ends_the_connection(routeros):
    with Raw(routeros.api_port) as raw:
        raw.sock.sendall(b"\xf8rest")
        with pytest.raises(ConnectionError):
            raw.read()


class TestTags:
    def test_every_sentence_of_an_answer_has_the_tag_of_its_question(self, routeros):
        with Raw(routeros.api_port) as raw:
            raw.login()
            answer = raw.ask("/ip/service/print", ".tag=7")
        assert len(answer) > 5 and all(".tag=7" in sentence for sentence in answer)

    def test_answers_to_two_tags_are_mixed(self, routeros):
        with Raw(routeros.api_port) as raw:
            raw.login()
            sentence = [word.encode() for word in ("/ip/service/print", ".tag=")]
            raw.sock.sendall(b"".join(wire.encode([sentence[0], sentence[1] + tag]) for tag in (b"a", b"b")))
            tags = [next(word for word in raw.read() if word.startswith(".tag")) for _ in range(6)]
        assert tags == [".tag=a", ".tag=b"] * 3

    def test_a_slow_answer_does_not_hold_up_another(self, routeros):
        routeros.fail("slow", "/ip/service/print", seconds=0.3)
        with Raw(routeros.api_port) as raw:
            raw.login()
            raw.send("/ip/service/print", ".tag=slow")
            assert raw.ask("/system/identity/print", ".tag=quick")[-1] == ["!done", ".tag=quick"]
            assert raw.until_done()[-1] == ["!done", ".tag=slow"]

    def test_listening_goes_on_until_it_is_cancelled(self, routeros):
        with Raw(routeros.api_port) as raw:
            raw.login()
            raw.send("/ip/hotspot/user/listen", ".tag=l", "=.proplist=.id,name")
            assert raw.ask("/system/identity/print", ".tag=x")[-1] == ["!done", ".tag=x"]
            routeros.add("/ip/hotspot/user", name="new")
            assert attributes(raw.read()) == {".id": "*2", "name": "new"}
            routeros.table("/ip/hotspot/user").remove({".id": "*2"})
            assert attributes(raw.read()) == {".id": "*2", ".dead": "true"}
            raw.send("/cancel", "=tag=l", ".tag=c")
            ends = [raw.read() for _ in range(3)]
        assert ["!trap", "=category=2", "=message=interrupted", ".tag=l"] in ends
        assert ["!done", ".tag=l"] in ends and ["!done", ".tag=c"] in ends


class TestPrint:
    def test_counts_only(self, routeros):
        with Raw(routeros.api_port) as raw:
            raw.login()
            assert raw.ask("/ip/hotspot/user/print", "=count-only=") == [["!done", "=ret=1"]]

    @pytest.mark.parametrize(("version", "says"), [("7.17", False), ("7.18", True), ("6.49.18", False)])
    def test_says_empty_from_7_18_on(self, make_routeros, version, says):
        with Raw(make_routeros(version=version, password="secret").api_port) as raw:
            answer = raw.login().ask("/ip/hotspot/active/print")
        assert answer == ([["!empty"]] if says else []) + [["!done"]]

    @pytest.mark.parametrize(
        ("queries", "names"),
        [
            (["?comment"], {"a", "b"}),
            (["?-comment"], {"c", "default-trial"}),
            (["?name=a"], {"a"}),
            (["?name=a", "?name=b", "?#|"], {"a", "b"}),
            (["?name=a", "?#!"], {"b", "c", "default-trial"}),
            (["?>limit-bytes-total=9"], {"b"}),
            (["?<limit-bytes-total=10"], {"a"}),
            (["?<limit-uptime=2m"], {"a"}),
            (["?name=a", "?name=b", "?comment=x", "?#||"], {"a", "b"}),
            (["?name=a", "?name=b", "?#1"], {"a"}),
            (["?name=a", "?#.|"], {"a"}),
        ],
    )
    def test_queries_are_a_stack(self, routeros, queries, names):
        routeros.add("/ip/hotspot/user", name="a", comment="x", limit_bytes_total="9", limit_uptime="90s")
        routeros.add("/ip/hotspot/user", name="b", comment="y", limit_bytes_total="10", limit_uptime="1h")
        routeros.add("/ip/hotspot/user", name="c")
        with Raw(routeros.api_port) as raw:
            answer = raw.login().ask("/ip/hotspot/user/print", "=.proplist=name", *queries)
        assert {attributes(sentence)["name"] for sentence in answer if sentence[0] == "!re"} == names

    @pytest.mark.parametrize(
        ("version", "asked", "seen"), [("7.20", False, True), ("7.21.1", False, False), ("7.21.1", True, True)]
    )
    def test_passwords_are_hidden_from_7_21_on(self, make_routeros, version, asked, seen):
        router = make_routeros(version=version, password="secret")
        router.add("/ip/hotspot/user", name="a", password="pw")
        with Raw(router.api_port) as raw:
            answer = raw.login().ask("/ip/hotspot/user/print", "?name=a", *(["=show-sensitive="] if asked else []))
        assert ("=password=pw" in answer[0]) is seen


class TestRights:
    def test_a_reader_reads_and_may_not_write(self, routeros):
        routeros.add("/user", name="reader", group="read", password="secret")
        with Raw(routeros.api_port) as raw:
            raw.login("reader")
            assert raw.ask("/ip/hotspot/user/print")[-1] == ["!done"]
            assert raw.ask("/ip/hotspot/user/add", "=name=x")[0] == ["!trap", "=message=not enough permissions (9)"]

    def test_accounts_need_the_policy_right(self, routeros):
        routeros.add("/user/group", name="bw", policy="api,read,write,!policy")
        routeros.add("/user", name="bw", group="bw", password="secret")
        with Raw(routeros.api_port) as raw:
            raw.login("bw")
            assert raw.ask("/ip/hotspot/user/add", "=name=x")[-1] == ["!done", "=ret=*2"]
            assert raw.ask("/user/add", "=name=evil", "=group=full")[0][0] == "!trap"
            assert raw.ask("/system/reboot")[0][0] == "!trap"

    @pytest.mark.parametrize("where", [{"address": "10.0.0.1/32"}, {"group": "mute"}, {"disabled": "yes"}])
    def test_who_may_not_come_in_does_not(self, routeros, where):
        routeros.add("/user/group", name="mute", policy="read,write,!api")
        routeros.add("/user", **{"name": "bw", "group": "full", "password": "secret", **where})
        with Raw(routeros.api_port) as raw:
            assert raw.ask("/login", "=name=bw", "=password=secret")[0][0] == "!trap"
