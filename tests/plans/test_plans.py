"""What a card buys, in versions that never change."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from bawaba.core.errors import Invalid, Problem
from bawaba.plans import service
from bawaba.plans.models import PlanVersion
from bawaba.plans.schemas import PlanIn
from bawaba.web.input import parse
from tests.cast import person as actor
from tests.staff import THREE_HOURS, YEMEN, error_of, faults_of

LIMITS = ("duration_seconds", "quota_bytes", "quota_up_bytes", "quota_down_bytes", "rate_down_kbps", "rate_up_kbps",
          "devices_ever", "valid_for_seconds", "shelf_life_seconds")  # fmt: skip


@pytest.fixture
def site(hana):
    """A café in Yemen."""
    return hana.post("/api/sites", YEMEN).json["id"]


@pytest.fixture
def plan(hana, site):
    """Three hours."""
    return hana.post("/api/plans", THREE_HOURS).json


def versions(rt, plan_id):
    wanted = select(PlanVersion).where(PlanVersion.plan_id == plan_id).order_by(PlanVersion.version)
    return rt.read(lambda db: [(row.version, row.name, row.price_minor) for row in db.scalars(wanted)])


def test_a_plan_needs_little(hana, site):
    answer = hana.post("/api/plans", THREE_HOURS)
    made = answer.json
    assert answer.status_code == 201
    assert made == {
        "id": made["id"],
        "site_id": site,
        "version": 1,
        "name": "3 hours",
        "kind": "elapsed",
        "duration_seconds": 10_800,
        "quota_bytes": None,
        "quota_up_bytes": None,
        "quota_down_bytes": None,
        "rate_down_kbps": None,
        "rate_up_kbps": None,
        "devices_at_once": 1,
        "devices_ever": None,
        "valid_for_seconds": None,
        "shelf_life_seconds": None,
        "idle_timeout_seconds": 300,
        "price_minor": 200,
        "currency": "YER",
        "archived": False,
        "created_at": "2026-01-10T12:00:00Z",
        "changed_at": "2026-01-10T12:00:00Z",
    }
    assert hana.get(f"/api/plans/{made['id']}").json == made
    assert hana.get("/api/plans").json == {"items": [made], "next": None}


def test_every_term_is_kept_as_it_was_given(hana, site):
    terms = {
        "name": "Week", "kind": "used_time", "duration_seconds": 10_800, "quota_bytes": 2**40, "quota_up_bytes": 2**33,
        "quota_down_bytes": 2**34, "rate_down_kbps": 5000, "rate_up_kbps": 1000, "devices_at_once": 2,
        "devices_ever": 4,
        "valid_for_seconds": 604_800, "shelf_life_seconds": 31_536_000, "idle_timeout_seconds": 600,
        "price_minor": 10**11, "currency": "USD",
    }  # fmt: skip
    made = hana.post("/api/plans", terms).json
    assert {name: made[name] for name in terms} == terms


def faults(**terms):
    """The faults of a plan's terms, as the API would name them."""
    with pytest.raises(Invalid) as refused:
        parse(PlanIn, THREE_HOURS | terms)
    return list(refused.value.details["fields"])


@pytest.mark.parametrize("field", [*LIMITS, "devices_at_once", "idle_timeout_seconds"])
@pytest.mark.parametrize("value", [0, -1, 2**62, "many", 1.5])
def test_a_limit_is_a_sane_whole_number_and_never_nothing(field, value):
    assert faults(**{field: value}) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "x" * 81), ("name", None), ("kind", "forever"), ("price_minor", -1), ("price_minor", None),
     ("currency", "XYZ"), ("devices_at_once", None), ("idle_timeout_seconds", 59), ("version", 7)],
)  # fmt: skip
def test_what_does_not_fit_is_named(field, value):
    assert faults(**{field: value}) == [field]


def test_what_does_not_fit_together_is_named(hana, site):
    assert list(faults_of(hana.post("/api/plans", THREE_HOURS | {"duration_seconds": None}))) == ["duration_seconds"]
    assert sorted(faults_of(hana.post("/api/plans", {"rate_up_kbps": 0}))) == ["name", "price_minor", "rate_up_kbps"]


def test_null_is_no_limit(hana, site):
    terms = dict.fromkeys(LIMITS) | {"name": "1 GB", "quota_bytes": 2**30, "price_minor": 0}
    assert hana.post("/api/plans", terms).status_code == 201


def test_a_plan_may_be_free(hana, site):
    assert hana.post("/api/plans", THREE_HOURS | {"price_minor": 0}).json["price_minor"] == 0


# Versions


def test_a_change_is_a_new_version_and_the_old_one_stays(hana, plan, rt):
    changed = hana.patch(f"/api/plans/{plan['id']}", {"price_minor": 300})
    assert changed.json == plan | {"version": 2, "price_minor": 300}
    assert versions(rt, plan["id"]) == [(1, "3 hours", 200), (2, "3 hours", 300)]


def test_cards_keep_the_version_that_they_were_made_with(hana, plan, rt):
    card = hana.post("/api/vouchers", {"plan_id": plan["id"]}).json
    hana.patch(f"/api/plans/{plan['id']}", {"name": "4 hours", "duration_seconds": 14_400})
    kept = hana.get(f"/api/vouchers/{card['id']}").json
    newer = hana.post("/api/vouchers", {"plan_id": plan["id"]}).json
    assert (kept["plan_version"], kept["plan_name"]) == (1, "3 hours")
    assert (newer["plan_version"], newer["plan_name"]) == (2, "4 hours")


