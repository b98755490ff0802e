"""What a gateway that fetches its guests says, written down on both databases."""

from __future__ import annotations

from tests.cast import HOUR, PHONE, phones


def test_of_many_guests_four_are_told_at_once_and_all_come_in(cafe, cast):
    cards = {mac: cast.make_voucher() for mac in phones(11)}
    for number, (mac, card) in enumerate(cards.items()):
        cafe.nds.join(mac, f"10.88.1.{number}")
        cafe.phone(mac).type(card.code)
    for _ in range(3):
        listed = cafe.nds.call("view", "none")
        assert len(listed) <= 2 + 1024 and len(listed.split()) <= 1 + 4
        cafe.nds.call("view", " ".join(["*", *cafe.nds.let_in(listed)]))
    assert sorted(cafe.nds.online()) == sorted(cards)


def test_a_report_that_comes_twice_is_booked_once(cafe, cast):
    card = cast.make_voucher(kind="used_time", duration_seconds=2 * HOUR)
    cafe.come_in(card)
    cafe.nds.move(PHONE, 10, 2000)
    cafe.pass_time(60)
    told = cafe.nds.end(PHONE, "client")
    once = cafe.card(card)
    assert cafe.nds.call("deauthed", told) == "ack"
    again = cafe.card(card)
    assert (again.bytes_up, again.bytes_down, again.used_seconds) == (10, 2000, once.used_seconds)
