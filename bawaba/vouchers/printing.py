"""Cards on paper, as files and as pictures. Every print is noted in the batch's journal."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.core.actor import Actor
from bawaba.core.errors import Unavailable, field_fault
from bawaba.core.runtime import Runtime
from bawaba.plans.models import PlanVersion
from bawaba.plans.words import plan_words
from bawaba.sites.models import Site
from bawaba.vouchers import codes, making, qr, queries, rules
from bawaba.vouchers.card_store import CardNotStoredError
from bawaba.vouchers.models import Batch, PrintRun, Voucher
from bawaba.web.language import moment, money
from bawaba.web.messages import say

if TYPE_CHECKING:  # imported where they are needed: most processes never print
    from bawaba.vouchers.csv_export import CsvCard
    from bawaba.vouchers.sheets import PrintCard, SheetJob

log = structlog.get_logger(__name__)
STRETCH = 500
SHEETS_AT_ONCE = 2
WAIT_FOR_TURN_S = 20.0
SHEET_DEADLINE_S = 300.0
_turn = threading.BoundedSemaphore(SHEETS_AT_ONCE)


class PrintersBusy(Unavailable):
    """As many sheets are being set as this machine should set at once."""

    code = "printers_busy"


class PrintFailed(Unavailable):
    """The sheet could not be set; the log says why."""

    code = "print_failed"


say(
    printers_busy="Other sheets are being made right now. Try again in a minute.",
    print_failed="The sheet could not be made. Try again; if it stays, tell your administrator.",
)


@dataclass(frozen=True, slots=True)
class SheetOrder:
    """What to print of a batch: all of it, or a range of serials, both ends included."""

    batch_id: int
    layout: str
    from_serial: str | None = None
    to_serial: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file for one download; it is deleted after it was sent."""

    path: Path
    name: str


def print_sheet(rt: Runtime, actor: Actor, order: SheetOrder) -> MadeFile:
    """Set the cards of a batch on paper. Raises `NoSuchCards` for a range that holds none."""
    _check_layout(order.layout)
    batch, version, site, first, last = rt.read(_what_to_print, actor, order)
    job = sheet_job(batch, batch, version, site, order.layout, order.language or batch.language, last - first + 1)
    made = _new_file(rt, f"{batch_label(batch)}-{order.layout}.pdf")
    _set_in_turn(job, print_cards(rt, batch, first, last), made.path)
    rt.transact(_note_print, actor, batch, order.layout, first, last, rt.clock.now())
    return made


def print_card(rt: Runtime, actor: Actor, voucher_id: int, layout: str, language: str | None = None) -> MadeFile:
    """Set one card on paper, whether it was made alone or in a batch."""
    _check_layout(layout)
    voucher, version, site, batch = rt.read(_card_to_print, actor, voucher_id)
    job = sheet_job(voucher, batch, version, site, layout, language or site.language, 1)
    made = _new_file(rt, f"{voucher.serial}-{layout}.pdf")
    _set_in_turn(job, iter([_print_card(rt, voucher)]), made.path)
    rt.transact(_note_card_print, actor, voucher, layout, rt.clock.now())
    return made


def _check_layout(layout: str) -> None:
    from bawaba.vouchers.sheets import LAYOUTS

    if layout not in LAYOUTS:
        raise field_fault("layout", f"must be one of {', '.join(LAYOUTS)}")


def _what_to_print(db: Session, actor: Actor, order: SheetOrder) -> tuple[Batch, PlanVersion, Site, int, int]:
    batch, version = queries.get_ready_batch(db, actor, order.batch_id)
    first, last = queries.numbers_of_range(db, batch, order.from_serial, order.to_serial)
    return batch, version, db.get_one(Site, batch.site_id), first, last


def _card_to_print(db: Session, actor: Actor, voucher_id: int) -> tuple[Voucher, PlanVersion, Site, Batch | None]:
    voucher, version = queries.get_card(db, actor, voucher_id)
    batch = queries.get_ready_batch(db, actor, voucher.batch_id)[0] if voucher.batch_id else None
    return voucher, version, db.get_one(Site, voucher.site_id), batch


