"""What stands on a card and below a sheet of them, in sentences."""

from __future__ import annotations

from bawaba.plans.words import BETWEEN, ISOLATE, ISOLATE_END
from bawaba.vouchers.sheets.job import Labels, SheetJob
from bawaba.web.language import direction, translate, translate_count


def labels(job: SheetJob) -> Labels:
    """Put the job's facts in sentences of its language."""
    language = job.language
    wifi, portal = _apart(job.wifi_name), _apart(job.portal_text)
    batch = translate("Batch %(label)s", language, label=_apart(job.batch_label)) if job.batch_label else ""
    count = translate_count("%(count)s card", "%(count)s cards", job.cards, language)
    total = translate("Total %(amount)s", language, amount=_apart(job.total_text))
    join = (
        translate("1. Join the WiFi %(name)s", language, name=wifi) if wifi else translate("1. Join the WiFi", language)
    )
    return Labels(
        from_right=direction(language) == "rtl",
        join=join,
        open=translate("2. Open %(address)s and type the number, or scan", language, address=portal),
        short=BETWEEN.join(part for part in (wifi, portal) if part),
        support=translate("Help: %(contact)s", language, contact=_apart(job.support)) if job.support else "",
        use_before=translate("Use before %(when)s", language, when=_apart(_whole(job.use_before)))
        if job.use_before
        else "",
        batch=batch,
        totals=BETWEEN.join(part for part in (batch, count, total) if part),
    )


def _apart(text: str) -> str:
    """A name or number that keeps its own order in a line of the other direction."""
    return f"{ISOLATE}{text}{ISOLATE_END}" if text else ""


def _whole(text: str) -> str:
    """A date that is not torn apart at a line's end."""
    return text.replace(" ", "\u00a0")
