"""Changes to the table, collected and written as one text that the kernel takes whole or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from bawaba.gateway.ruleset import MAPS, TABLE

A_LINE = 500  # elements in one command: nft reads one long line slower than several


class Transaction:
    """Collects in any order, writes in the order that works: away, then quotas, then new."""

    def __init__(self) -> None:
        self._flushed: list[str] = []
        self._settled: dict[str, list[str]] = defaultdict(list)
        self._deleted: dict[str, list[str]] = defaultdict(list)
        self._quotas: list[str] = []
        self._added: dict[str, list[str]] = defaultdict(list)

    def flush(self, *names: str) -> None:
        """Empty these sets."""
        self._flushed += names

    def add(self, name: str, *elements: str) -> None:
        """Put elements in; one that is there already stays as it is."""
        self._added[name] += elements

    def delete(self, name: str, *keys: str) -> None:
        """Take elements out that are there."""
        self._deleted[name] += keys

    def clear(self, name: str, key: str, value: str = "") -> None:
        """Take an element out that may have run out by itself: put in first, it is there to be deleted."""
        self._settled[name].append(f"{key} : {value}" if value else key)
        self._deleted[name].append(key)

    def quota(self, name: str, limit: int) -> None:
        """Allow so many bytes; where the quota is there already, what was used of it stays."""
        self._quotas.append(f"add quota {TABLE} {name} {{ over {limit} bytes }}")

    def new_quota(self, name: str, limit: int, used: int) -> None:
        """Allow so many bytes, of which these are used, whatever a quota of this name said before."""
        self.clear_quota(name)
        self._quotas.append(f"add quota {TABLE} {name} {{ over {limit} bytes used {used} bytes }}")

    def clear_quota(self, name: str) -> None:
        """Drop a quota that no element names any more, if it is there."""
        self._quotas.append(f"add quota {TABLE} {name} {{ over 1 bytes }}")
        self._quotas.append(f"delete quota {TABLE} {name}")

    def text(self) -> str:
        """All of it for `nft -f -`; empty when there is nothing to do."""
        lines = [f"flush {'map' if name in MAPS else 'set'} {TABLE} {name}" for name in self._flushed]
        lines += _commands("add", self._settled)
        lines += _commands("delete", self._deleted)
        lines += self._quotas
        lines += _commands("add", self._added)
        return "\n".join(lines) + "\n" if lines else ""


def _commands(verb: str, elements: dict[str, list[str]]) -> Iterable[str]:
    for name, items in elements.items():
        for start in range(0, len(items), A_LINE):
            yield f"{verb} element {TABLE} {name} {{ {', '.join(items[start : start + A_LINE])} }}"


_INITIAL = {"cap": "t", "cap_up": "u", "cap_down": "d"}
CAPS = tuple(_INITIAL)  # the maps that name quotas


def quota_name(cap: str, mark: int) -> str:
    """What a session's quota object is called."""
    return f"{_INITIAL[cap]}{mark}"


def counted(cap: str, meter: tuple[int, int]) -> int:
    """The part of a meter that a cap is about."""
    return {"cap": meter[0] + meter[1], "cap_up": meter[0], "cap_down": meter[1]}[cap]


def timeout(seconds: float | None) -> str:
    """A time-out as nft writes it, to the millisecond and never longer than asked; empty for none."""
    if seconds is None:
        return ""
    whole = max(1, int(seconds * 1000))
    return f" timeout {whole // 1000}s{whole % 1000}ms"
