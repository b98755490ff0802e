"""The demo speaks one language: that of who starts it."""

from __future__ import annotations

import re

import pytest

from bawaba.core.runtime import Runtime
from bawaba.demo import NAMES, fill, spoken
from bawaba.plans.models import PlanVersion

ARABIC = re.compile(r"[\u0600-\u06ff]")


@pytest.mark.parametrize(
    ("environ", "language"),
    [({"LANG": "ar_YE.UTF-8"}, "ar"), ({"LANG": "ar_YE", "LC_ALL": "C"}, "en"), ({}, "en")],
)
def test_the_demo_takes_the_terminals_language(environ, language):
    assert spoken(environ) == language


@pytest.mark.parametrize("language", ["ar", "en"])
def test_all_its_names_are_of_one_language(language: str, rt: Runtime):
    assert fill(rt, language)

    names = [*rt.read(lambda db: [row.name for row in db.query(PlanVersion)]), *NAMES[language]]
    assert all(bool(ARABIC.search(name)) is (language == "ar") for name in names)
    assert not fill(rt, language)
