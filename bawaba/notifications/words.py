"""What is said of each thing that happened, in the receiver's language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bawaba.notifications.courier import Message
from bawaba.notifications.models import Notification
from bawaba.web import messages
from bawaba.web.language import span, translate, translate_count

Facts = dict[str, Any]
BEGUN, OVER = "begun", "over"


def of(notification: Notification, phase: str, language: str) -> Message:
    """The message of a notification's beginning or end."""
    say = SENTENCES[notification.kind]
    facts = notification.facts | (notification.closing if phase == OVER else {})
    return say(facts, phase, language)


def _router_down(facts: Facts, phase: str, to: str) -> Message:
    if phase == OVER:
        return _router_back(facts, to)
    title = translate("Router %(name)s does not answer", to, name=facts["name"])
    parts = [facts.get("error") or ""]
    if facts.get("guests"):
        parts.append(translate_count("%(count)s guest waits.", "%(count)s guests wait.", facts["guests"], to))
    if facts.get("cards"):
        parts.append(translate_count("%(count)s card waits.", "%(count)s cards wait.", facts["cards"], to))
    if facts.get("partial_failure"):
        parts.append(translate("No spare router could take over (partial_failure).", to))
    parts.append(translate("What it owes is kept and delivered when it is back.", to))
    return Message(title, " ".join(part for part in parts if part))


def _router_back(facts: Facts, to: str) -> Message:
    title = translate("Router %(name)s is back", to, name=facts["name"])
    parts = [translate("Back after %(span)s.", to, span=span(facts["away_s"], to))]
    if facts.get("let_in"):
        parts.append(translate_count("%(count)s guest let in.", "%(count)s guests let in.", facts["let_in"], to))
    if facts.get("pushed"):
        parts.append(translate_count("%(count)s card pushed.", "%(count)s cards pushed.", facts["pushed"], to))
    return Message(title, " ".join(parts))


def _jobs(facts: Facts, phase: str, to: str) -> Message:
    if phase == OVER:
        return Message(translate("Router %(name)s: all is decided", to, name=facts["name"]), "")
    title = translate("Router %(name)s: work needs your decision", to, name=facts["name"])
    return Message(title, facts.get("error") or "")


def _guessing(facts: Facts, phase: str, to: str) -> Message:
    title = translate("%(name)s: somebody tries codes", to, name=facts["name"])
    if phase == OVER:
        return Message(translate("%(name)s: nobody tries codes any more", to, name=facts["name"]), "")
    return Message(title, translate("Wrong codes went over the cap of the whole site. Unknown devices wait.", to))


def _database(facts: Facts, phase: str, to: str) -> Message:
    if phase == OVER:
        title = translate("The database answers again", to)
        return Message(title, translate("Back after %(span)s.", to, span=span(facts["away_s"], to)))
    body = translate("Guests who are online stay so. Nothing new is taken until it is back.", to)
    return Message(translate("The database does not answer", to), body)


def _batch(facts: Facts, phase: str, to: str) -> Message:
    title = translate_count(
        "A batch of %(count)s card failed", "A batch of %(count)s cards failed", facts["quantity"], to
    )
    return Message(title, translate("It has no cards. Order it again.", to))


def _card_twice(facts: Facts, phase: str, to: str) -> Message:
    if facts.get("devices"):
        title = translate("Card %(serial)s was used by more devices than it may have", to, serial=facts["serial"])
        return Message(title, translate("The last one was cut.", to))
    title = translate("Card %(serial)s was used on two routers", to, serial=facts["serial"])
    return Message(title, translate("The second session was cut.", to))


def _backup(facts: Facts, phase: str, to: str) -> Message:
    if phase == OVER:
        return Message(translate("Backups are well again", to), "")
    why = translate(messages.SENTENCES[facts["error"]], to)
    if facts.get("since_s") is not None:
        last = translate("The last good backup is %(span)s old.", to, span=span(facts["since_s"], to))
    else:
        last = translate("There is no good backup at all.", to)
    return Message(translate("There is no new backup", to), f"{why} {last}")


def _webhook(facts: Facts, phase: str, to: str) -> Message:
    title = translate("Webhook %(name)s was switched off", to, name=facts["name"])
    return Message(title, translate("It has taken nothing for days. Mend the other side, then switch it on again.", to))


def _test(facts: Facts, phase: str, to: str) -> Message:
    return Message(translate("Bawaba: a test", to), translate("This way works.", to))


def test_message(language: str) -> Message:
    """What the test button sends."""
    return _test({}, BEGUN, language)


test_message.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test

SENTENCES: dict[str, Callable[[Facts, str, str], Message]] = {
    "router_down": _router_down,
    "jobs": _jobs,
    "guessing": _guessing,
    "database": _database,
    "batch_failed": _batch,
    "card_twice": _card_twice,
    "backup": _backup,
    "webhook": _webhook,
}