@pytest.mark.parametrize("change", [{}, {"price_minor": 200}, {"name": " 3 hours "}, {"archived": False}])
def test_what_changes_nothing_makes_no_version(hana, plan, rt, change):
    assert hana.patch(f"/api/plans/{plan['id']}", change).json == plan
    assert len(versions(rt, plan["id"])) == 1


def test_left_out_stays_and_null_takes_a_limit_away(hana, site):
    made = hana.post("/api/plans", THREE_HOURS | {"quota_bytes": 2**30, "rate_down_kbps": 512}).json
    changed = hana.patch(f"/api/plans/{made['id']}", {"quota_bytes": None}).json
    assert changed == made | {"version": 2, "quota_bytes": None}


def test_a_change_is_judged_with_what_stays(hana, plan):
    path = f"/api/plans/{plan['id']}"
    assert list(faults_of(hana.patch(path, {"duration_seconds": None}))) == ["duration_seconds"]
    assert list(faults_of(hana.patch(path, {"valid_for_seconds": 60}))) == ["valid_for_seconds"]
    assert list(faults_of(hana.patch(path, {"price_minor": None}))) == ["price_minor"]
    assert hana.patch(path, {"duration_seconds": None, "quota_bytes": 1}).status_code == 200


def test_changes_at_once_come_one_after_the_other(hana, plan, rt):
    def change(price):
        return service.change_plan(rt, actor("admin"), plan["id"], {"price_minor": price})[0].version

    with ThreadPoolExecutor(6) as pool:
        made = sorted(pool.map(change, range(1000, 1006)))
    assert made == [2, 3, 4, 5, 6, 7]
    assert [version for version, _, _ in versions(rt, plan["id"])] == [1, 2, 3, 4, 5, 6, 7]


def test_two_changes_at_once_do_not_undo_each_other(hana, plan, rt):
    changes = [{"price_minor": 999}, {"rate_down_kbps": 512}, {"devices_at_once": 2}]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda change: service.change_plan(rt, actor("admin"), plan["id"], change), changes))
    now = hana.get(f"/api/plans/{plan['id']}").json
    assert (now["price_minor"], now["rate_down_kbps"], now["devices_at_once"]) == (999, 512, 2)


def test_a_version_is_found_by_its_id(cast, rt):
    version = cast.make_plan(name="Old")
    assert rt.read(service.get_version, version.id).name == "Old"
    with pytest.raises(Problem):
        rt.read(service.get_version, version.id + 1)


# Put away


def test_a_plan_that_was_put_away_makes_no_cards_and_comes_back(hana, plan):
    path = f"/api/plans/{plan['id']}"
    assert hana.patch(path, {"archived": True}).json == plan | {"archived": True}
    assert hana.get("/api/plans").json["items"] == []
    assert [item["id"] for item in hana.get("/api/plans?archived=true").json["items"]] == [plan["id"]]
    assert hana.get(path).json["archived"] is True
    refused = hana.post("/api/vouchers", {"plan_id": plan["id"]})
    assert (refused.status_code, error_of(refused)) == (409, "plan_archived")
    assert hana.patch(path, {"archived": False}).json == plan
    assert hana.post("/api/vouchers", {"plan_id": plan["id"]}).status_code == 201


def test_plans_come_in_pages(hana, site):
    ids = [hana.post("/api/plans", THREE_HOURS).json["id"] for _ in range(5)]
    found, cursor = [], ""
    while cursor is not None:
        page = hana.get(f"/api/plans?limit=2&cursor={cursor}").json
        found += [plan["id"] for plan in page["items"]]
        cursor = page["next"]
    assert found == ids[::-1]
    for wrong in ("archived=maybe", "site_id=x", "limit=0", "cursor=zz"):
        assert hana.get(f"/api/plans?{wrong}").status_code == 422


def test_refusals_come_in_their_order(hana, omar, plan, app):
    nobody = type(hana)(app, "nobody", "nonsense")
    assert nobody.patch("/api/plans/99", {"nonsense": 1}).status_code == 401
    assert omar.patch("/api/plans/99", {"nonsense": 1}).status_code == 403
    assert hana.patch("/api/plans/99", {"nonsense": 1}).status_code == 404
    assert hana.patch(f"/api/plans/{plan['id']}", {"nonsense": 1}).status_code == 422
    assert hana.post("/api/plans", {"site_id": 99, "nonsense": 1}).status_code == 404


def test_an_operator_reads_plans(omar, plan):
    assert omar.get(f"/api/plans/{plan['id']}").status_code == 200
    assert omar.post("/api/plans", THREE_HOURS).status_code == 403


def test_deeds_with_plans_are_written_down(hana, plan):
    hana.patch(f"/api/plans/{plan['id']}", {"price_minor": 300, "archived": True})
    entries = hana.get("/api/audit?action=plan").json["items"]
    assert [entry["action"] for entry in entries] == ["plan.archived", "plan.changed", "plan.added"]
    assert entries[1]["facts"] == {"version": 2, "fields": ["price_minor"]}
