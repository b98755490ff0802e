"""What is to be printed, and how it goes to the process that sets it: a line for the job, then one for each card."""

from __future__ import annotations

import json
from binascii import hexlify, unhexlify
from dataclasses import asdict, dataclass

from bawaba.vouchers.qr import QrMatrix


@dataclass(frozen=True, slots=True)
class SheetJob:
    """What all cards of a sheet have in common. Empty texts are left out."""

    layout: str
    language: str
    site_name: str
    wifi_name: str
    support: str
    portal_text: str
    plan_name: str
    plan_words: str
    price_text: str
    batch_label: str
    use_before: str
    cards: int
    total_text: str


@dataclass(frozen=True, slots=True)
class PrintCard:
    """One card: what no other card has."""

    serial: str
    code: str
    qr: QrMatrix


@dataclass(frozen=True, slots=True)
class Labels:
    """Sentences in the sheet's language; empty ones are left out. `short` says briefly what `join` and `open` say."""

    from_right: bool  # which way they run; cards are mirrored too
    join: str
    open: str
    short: str
    support: str
    use_before: str
    batch: str
    totals: str


def job_line(job: SheetJob) -> bytes:
    """The first line. The sentences are made here, for the child would have to load the catalogues for them."""
    from bawaba.vouchers.card_words import labels

    return json.dumps({"job": asdict(job), "labels": asdict(labels(job))}).encode() + b"\n"


def read_job(line: bytes) -> tuple[SheetJob, Labels]:
    """What `job_line` wrote."""
    said = json.loads(line)
    return SheetJob(**said["job"]), Labels(**said["labels"])


def card_line(card: PrintCard) -> bytes:
    """The line of one card."""
    bits = hexlify(card.qr.bits).decode()
    return json.dumps([card.serial, card.code, card.qr.size, bits]).encode() + b"\n"


def read_card(line: bytes) -> PrintCard:
    """What `card_line` wrote."""
    serial, code, size, bits = json.loads(line)
    return PrintCard(serial, code, QrMatrix(size, unhexlify(bits)))
