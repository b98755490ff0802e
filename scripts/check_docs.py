"""Check that docs/ names every setting (once), command, event and router option of the product, and none too many."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

import bawaba
from bawaba.core.config import PREFIX, Config
from bawaba.core.events import Event
from bawaba.routers.links import driver_class, known_drivers
from bawaba.routers.options import options_of

DOCS = Path(__file__).parents[1] / "docs"
MORE_SETTINGS = frozenset({"BAWABA_CONFIG"})  # says where settings are, so it is not one of Config's own fields
ROW = re.compile(r"^\| *`(BAWABA_[A-Z0-9_]+)`", re.MULTILINE)


def main() -> int:
    """Print each fault; 1 when there is one."""
    settings = {PREFIX + name.upper() for name in Config.model_fields} | MORE_SETTINGS
    faults = [
        *unnamed(settings, "settings.md"),
        *unnamed(command_names(), "commands.md"),
        *unnamed(event_names(), "events.md"),
        *(fault for make in known_drivers() for fault in unnamed(option_names(make), f"routers/{make}.md")),
        *(f"docs/settings.md has a row for {name}, which is no setting" for name in set(rows()) - settings),
        *(f"docs/settings.md has {count} rows for {name}" for name, count in Counter(rows()).items() if count > 1),
    ]
    for fault in sorted(faults):
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def unnamed(names: Iterable[str], page: str, docs: Path = DOCS) -> list[str]:
    """One fault for each name that does not stand on the page as `name`, alone or with more behind it."""
    path = docs / page
    text = path.read_text("utf-8") if path.exists() else ""
    return [f"docs/{page} does not name `{name}`" for name in names if not re.search(f"`{re.escape(name)}[` ]", text)]


def rows(docs: Path = DOCS) -> list[str]:
    """The settings of the rows in the tables of docs/settings.md, one for each row."""
    path = docs / "settings.md"
    return ROW.findall(path.read_text("utf-8")) if path.exists() else []


def command_names() -> list[str]:
    """Every command as it is typed: "bawaba voucher make"."""
    if importlib.util.find_spec("bawaba.cli") is None:
        return []
    command: click.Command = importlib.import_module("bawaba.cli").main
    return list(_leaves(command, "bawaba"))


def _leaves(command: click.Command, name: str) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield name
        return
    for word, below in command.commands.items():
        if not below.hidden:
            yield from _leaves(below, f"{name} {word}")


def option_names(make: str) -> list[str]:
    """The options of a make of router."""
    return [option.name for option in options_of(driver_class(make).Options)]


def event_names() -> list[str]:
    """The events of every folder's events.py."""
    for module in pkgutil.walk_packages(bawaba.__path__, "bawaba."):
        if module.name.endswith(".events"):
            importlib.import_module(module.name)
    return [event.__name__ for event in _derived(Event) if re.fullmatch(r"bawaba\..+\.events", event.__module__)]


def _derived(base: type[Event]) -> Iterator[type[Event]]:
    for event in base.__subclasses__():
        yield event
        yield from _derived(event)


if __name__ == "__main__":
    sys.exit(main())
