"""One thing that was looked at: how it is, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass

GOOD, WARN, BAD = "good", "warn", "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is good, warn (it works, and should be seen to) or bad (it does not). Texts are in the reader's
    language."""

    code: str
    level: str
    title: str
    fact: str
    mend: str = ""


def worst(findings: list[Finding]) -> str:
    """The worst level among them."""
    levels = {finding.level for finding in findings}
    return BAD if BAD in levels else WARN if WARN in levels else GOOD
