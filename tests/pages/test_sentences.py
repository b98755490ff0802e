"""Nothing on a page is left in one language only."""

from __future__ import annotations

import re

import pytest

from bawaba.web.language import catalogue, languages
from tests.pages.sentences import of_templates, sentences

NAMED = re.compile(r"%\(\w+\)s")
OTHERS = [language for language in languages() if language != "en"]


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_translated(language: str):
    known = catalogue(language)._catalog  # type: ignore[attr-defined]

    missing = sorted(text for text in sentences() if text not in known and (text, 0) not in known)

    assert missing == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_fills_in_no_name_that_its_sentence_does_not_have(language: str):
    for said, translated in catalogue(language)._catalog.items():  # type: ignore[attr-defined]
        source = said[0] if isinstance(said, tuple) else said
        if source:
            assert set(NAMED.findall(translated)) <= set(NAMED.findall(source)), source


def test_templates_are_found_at_all():
    assert len({place for place, _text in of_templates()}) > 20
