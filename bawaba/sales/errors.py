"""What can go wrong at the counter."""

from __future__ import annotations

from bawaba.core.errors import Conflict, NotFound
from bawaba.web.messages import say


class SaleNotFound(NotFound):
    """The caller has not sold this card."""

    code = "sale_not_found"


class TooLateToUndo(Conflict):
    """The few minutes in which a sale can be taken back are over."""

    code = "too_late_to_undo"


class SoldCardInUse(Conflict):
    """The card that was sold has been used, given more or switched off meanwhile."""

    code = "sold_card_in_use"


say(
    sale_not_found="You have not sold this card.",
    too_late_to_undo="It is too late to take this sale back. Ask an operator.",
    sold_card_in_use="This card has been used or changed meanwhile, so the sale stays.",
)
