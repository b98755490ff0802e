"""Printing a batch: which cards, who noted it, what is refused; and its spreadsheet file."""

from __future__ import annotations

import csv
import io
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pypdfium2
import pytest
from sqlalchemy import select

from bawaba.accounts.models import AuditEntry
from bawaba.core.errors import Problem
from bawaba.plans.models import PlanVersion
from bawaba.vouchers import codes, making, printing, queries
from bawaba.vouchers.card_words import labels
from bawaba.vouchers.models import Batch, PrintRun, Voucher
from bawaba.vouchers.printing import SheetOrder
from tests.cast import Cast, person
from tests.vouchers.qr_reader import grey, read_qr

HANA = person()


@pytest.fixture
def batch(rt, cast: Cast) -> Batch:
    """Thirty cards."""
    version = cast.make_plan(shelf_life_seconds=86_400)
    ordered = making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, 30))
    rt.parts["batch_maker"].make(ordered.id)
    return cast.row(Batch, ordered.id)


def codes_of(rt, batch: Batch) -> dict[str, str]:
    rows = rt.read(lambda db: db.scalars(select(Voucher).where(Voucher.batch_id == batch.id)).all())
    return {row.serial: making.open_code(rt.keyring, row) for row in rows}


def cards_on(path: Path) -> dict[str, str]:
    """Serials and codes on paper, read page by page as text."""
    texts = [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(path)]
    found = re.findall(r"(\d{4}-\d{4}-\d{4})\s+(B\d{3}-\d{4})", " ".join(texts))
    return {serial: code.replace("-", "") for code, serial in found}


def test_the_whole_batch_is_printed_and_noted(rt, cast, batch):
    made = printing.print_sheet(rt, HANA, SheetOrder(batch.id, "a4-5x13"))

    assert made.name == "B001-a4-5x13.pdf"
    assert cards_on(made.path) == codes_of(rt, batch)
    run = rt.read(lambda db: db.scalars(select(PrintRun)).one())
    assert (run.from_serial, run.to_serial, run.cards, run.printed_by) == ("B001-0001", "B001-0030", 30, HANA.user_id)
    entry = rt.read(lambda db: db.scalars(select(AuditEntry).where(AuditEntry.action == "batch.printed")).one())
    assert entry.facts == {"layout": "a4-5x13", "from": "B001-0001", "to": "B001-0030"}


def test_a_range_of_serials_is_printed_with_both_ends(rt, cast, batch):
    made = printing.print_sheet(rt, HANA, SheetOrder(batch.id, "roll-80", "b001-0007", "B001-0009", "en"))
    expected = {serial: code for serial, code in codes_of(rt, batch).items() if "B001-0007" <= serial <= "B001-0009"}

    assert cards_on(made.path) == expected
    assert len(pypdfium2.PdfDocument(made.path)) == 3
    assert rt.read(lambda db: db.scalars(select(PrintRun.cards)).all()) == [3]


@pytest.mark.parametrize("ends", [("B001-0009", "B001-0007"), ("B001-0031", None), ("nothing", None)])
def test_a_range_that_holds_no_card_is_refused_and_not_noted(rt, cast, batch, ends):
    with pytest.raises(Problem) as refused:
        printing.print_sheet(rt, HANA, SheetOrder(batch.id, "a4-3x8", *ends))

    assert (refused.value.code, refused.value.status) == ("no_such_cards", 422)
    assert rt.read(lambda db: db.scalars(select(PrintRun)).all()) == []


def test_a_range_may_be_said_by_places_alone(rt, cast, batch):
    made = printing.print_sheet(rt, HANA, SheetOrder(batch.id, "roll-58", "7", "9", "en"))

    assert sorted(cards_on(made.path)) == ["B001-0007", "B001-0008", "B001-0009"]


@pytest.mark.parametrize("layout", ["a4-3x8", "roll-58", "roll-80"])
def test_a_card_made_alone_goes_on_paper_with_its_own_price_and_end(rt, cast, clock, layout):
    plan_id = cast.make_plan().plan_id
    ends = clock.now() + timedelta(days=3)
    voucher, _ = making.make_card(rt, HANA, making.CardOrder(plan_id, "digits", price_minor=175, ends_at=ends))
    made = printing.print_card(rt, HANA, voucher.id, layout, "en")
    text = " ".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(made.path))

    assert made.name == f"S000001-{layout}.pdf"
    assert codes.grouped(making.open_code(rt.keyring, voucher)) in text and "S000001" in text
    assert "175" in text and "200" not in text
    assert layout == "roll-58" or "13 Jan" in text.replace("\xa0", " ")
    run = rt.read(lambda db: db.scalars(select(PrintRun)).one())
    assert (run.voucher_id, run.batch_id, run.from_serial, run.cards) == (voucher.id, None, "S000001", 1)
    entry = rt.read(lambda db: db.scalars(select(AuditEntry).where(AuditEntry.action == "card.printed")).one())
    assert entry.facts == {"serial": "S000001", "layout": layout}


