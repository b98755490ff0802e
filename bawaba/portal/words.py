"""What guests are told: every refusal in its own words with what to do, and how a card came to its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bawaba.core.errors import Problem
from bawaba.plans.rules import USED_TIME
from bawaba.portal.visit import Visit
from bawaba.sessions import rules
from bawaba.sessions.standing import Standing
from bawaba.vouchers.errors import VoucherDisabled, VoucherUsed
from bawaba.vouchers.rules import is_over
from bawaba.web import language
from bawaba.web.language import translate as _
from bawaba.web.language import translate_count
from bawaba.web.messages import sentence

HEADINGS = {
    "code_malformed": "That is not quite right",
    "invalid": "That is not quite right",
    "voucher_unknown": "We don't know this code",
    "wrong_site": "Not for this place",
    "voucher_disabled": "This card is switched off",
    "voucher_expired": "This card's time is over",
    "voucher_used": "This card is used up",
    "too_many_devices": "In use on another phone",
    "too_many_tries": "A short break",
    "device_blocked": "Not on this network",
    "router_unreachable": "One moment",
    "unknown_device": "We can't see your phone yet",
    "unknown_place": "Where are you?",
    "nothing_to_resume": "Type a code",
    "cards_differ": "Not of the same sort",
    "card_in_use": "In use on another phone",
    "trial_used": "Until tomorrow",
}
OTHERWISE = "That did not work"
ENDED = {  # sessions that ended before their card did
    rules.MOVED: "Your card was moved to another phone.",
    rules.ADMIN_RESET: "You were disconnected by the staff. Go on with your card, or ask them.",
    rules.IDLE_TIMEOUT: "Your phone was away for a while, so you were logged out. Go on with your card.",
    rules.NAS_REBOOT: "The router was restarted. Go on with your card.",
}
FAREWELL_FOR = timedelta(days=1)


def heading(problem: Problem) -> str:
    """A refusal in a few words."""
    if problem.code == "too_many_devices" and "ever" in problem.details:
        return _("This card is full")
    return _(HEADINGS.get(problem.code, OTHERWISE))


def refusal(here: Visit, problem: Problem) -> str:
    """What happened and what to do."""
    ended_at = problem.details.get("ended_at")
    if problem.code == "voucher_expired" and ended_at is not None:
        return _("It ended on %(when)s. You need a new one.", when=language.moment(ended_at, here.zone))
    if problem.code == "too_many_devices":
        return _too_many_devices(here, problem)
    if problem.code == "cards_differ":
        return _("This card cannot be added to yours: they are not of the same sort. Use it afterwards.")
    if problem.code == "card_in_use":
        return _("Another phone is online with this card.")
    if problem.code == "voucher_disabled" and problem.details.get("frozen"):
        return _("This card is frozen. Ask the staff to let it go on.")
    if problem.code == "voucher_used" and problem.details.get("moved"):
        return _("What was on this card has been added to another one.")
    if problem.code == "too_many_tries":
        wait = language.span(problem.details["retry_after_s"])
        return _("Too many wrong codes. Wait %(wait)s, then type the code from the card again.", wait=wait)
    if problem.code == "invalid":
        return sentence("code_malformed" if "code" in problem.details["fields"] else "unknown_device")
    return sentence(problem.code, problem.details)


def _too_many_devices(here: Visit, problem: Problem) -> str:
    details = problem.details
    if "ever" in details:
        one, many = "This card works on %(count)s device only.", "This card works on %(count)s devices only."
        told = [translate_count(one, many, details["ever"]), _("Use one that it was used on, or take a new card.")]
        return " ".join(told)
    since = details.get("since")
    told = [
        _("Another phone is online with this card since %(when)s.", when=until(here, since))
        if since is not None
        else _("Another phone is online with this card.")
    ]
    if details["may_move"]:
        told.append(_("Log out there, or move the card to this phone."))
    else:
        told.append(_("Log out there first, then type the code here again."))
        if here.place is not None and here.place.device_moves_per_day:
            told.append(_("It has been moved to another phone today already."))
    return " ".join(told)


def moving(here: Visit, problem: Problem) -> str:
    """What moving the card to this phone does; nothing where it cannot be moved."""
    if not problem.details.get("may_move") or here.place is None:
        return ""
    other = _("The other phone goes offline.")
    if problem.details["at_once"] > 1:
        other = _("The phone that has been online longest goes offline.")
    times = here.place.device_moves_per_day
    if times == 1:
        return f"{other} {_('A card can be moved once a day.')}"
    one, many = "A card can be moved %(count)s time a day.", "A card can be moved %(count)s times a day."
    return f"{other} {translate_count(one, many, times)}"


def farewell(here: Visit, now: Standing) -> str:
    """How the card that this device used last came to its end, while that is news; else nothing."""
    clock = here.rt.clock.now()
    ended_at = clock if now.run_out else now.session.ended_at
    if ended_at is None or clock - ended_at > FAREWELL_FOR:
        return ""
    if now.card.disabled_at is not None:
        return sentence(VoucherDisabled.code)
    if is_over(now.card, clock):
        when = language.moment(now.card.over_at, here.zone)
        return _("The time of your card ended on %(when)s. You need a new one.", when=when)
    if now.left.spent:
        return sentence(VoucherUsed.code)
    known = ENDED.get(now.session.terminate_cause)
    return _(known) if known else ""


def logged_out(here: Visit, now: Standing | None) -> str:
    """What becomes of the card after logging out: time by the wall clock runs on, time online does not."""
    said = _("You are logged out.")
    if now is None or here.left_behind is None:
        return said
    if now.card.kind == USED_TIME or now.card.over_at is None:
        return f"{said} {_('What is left on the card stays on it.')}"
    return f"{said} {_('The time of the card runs on until %(when)s.', when=until(here, now.card.over_at))}"


def until(here: Visit, at: datetime) -> str:
    """A time as people say it: today's by the clock alone, any other with its date."""
    days = {moment.astimezone(ZoneInfo(here.zone)).date() for moment in (at, here.rt.clock.now())}
    return language.clock_time(at, here.zone) if len(days) == 1 else language.moment(at, here.zone)
