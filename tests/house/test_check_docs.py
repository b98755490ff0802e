"""A setting, command or event that the docs don't name is found."""

from __future__ import annotations

import click

from scripts import check_docs


def test_a_setting_without_a_line_in_the_docs_is_found(tmp_path):
    (tmp_path / "settings.md").write_text("| `BAWABA_PORT` | 5000 |\n")

    assert check_docs.unnamed(["BAWABA_PORT"], "settings.md", tmp_path) == []
    assert check_docs.unnamed(["BAWABA_POR"], "settings.md", tmp_path) == [
        "docs/settings.md does not name `BAWABA_POR`"
    ]


def test_a_line_for_a_setting_that_is_gone_is_found(tmp_path):
    (tmp_path / "settings.md").write_text("Not `BAWABA_OTHER`.\n\n| `BAWABA_GONE` | 1 |\n")

    assert check_docs.rows(tmp_path) == ["BAWABA_GONE"]


def test_no_setting_has_two_rows():
    assert len(check_docs.rows()) == len(set(check_docs.rows()))


def test_a_page_that_is_missing_names_nothing(tmp_path):
    assert check_docs.unnamed(["CardSold"], "events.md", tmp_path) == ["docs/events.md does not name `CardSold`"]


def test_every_command_is_seen_as_it_is_typed():
    @click.group()
    def bawaba() -> None: ...

    @bawaba.group()
    def voucher() -> None: ...

    voucher.command("make")(lambda: None)
    bawaba.command("serve")(lambda: None)

    assert list(check_docs._leaves(bawaba, "bawaba")) == ["bawaba voucher make", "bawaba serve"]