def test_one_card_of_a_batch_is_printed_by_itself_and_its_batch_knows(rt, cast, batch):
    voucher = rt.read(lambda db: db.scalars(select(Voucher).where(Voucher.serial == "B001-0012")).one())
    made = printing.print_card(rt, HANA, voucher.id, "roll-80", "ar")

    assert cards_on(made.path) == {"B001-0012": codes_of(rt, batch)["B001-0012"]}
    runs = rt.read(queries.print_journal, batch.id)
    assert [(run.from_serial, run.to_serial, run.cards) for run in runs] == [("B001-0012", "B001-0012", 1)]


def test_a_paper_that_we_do_not_have_is_refused(rt, cast, batch):
    with pytest.raises(Problem) as refused:
        printing.print_sheet(rt, HANA, SheetOrder(batch.id, "../a4"))

    assert refused.value.status == 422 and "a4-3x8" in str(refused.value.details)


def test_cards_in_the_making_are_not_printed(rt, cast):
    ordered = making.order_batch(rt, HANA, making.BatchOrder(cast.make_plan().plan_id, 600))

    for use in (
        lambda: printing.print_sheet(rt, HANA, SheetOrder(ordered.id, "a4-3x8")),
        lambda: printing.export_csv(rt, HANA, ordered.id, with_codes=True),
    ):
        with pytest.raises(Problem) as refused:
            use()
        assert (refused.value.code, refused.value.status) == ("batch_not_ready", 409)


def test_no_code_shows_among_the_arguments_of_a_process(rt, cast, batch, monkeypatch):
    seen = []
    real = subprocess.Popen

    def watched(command, **how):
        seen.append((list(map(str, command)), {name: str(how.get(name)) for name in ("env", "cwd")}))
        return real(command, **how)

    monkeypatch.setattr(subprocess, "Popen", watched)
    printing.print_sheet(rt, HANA, SheetOrder(batch.id, "a4-3x8"))

    assert len(seen) == 1
    assert not any(code in str(seen) for code in codes_of(rt, batch).values())


def test_a_sheet_that_cannot_be_set_leaves_no_file_and_no_note(rt, cast, batch, monkeypatch):
    monkeypatch.setattr(printing, "print_cards", lambda *_: iter(()))
    with pytest.raises(Problem) as refused:
        printing.print_sheet(rt, HANA, SheetOrder(batch.id, "a4-3x8"))

    assert refused.value.code == "print_failed"
    assert list((rt.config.data_dir / "outgoing").iterdir()) == []
    assert rt.read(lambda db: db.scalars(select(PrintRun)).all()) == []


def test_lost_qr_images_are_made_again(rt, cast, batch):
    making.store(rt).delete_batch(batch.id)
    made = printing.print_sheet(rt, HANA, SheetOrder(batch.id, "roll-58", "B001-0001", "B001-0001"))
    page = pypdfium2.PdfDocument(made.path)[0].render(scale=6, grayscale=True).to_numpy()

    assert read_qr(page.reshape(page.shape[:2])).lower().endswith(codes_of(rt, batch)["B001-0001"])


def test_an_arabic_sheet_counts_in_arabic(rt, cast, batch):
    made = printing.print_sheet(rt, HANA, SheetOrder(batch.id, "a4-3x8", language="ar"))
    version = cast.row(PlanVersion, batch.plan_version_id)
    job = printing.sheet_job(batch, batch, version, cast.site, "a4-3x8", "ar", batch.quantity)

    assert "30 كرتًا" in labels(job).totals
    assert "login.wifi" in labels(job).open and "افتح" in labels(job).open
    assert made.path.stat().st_size > 10_000


def test_one_card_as_a_picture(rt, cast):
    voucher, _ = making.make_card(rt, HANA, making.CardOrder(cast.make_plan().plan_id))
    pixels = grey(printing.picture(rt, HANA, voucher.id, "ar"))

    assert read_qr(pixels).lower() == f"{rt.config.portal_url}/c/{making.open_code(rt.keyring, voucher)}"


@pytest.mark.parametrize("with_codes", [True, False])
def test_a_batch_as_a_spreadsheet_shows_codes_to_those_who_may_read_them(rt, cast, batch, with_codes):
    made = printing.export_csv(rt, HANA, batch.id, with_codes=with_codes)
    text = made.path.read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    known = codes_of(rt, batch)

    assert made.name == "B001.csv"
    assert [row["serial"] for row in rows] == sorted(known)
    if with_codes:
        assert {row["serial"]: codes.parse(row["code"]).text for row in rows} == known
        assert all(re.fullmatch(r"\d{4}-\d{4}-\d{4}", row["code"]) for row in rows)  # no number to a spreadsheet
    else:
        assert not any(code in text for code in known.values())
        assert all(row["code"].endswith(known[row["serial"]][-2:]) for row in rows)
    assert {(row["plan"], row["price_minor"], row["currency"], row["status"]) for row in rows} == {
        ("3 hours", "200", "YER", "unused")
    }
    entries = rt.read(lambda db: db.scalars(select(AuditEntry.action)).all())
    assert "batch.exported" in entries
