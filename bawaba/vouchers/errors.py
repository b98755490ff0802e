"""What can go wrong with cards and batches."""

from __future__ import annotations

from bawaba.core.errors import Conflict, Forbidden, Gone, Invalid, NotFound
from bawaba.web.messages import say


class CardNotFound(NotFound):
    """There is no such card at a site that the caller sees."""

    code = "card_not_found"


class BatchNotFound(NotFound):
    """There is no such batch at a site that the caller sees."""

    code = "batch_not_found"


class BatchNotReady(Conflict):
    """The batch is still in the making."""

    code = "batch_not_ready"


class BatchFailed(Conflict):
    """The batch could not be made; none of its cards exist."""

    code = "batch_failed"


class NoSuchCards(Invalid):
    """The range of serials holds no card of this batch."""

    code = "no_such_cards"


class TooEasyToGuess(Invalid):
    """With so many cards of this style, guessing would pay."""

    code = "too_easy_to_guess"


class VoucherUnknown(NotFound):
    """No card has this code."""

    code = "voucher_unknown"


class WrongSite(Forbidden):
    """The card belongs to another place."""

    code = "wrong_site"


class VoucherDisabled(Forbidden):
    """A person switched the card off."""

    code = "voucher_disabled"


class VoucherExpired(Gone):
    """Its end, validity or shelf life is over."""

    code = "voucher_expired"


class VoucherUsed(Conflict):
    """Its data or its time online is spent."""

    code = "voucher_used"


say(
    card_not_found="There is no such card here.",
    batch_not_found="There is no such batch here.",
    batch_not_ready="This batch is still being made. Wait until it is ready.",
    batch_failed="This batch could not be made, so it has no cards. Make it again.",
    no_such_cards="No card of this batch lies in that range of serial numbers.",
    no_such_serial="No card of this batch has this serial number.",
    range_backwards="This card comes before the first one.",
    too_easy_to_guess="With that many cards of this style, guessing codes would pay. Use the letters style.",
    code_malformed="This is not a code of ours: a digit is wrong or missing. Look at the card and type it again.",
    voucher_unknown="No card has this code. Look at the card and type it again.",
    wrong_site="This card is for another place. Ask where you bought it.",
    voucher_disabled="This card has been switched off. Ask where you bought it.",
    voucher_expired="The time of this card is over. You need a new one.",
    voucher_used="Everything on this card has been used. You need a new one.",
)