def sheet_job(
    sold: Batch | Voucher,
    batch: Batch | None,
    version: PlanVersion,
    site: Site,
    layout: str,
    language: str,
    cards: int,
) -> SheetJob:
    """What all cards of a sheet have in common. `sold` is what has the price: the batch, or one card alone."""
    from bawaba.vouchers.sheets import SheetJob

    price_minor = sold.price_minor
    if isinstance(sold, Voucher):
        expires = rules.earliest(sold.expires_unused_at, sold.ends_at)
    else:
        expires = rules.unused_until(version, sold.created_at)
    return SheetJob(
        layout=layout,
        language=language,
        site_name=site.name,
        wifi_name=site.wifi_name,
        support=site.support,
        portal_text=site.portal_host,
        plan_name=version.name,
        plan_words=plan_words(version, language),
        price_text=money(price_minor, version.currency, site.currency_decimals, language),
        batch_label=batch_label(batch) if batch else "",
        use_before=moment(expires, site.time_zone, language) if expires else "",
        cards=cards,
        total_text=money(price_minor * cards, version.currency, site.currency_decimals, language),
    )


def batch_label(batch: Batch) -> str:
    """What a batch is called on paper: B042."""
    return f"B{batch.number:03d}"


def _set_in_turn(job: SheetJob, cards: Iterator[PrintCard], path: Path) -> None:
    """Set a sheet, a few at a time in this process. Raises `PrintersBusy`."""
    if not _turn.acquire(timeout=WAIT_FOR_TURN_S):
        path.unlink(missing_ok=True)
        raise PrintersBusy()
    try:
        _set_in_child(job, cards, path)
    finally:
        _turn.release()


def _set_in_child(job: SheetJob, cards: Iterator[PrintCard], path: Path) -> None:
    """A process of its own sets the sheet, so that ours stays small; codes go to it through a pipe only."""
    from bawaba.vouchers.sheets import card_line, job_line

    command = [sys.executable, "-m", "bawaba.vouchers.sheets", "--out", str(path)]
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said) as child:
        assert child.stdin is not None
        watch = threading.Timer(SHEET_DEADLINE_S, child.kill)
        watch.start()
        try:
            child.stdin.write(job_line(job))
            for card in cards:
                child.stdin.write(card_line(card))
            child.stdin.close()
            failed = child.wait()
        except BrokenPipeError:
            failed = child.wait() or 1
        finally:
            watch.cancel()
        if failed:
            said.seek(0)
            path.unlink(missing_ok=True)
            log.error(
                "a sheet could not be set",
                cards=job.cards,
                exit_code=failed,
                said=said.read(2000).decode(errors="replace"),
            )
            raise PrintFailed()


def print_cards(rt: Runtime, batch: Batch, first: int, last: int) -> Iterator[PrintCard]:
    """The cards of a range in their order, a few hundred in memory at a time."""
    from bawaba.vouchers.sheets import PrintCard

    number = first - 1
    while number < last:
        stretch = rt.read(queries.batch_cards, batch.id, number, last, STRETCH)
        if not stretch:
            return
        images = _images(rt, batch, stretch)
        for voucher, image in zip(stretch, images, strict=True):
            yield PrintCard(voucher.serial, making.open_code(rt.keyring, voucher), image)
        number = stretch[-1].number


def _print_card(rt: Runtime, voucher: Voucher) -> PrintCard:
    from bawaba.vouchers.sheets import PrintCard

    return PrintCard(voucher.serial, making.open_code(rt.keyring, voucher), matrix_of(rt, voucher))


def _images(rt: Runtime, batch: Batch, stretch: Sequence[Voucher]) -> list[qr.QrMatrix]:
    start = stretch[0].number - 1
    try:
        return list(making.store(rt).read(batch.id, start, start + len(stretch)))
    except CardNotStoredError:
        log.warning("stored QR images are missing; making them again", batch_id=batch.id)
        return qr.card_matrices(rt.config.portal_url, [making.open_code(rt.keyring, voucher) for voucher in stretch])


