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
    """The sentences on a card and under a sheet, in the sheet's language. Empty ones are left out."""

    join: str
    open: str
    support: str
    use_before: str
    batch: str
    totals: str


def labels(job: SheetJob) -> Labels:
    """The job's facts in sentences; for those who have the catalogues loaded, which is not the child process."""
    from bawaba.web.language import translate, translate_count

    def say(sentence: str, value: str) -> str:
        return translate(sentence, job.language, value=f"\u2068{value}\u2069") if value else ""

    join = say("Join the WiFi %(value)s", job.wifi_name) or translate("Join the WiFi", job.language)
    count = translate_count("%(count)s card", "%(count)s cards", job.cards, job.language)
    batch = say("Batch %(value)s", job.batch_label)
    return Labels(
        join=join,
        open=say("Open %(value)s and type the number, or scan", job.portal_text),
        support=say("Help: %(value)s", job.support),
        use_before=say("Use before %(value)s", job.use_before),
        batch=batch,
        totals=" · ".join(part for part in (batch, count, say("Total %(value)s", job.total_text)) if part),
    )


def job_line(job: SheetJob) -> bytes:
    """The first line."""
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
