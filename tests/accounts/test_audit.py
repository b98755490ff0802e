"""Who did what to what, and when."""

import pytest

from bawaba.accounts import audit
from bawaba.core.actor import SYSTEM
from tests.staff import YEMEN


@pytest.fixture
def deeds(hana, omar):
    """A few deeds of Hana's and one of Omar's."""
    site = hana.post("/api/sites", YEMEN).json["id"]
    hana.patch(f"/api/sites/{site}", {"name": "Renamed", "support": ""})
    omar.post("/api/keys", {"name": "till"})
    return site


def actions(person, query=""):
    return [entry["action"] for entry in person.get(f"/api/audit{query}").json["items"]]


def test_a_deed_is_written_down_with_who_and_what(hana, deeds):
    entry = hana.get("/api/audit?action=site.changed").json["items"][0]
    assert entry == {
        "id": entry["id"],
        "at": "2026-01-10T12:00:00Z",
        "actor_id": hana.user_id,
        "actor": "hana",
        "action": "site.changed",
        "site_id": deeds,
        "subject": "site",
        "subject_id": deeds,
        "facts": {"fields": ["name"]},
    }


def test_the_newest_deed_is_first_and_can_be_looked_for(hana, deeds):
    assert actions(hana)[:3] == ["key.made", "site.changed", "site.added"]
    assert actions(hana, "?actor=Omar") == ["key.made", "user.signed_in"]
    assert actions(hana, "?action=site") == ["site.changed", "site.added"]
    assert actions(hana, "?action=sit") == []
    assert actions(hana, "?actor=hana&action=site.added") == ["site.added"]
    assert actions(hana, "?action=%25") == []


def test_deeds_come_in_pages(hana, deeds):
    found, cursor = [], ""
    while cursor is not None:
        page = hana.get(f"/api/audit?limit=2&cursor={cursor}").json
        found += page["items"]
        cursor = page["next"]
    assert [entry["id"] for entry in found] == sorted((entry["id"] for entry in found), reverse=True)
    assert [entry["action"] for entry in found] == actions(hana)


def test_only_who_may_reads_it(omar, vera):
    assert {person.get("/api/audit").status_code for person in (omar, vera)} == {403}


def test_a_deed_that_is_undone_is_not_written_down(hana, rt):
    def undone(db):
        audit.record(db, SYSTEM, "card.made", None, "voucher", 1, rt.clock.now())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rt.transact(undone)
    assert "card.made" not in actions(hana)


@pytest.mark.parametrize("path", ["/api/audit?actor=%00", "/api/vouchers?q=a%00", "/api/devices/%00"])
def test_a_letter_that_no_database_holds_finds_nothing(hana, path):
    method = "DELETE" if "devices" in path else "GET"
    assert hana.ask(method, path).status_code == 404
