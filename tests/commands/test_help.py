"""Every command and every option says what it is."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from bawaba.cli import main


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for word, below in command.commands.items():
            yield from commands(below, f"{name} {word}")


ALL = dict(commands(main, "bawaba"))


@pytest.mark.parametrize("name", ALL)
def test_a_command_and_each_of_its_options_is_explained(name):
    command = ALL[name]
    assert command.help
    unsaid = [
        each.opts[0] for each in command.params if isinstance(each, click.Option) and not (each.help or each.hidden)
    ]
    assert unsaid == []


@pytest.mark.parametrize("name", ALL)
def test_a_command_names_what_it_takes(name):
    taken = [
        each.make_metavar(click.Context(ALL[name])) for each in ALL[name].params if isinstance(each, click.Argument)
    ]
    assert [word for word in taken if word.strip("[].") not in (ALL[name].help or "")] == []
