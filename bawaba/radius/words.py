"""What a guest reads when a NAS shows why it did not let him in: short, in the site's language and in English."""

from __future__ import annotations

from bawaba.core.errors import Problem
from bawaba.web.language import SOURCE
from bawaba.web.language import translate as _

MOST_BYTES = 253  # of one attribute (RFC 2865, 5)
SEPARATOR = " / "


def refusal(problem: Problem, language: str) -> str:
    """The Reply-Message of a refusal: both languages, or where they do not fit the site's alone."""
    said = short(problem, language)
    both = said if language == SOURCE else f"{said}{SEPARATOR}{short(problem, SOURCE)}"
    fits = both if len(both.encode()) <= MOST_BYTES else said
    return fits.encode()[:MOST_BYTES].decode(errors="ignore")


def short(problem: Problem, language: str) -> str:
    """A refusal in as few words as will do."""
    minutes = max(1, -(-int(problem.details.get("retry_after_s", 60)) // 60))
    sentences = {
        "too_many_tries": _("Too many wrong codes. Wait %(minutes)s min.", language, minutes=minutes),
        "code_malformed": _("Wrong code. Check it and type it again.", language),
        "voucher_unknown": _("Wrong code. Check it and type it again.", language),
        "wrong_site": _("This card is for another place.", language),
        "voucher_disabled": _("This card is switched off. Ask the owner.", language),
        "voucher_expired": _("This card has expired.", language),
        "voucher_used": _("This card is used up.", language),
        "too_many_devices": _("This card is in use on another device.", language),
        "device_blocked": _("This device is blocked. Ask the owner.", language),
        "nothing_to_resume": _("Type the code of a card.", language),
    }
    return sentences.get(problem.code) or _("You cannot sign in now. Ask the owner.", language)
