"""`bawaba audit`: whether the audit log is whole."""

from __future__ import annotations

import sys

import click

from bawaba.commands.opening import open_runtime


@click.group()
def audit() -> None:
    """The log of who did what."""


@audit.command()
@click.option("--expect", help="A seal that you noted earlier; it must still be in the chain.")
def verify(expect: str | None) -> None:
    """See whether any deed was changed, put in or taken out by somebody without the key file.

    Prints the newest seal: note it elsewhere, and give it to --expect later. Exit code 1 when the log is not whole.
    """
    from bawaba.accounts import audit as log

    with open_runtime() as rt:
        verdict = log.verify(rt)
        kept = expect is None or log.is_known(rt, expect)
    click.echo(f"{verdict.sealed} deeds are sealed; {verdict.unsealed} are from before there were seals.")
    if verdict.reason is None and kept:
        click.echo(f"The log is whole. Newest seal: {verdict.head or 'none yet'}")
        return
    if verdict.broken_at is not None:
        click.echo(f"NOT WHOLE at deed {verdict.broken_at}: {verdict.reason}.", err=True)
    elif verdict.reason is not None:
        click.echo(f"NOT WHOLE: {verdict.reason}.", err=True)
    if not kept:
        click.echo(
            "NOT WHOLE: the seal that you noted is not in the log (or its deed was old and forgotten).", err=True
        )
    sys.exit(1)
