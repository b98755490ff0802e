"""Every sentence that a person may read, found in the templates and in the code."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from jinja2.ext import babel_extract

import bawaba
from bawaba.accounts.people_web import ROLES
from bawaba.backups.web import STEPS as BACKUP_STEPS
from bawaba.diagnostics import words as diagnostics_words
from bawaba.notifications.web import RESULTS, SEVERITY_NAMES
from bawaba.portal.words import ENDED, HEADINGS
from bawaba.routers.links import driver_class, known_drivers
from bawaba.routers.options import options_of
from bawaba.routers.web import MAKES
from bawaba.sessions.web import CAUSES
from bawaba.upkeep.web import STEPS as RESTORE_STEPS
from bawaba.web import pages
from bawaba.web.forms import FAULTS
from bawaba.web.messages import SENTENCES

ROOT = Path(bawaba.__file__).parent
TRANSLATES = {"_": 0, "translate": 0, "translate_count": 0, "ngettext": 0, "field_fault": 1}


def sentences() -> set[str]:
    """All of them, in English; of those with a plural, the singular."""
    for module in pkgutil.walk_packages(bawaba.__path__, "bawaba."):  # whoever registers sentences has done so then
        if not module.name.startswith(("bawaba.migrations.", "bawaba.__main__")):
            importlib.import_module(module.name)
    found = {text for _place, text in [*of_templates(), *of_code()]}
    found |= set(SENTENCES.values()) | {said.text for said in pages.SAID.values()} | set(FAULTS.values())
    found |= set(of_makes())
    found |= {text for words in ROLES.values() for text in words} | set(MAKES.values()) | set(CAUSES.values())
    found |= set(HEADINGS.values()) | set(ENDED.values()) | set(RESULTS.values()) | set(SEVERITY_NAMES.values())
    for names in (diagnostics_words.NAMES, diagnostics_words.RECOMMENDATIONS, diagnostics_words.EVENTS):
        found |= set(names.values())
    found |= set(diagnostics_words.TABLES.values())
    found |= set(BACKUP_STEPS.values()) | set(RESTORE_STEPS.values())
    for title, links in pages.MENU:
        found |= {title, *(link.text for link in links), *(link.short for link in links)}
    return found - {""}


def of_makes() -> Iterator[str]:
    """What the makes of routers ask for."""
    for make in known_drivers():
        driver = driver_class(make)
        yield from driver.needs.sentences()
        yield from driver.notes
        for option in options_of(driver.Options):
            yield from option.sentences()


def of_templates() -> Iterator[tuple[str, str]]:
    """Sentences that templates say."""
    for path in sorted(ROOT.glob("*/templates/**/*.html")):
        with path.open("rb") as file:
            for _line, _name, message, _comments in babel_extract(
                file, ("_", "ngettext"), [], {"trim_blocks": "true", "encoding": "utf-8"}
            ):
                text = message[0] if isinstance(message, tuple) else message
                if text:
                    yield str(path.relative_to(ROOT)), text


def of_code() -> Iterator[tuple[str, str]]:
    """Sentences that the code translates or refuses with."""
    for path in sorted(ROOT.glob("*/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                for text in _of_call(node):
                    yield str(path.relative_to(ROOT)), text


def _of_call(call: ast.Call) -> Iterator[str]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    place = TRANSLATES.get(name)
    if place is not None and len(call.args) > place:
        argument = call.args[place]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value