def matrix_of(rt: Runtime, voucher: Voucher) -> qr.QrMatrix:
    """A card's stored QR image; one whose file was lost is made again from the sealed code."""
    store = making.store(rt)
    try:
        if voucher.batch_id is None:
            return store.get_single(voucher.id)
        return store.get(voucher.batch_id, voucher.number - 1)
    except CardNotStoredError:
        return qr.card_matrix(rt.config.portal_url, making.open_code(rt.keyring, voucher))


def picture(rt: Runtime, actor: Actor, voucher_id: int, language: str | None) -> bytes:
    """One card as a PNG, to send to a guest."""
    from bawaba.vouchers.picture import card_picture

    voucher, version, site, batch = rt.read(_card_to_print, actor, voucher_id)
    job = sheet_job(voucher, batch, version, site, "a4-3x8", language or site.language, 1)
    return card_picture(job, _print_card(rt, voucher))


def export_csv(rt: Runtime, actor: Actor, batch_id: int, *, with_codes: bool) -> MadeFile:
    """A batch as a spreadsheet file; codes are masked for those who may not read them."""
    from bawaba.vouchers import csv_export

    batch, version = rt.read(queries.get_ready_batch, actor, batch_id)
    now = rt.clock.now()

    def rows() -> Iterator[CsvCard]:
        number = 0
        while stretch := rt.read(queries.batch_cards, batch.id, number, batch.quantity, STRETCH):
            for voucher in stretch:
                code = making.open_code(rt.keyring, voucher)
                yield csv_export.CsvCard(
                    serial=voucher.serial,
                    code=codes.grouped(code) if with_codes else rules.masked(code),
                    plan=version.name,
                    price_minor=voucher.price_minor,
                    currency=voucher.currency,
                    status=rules.status_at(voucher, now),
                    batch=batch_label(batch),
                    created_at=voucher.created_at,
                    expires_unused_at=voucher.expires_unused_at,
                    first_used_at=voucher.first_used_at,
                )
            number = stretch[-1].number

    made = _new_file(rt, f"{batch_label(batch)}.csv")
    with made.path.open("wb") as file:
        file.writelines(csv_export.lines(rows()))
    rt.transact(_note_export, actor, batch, now)
    return made


def _note_print(db: Session, actor: Actor, batch: Batch, layout: str, first: int, last: int, now: datetime) -> None:
    serials = [rules.serial_of(batch.number, number) for number in (first, last)]
    db.add(
        PrintRun(
            batch_id=batch.id,
            layout=layout,
            from_serial=serials[0],
            to_serial=serials[1],
            cards=last - first + 1,
            printed_by=actor.user_id,
            printed_at=now,
        )
    )
    facts = {"layout": layout, "from": serials[0], "to": serials[1]}
    audit.record(db, actor, "batch.printed", batch.site_id, "batch", batch.id, now, **facts)


def _note_card_print(db: Session, actor: Actor, voucher: Voucher, layout: str, now: datetime) -> None:
    db.add(
        PrintRun(
            batch_id=voucher.batch_id,
            voucher_id=voucher.id,
            layout=layout,
            from_serial=voucher.serial,
            to_serial=voucher.serial,
            cards=1,
            printed_by=actor.user_id,
            printed_at=now,
        )
    )
    facts = {"serial": voucher.serial, "layout": layout}
    audit.record(db, actor, "card.printed", voucher.site_id, "voucher", voucher.id, now, **facts)


def _note_export(db: Session, actor: Actor, batch: Batch, now: datetime) -> None:
    audit.record(db, actor, "batch.exported", batch.site_id, "batch", batch.id, now)


def _new_file(rt: Runtime, name: str) -> MadeFile:
    """A place for a file that is sent once; what a crash left there is swept away after an hour."""
    folder = rt.config.data_dir / "outgoing"
    folder.mkdir(mode=0o700, exist_ok=True)
    old = (rt.clock.now() - timedelta(hours=1)).timestamp()
    for left in folder.iterdir():
        if left.stat().st_mtime < old:
            left.unlink(missing_ok=True)
    handle, path = tempfile.mkstemp(dir=folder, suffix=Path(name).suffix)
    os.close(handle)
    return MadeFile(Path(path), name)
