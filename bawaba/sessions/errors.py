"""What a guest can hit, and what an operator can about sessions."""

from __future__ import annotations

from bawaba.core.errors import Conflict, Forbidden, NotFound, TooMany
from bawaba.web.messages import say


class TooManyTries(TooMany):
    """Too many wrong codes from this device, or at this site."""

    code = "too_many_tries"


class TooManyDevices(Conflict):
    """The card is in use on as many devices as it allows; `details["may_move"]` says whether it can be moved here."""

    code = "too_many_devices"


class DeviceBlocked(Forbidden):
    """The owner has blocked this device."""

    code = "device_blocked"


class UnknownPlace(NotFound):
    """We cannot tell which router the guest is at."""

    code = "unknown_place"


class UnknownDevice(Conflict):
    """The router has not seen the device that asks."""

    code = "unknown_device"


class NothingToResume(NotFound):
    """This device has no card with anything left."""

    code = "nothing_to_resume"


class NoTrial(Conflict):
    """This place gives no free trial."""

    code = "no_trial"


class TrialUsed(Conflict):
    """This device had its free trial today."""

    code = "trial_used"


class CardSwitchedOff(Conflict):
    """The card is switched off or frozen."""

    code = "card_switched_off"


class CardMoved(Conflict):
    """What was on this card is on another: it was replaced or added to it; `details["to"]` is that one's id."""

    code = "card_moved"


class CardSpent(Conflict):
    """There is nothing left on the card."""

    code = "card_spent"


class CardInUse(Conflict):
    """Somebody is online by the card that is to be added."""

    code = "card_in_use"


class CardsDiffer(Conflict):
    """The cards are not of one sort, or they are the same card."""

    code = "cards_differ"


class SessionNotFound(NotFound):
    """There is no such session at a site that the caller sees."""

    code = "session_not_found"


say(
    too_many_tries="Too many wrong codes. Wait %(retry_after_s)s seconds, then type the code from the card again.",
    too_many_devices="This card is in use on another device. Log out there, or move the card to this phone.",
    device_blocked="This device may not use this network. Ask the owner.",
    unknown_place="We cannot tell where you are. Join the WiFi again, then open this page again.",
    unknown_device="The router does not know your device yet. Leave the WiFi, join it again and try once more.",
    nothing_to_resume="This device has no card with anything left. Type the code of a card.",
    no_trial="There is no free trial here. Type the code of a card.",
    trial_used="This phone had its free trial today. Type the code of a card.",
    card_switched_off="This card is switched off. Switch it on first.",
    card_moved="What was on this card is on another card now.",
    card_spent="There is nothing left on this card.",
    card_in_use="Somebody is online with that card right now. Disconnect them first.",
    cards_differ="These two cards cannot be added up: they differ in speed, devices or kind of time.",
    session_not_found="There is no such session here.",
)
