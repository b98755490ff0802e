"""`bawaba upgrade` and `bawaba move-to-postgresql`."""

from __future__ import annotations

import click

from bawaba.commands.opening import find_installation, honest_errors, read_config

STEPS = {
    "copy": "copying the database beside the data",
    "migrate": "bringing it to this version's shape",
    "check": "checking that nothing is missing",
    "back": "something is wrong: putting the copy back",
}


@click.command()
def upgrade() -> None:
    """Bring the installation to this version: copy, migrate, check; put the copy back if anything is wrong.

    On SQLite the server must be stopped; `make install` does that by itself.
    """
    from bawaba.upkeep import upgrading

    with honest_errors():
        config = read_config()
        find_installation(config)
        done = upgrading.upgrade(config, lambda step: click.echo(f"  {STEPS[step]} …", err=True))
        if done is None:
            click.echo("nothing to do")
        else:
            click.echo(f"upgraded from {done.before} to {done.after}; as it was before: {done.copy}")


@click.command("move-to-postgresql")
@click.argument("address", required=False, metavar="ADDRESS")
@click.option("--undo", is_flag=True, help="Go on with the SQLite file after all.")
def move_to_postgresql(address: str | None, undo: bool) -> None:
    """Copy everything from the SQLite file to the empty PostgreSQL database at ADDRESS, and compare every row.

    ADDRESS is like postgresql://USER:PASSWORD@HOST:PORT/NAME. All of it or nothing. The server must be stopped. The
    SQLite file stays and is refused from then on.
    """
    from bawaba.upkeep import moving

    if (address is None) != undo:
        raise click.UsageError("Give the address of an empty PostgreSQL database, or --undo")
    with honest_errors():
        config = read_config()
        find_installation(config)
        if address is None:
            moving.undo(config)
            click.echo("the SQLite file is used again")
            return
        rows = moving.move(config, address, lambda what: click.echo(f"  {what} …", err=True))
        click.echo(f"moved: {rows} rows, every one compared. Now set BAWABA_DATABASE_URL to that address and start.")
