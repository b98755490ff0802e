"""What an owner is told of openNDS: what it does inexactly, and what is set so that it will not work well."""

from __future__ import annotations

from collections.abc import Mapping

from bawaba.routers.driver import Note

MINUTES = "Time is cut in whole minutes, rounded down; Bawaba lets the guest in again for the rest."
DATA = "Data is looked at every few seconds (checkinterval): a fast guest gets somewhat more than the card says."
TOTAL = "openNDS has no limit for up and down together: it is given both ways, and Bawaba watches the sum."
RATES = "Speed limits are kept only roughly."
IPV6 = "IPv6 is not controlled before openNDS 11: give the guests' network none."
NOT_PREEMPTIVE = (
    "allow_preemptive_authentication is off: after a restart of openNDS guests must come back by themselves."
)
NO_BINAUTH = "openNDS has no BinAuth script: what a session moved at its very end is not counted."
LEGACY = "openNDS 9 with iptables-legacy does not count what guests send."
INEXACT = (MINUTES, DATA, TOTAL, RATES, IPV6)
SENTENCES = (*INEXACT, NOT_PREEMPTIVE, NO_BINAUTH, LEGACY)


def of(facts: Mapping[str, str]) -> tuple[Note, ...]:
    """The notes for what was found on a gateway."""
    found = []
    if facts.get("preemptive", "").strip() == "Disabled":
        found.append(NOT_PREEMPTIVE)
    if not facts.get("binauth", "").strip():
        found.append(NO_BINAUTH)
    if facts.get("version", "").startswith("9.") and "legacy" in facts.get("iptables", ""):
        found.append(LEGACY)
    return tuple(Note(sentence) for sentence in (*found, *INEXACT))
