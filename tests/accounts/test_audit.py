"""Who did what to what, and when."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

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


def tamper(rt, statement):
    """What somebody with the database, and without the key file, does to it."""
    rt.transact(lambda db: db.execute(text(statement)))


def test_an_untouched_log_is_whole_and_its_newest_seal_is_told(hana, deeds, rt):
    verdict = audit.verify(rt)
    assert (verdict.reason, verdict.unsealed) == (None, 0)
    assert verdict.sealed == len(actions(hana))
    assert audit.is_known(rt, verdict.head)
    assert not audit.is_known(rt, "00" * 32)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE audit_entry SET actor = 'omar' WHERE action = 'site.added'", "it was changed"),
        ("UPDATE audit_entry SET facts = '{}' WHERE action = 'site.changed'", "it was changed"),
        ("DELETE FROM audit_entry WHERE action = 'site.added'", "deeds before it are missing"),
        ("UPDATE audit_entry SET chain = NULL WHERE action = 'site.changed'", "it was put in without a seal"),
    ],
)
def test_a_deed_changed_or_taken_out_is_found(deeds, rt, statement, reason):
    tamper(rt, statement)
    verdict = audit.verify(rt)
    assert verdict.reason == reason
    assert verdict.broken_at is not None


def test_deeds_missing_at_the_end_are_found_also_after_new_ones(hana, deeds, rt):
    tamper(rt, "DELETE FROM audit_entry WHERE id >= (SELECT max(id) - 1 FROM audit_entry)")
    assert "newest deeds are missing" in str(audit.verify(rt).reason)

    hana.post("/api/keys", {"name": "another"})
    assert audit.verify(rt).reason == "deeds before it are missing"


@pytest.mark.parametrize("note", ["-", "zz", "00" * 64])
def test_a_forged_note_of_the_newest_seal_heals_nothing(hana, deeds, rt, note):
    tamper(rt, "DELETE FROM audit_entry WHERE id = (SELECT max(id) FROM audit_entry)")
    tamper(rt, f"UPDATE install_fact SET value = '{note}' WHERE name = 'audit_head'")
    hana.post("/api/keys", {"name": "another"})
    assert audit.verify(rt).reason == "deeds before it are missing"


def test_old_deeds_may_be_forgotten_from_the_front(deeds, rt):
    tamper(rt, "DELETE FROM audit_entry WHERE id <= (SELECT min(id) + 1 FROM audit_entry)")
    assert audit.verify(rt).reason is None


def test_deeds_at_the_same_time_make_one_chain(rt):
    def deed(number):
        rt.transact(audit.record, SYSTEM, "card.made", None, "voucher", number, rt.clock.now(), number=number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deed, range(64)))
    assert (audit.verify(rt).sealed, audit.verify(rt).reason) == (64, None)
