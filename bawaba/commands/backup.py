"""`bawaba backup …`: now, list, verify, restore, key."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from bawaba.commands import tables
from bawaba.commands.lists import as_json
from bawaba.commands.opening import honest_errors, open_runtime, read_config
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime

COMEBACK_S = 180.0  # how long a server may take to notice, to finish what it has, and to be back
NICE = 10
LISTED = 30
WORDS = {
    "waiting": "waiting",
    "dump": "copying the database",
    "pack": "compressing and encrypting",
    "upload": "uploading",
    "confirm": "reading it back",
    "drill": "putting it back on trial",
    "prune": "removing what need not be kept",
    "open": "opening the backup",
    "database": "putting its database beside the one in use",
    "compare": "comparing every row with what was dumped",
    "migrate": "bringing it to this version's shape",
}
identity_option = click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file with the identity that `bawaba backup key` showed (AGE-SECRET-KEY-1…).",
)


@click.group()
def backup() -> None:
    """Backups: made every night, encrypted, stored elsewhere, put back on trial every week."""


@backup.command("key")
@click.option("--use", metavar="AGE1…", help="Encrypt to this public key, made elsewhere with age-keygen.")
@click.option("--replace", is_flag=True, help="Make a new one though there is one: the next backups need the new one.")
def backup_key(use: str | None, replace: bool) -> None:
    """Make the backup key: the identity is printed this once and kept nowhere. Without it no backup can be opened."""
    from bawaba.backups import key
    from bawaba.core.actor import SYSTEM

    with open_runtime() as rt:
        known = rt.read(key.recipient)
        if use is not None:
            key.use(rt, SYSTEM, use)
            click.echo(f"Backups are encrypted to {use.strip()} from now on.")
        elif known is not None and not replace:
            click.echo(f"Backups are encrypted to {known}. For another key: bawaba backup key --replace")
        else:
            made = key.make(rt, SYSTEM)
            click.echo(f"# Bawaba's backup identity. Public key: {made.recipient}\n{made.identity}")
            click.echo(
                f"Shown once. Keep it away from this machine, on paper too, and beside it a copy of the key file "
                f"{rt.config.key_path}: a backup needs both.",
                err=True,
            )


@backup.command("now")
@click.option("--drill", is_flag=True, help="Put it back on trial too, though the week is not over.")
@click.option("--run", "run_id", type=int, hidden=True, help="Do this run, which the server has ordered.")
def backup_now(drill: bool, run_id: int | None) -> None:
    """Make a backup now: dump, compress, encrypt, store, upload, confirm. Exit code 1 when it failed."""
    from bawaba.backups import making
    from bawaba.core.actor import SYSTEM

    if run_id is not None:
        os.nice(NICE)
    with open_runtime() as rt:
        run = making.make(rt, run_id or making.order(rt, SYSTEM, drill=drill).id, _Teller().tell)
        _report(run)
    if run.state != "confirmed":
        sys.exit(1)


def _report(run: Any) -> None:
    from bawaba.backups.schemas import why

    if run.state != "confirmed":
        click.echo(f"backup {run.id} failed ({WORDS[run.step]}): {why(run)} {run.error_text or ''}".rstrip(), err=True)
        return
    places = " and ".join(copy.get("path") or f"s3 {copy['key']}" for copy in run.stored)
    click.echo(f"backup {run.id} is confirmed: {run.size_bytes} bytes, {run.row_count} rows, in {places}")
    if run.drill:
        click.echo(f"  put back on trial: {run.drill['state']} ({run.drill['rows']} rows, {run.drill['seconds']} s)")


class _Teller:
    """One line a step."""

    def __init__(self) -> None:
        self._said = ""

    def tell(self, step: str, _thousandths: int = 0) -> None:
        if step != self._said:
            self._said = step
            click.echo(f"  {WORDS[step]} …", err=True)


@backup.command("list")
@as_json
@click.option("--stored", is_flag=True, help="The files in the stores themselves, which needs no database.")
def backup_list(wants_json: bool, stored: bool) -> None:
    """List the backups, newest first."""
    if stored:
        _list_files(wants_json)
        return
    from bawaba.backups import runs
    from bawaba.backups.schemas import backup_out
    from bawaba.web.paging import PageRequest

    with open_runtime() as rt:
        found = rt.read(runs.list_runs, PageRequest(LISTED, None))
        if wants_json:
            tables.print_json([backup_out(run) for run in found])
            return
        rows = [
            (
                run.id,
                tables.moment(run.started_at),
                run.state if run.state != "failed" else f"failed: {run.error}",
                run.size_bytes,
                run.row_count,
                ", ".join(copy["store"] for copy in run.stored),
                run.drill["state"] if run.drill else "",
                run.file,
            )
            for run in found
        ]
        columns = ("ID", "STARTED", "STATE", "BYTES", "ROWS", "STORED", "TRIAL", "FILE")
        tables.print_table(columns, rows, "No backups yet: `bawaba backup key`, then `bawaba backup now`")


def _list_files(wants_json: bool) -> None:
    from bawaba.backups.stores import stores_of
    from bawaba.core import data_folder

    with honest_errors():
        config = read_config()
        data_folder.become_owner(config.data_dir)
        found = [(store.name, name, store.size(name)) for store in stores_of(config) for name in store.names()]
        if wants_json:
            tables.print_json([{"store": store, "file": name, "size_bytes": size} for store, name, size in found])
            return
        tables.print_table(("STORE", "FILE", "BYTES"), found, "No backups in the stores.")


@backup.command("verify")
@click.argument("which", default="latest")
@identity_option
def backup_verify(which: str, identity: Path | None) -> None:
    """Look at a backup again: WHICH is its number, its file, or `latest`. Exit code 1 when something is wrong.

    Without an identity, every copy's size and hash. With it the whole way: it is opened, put into a scratch database,
    and every row is compared with what was dumped.
    """
    from bawaba.backups import checking
    from bawaba.backups.fetching import as_file

    opener = _read_identity(identity)
    with open_runtime() as rt:
        if opener is None:
            _say_check(checking.check_copies(rt, _run_of(rt, which).id))
            return
        with as_file(rt.config, _name_of(rt, which), _say_fetching) as file:
            rows, wrong = checking.open_file(rt, file, opener)
        for difference in wrong:
            click.echo(f"  {difference}", err=True)
        click.echo(f"opened, put back and compared: {rows} rows, {'all as dumped' if not wrong else 'NOT as dumped'}")
        if wrong:
            sys.exit(1)


def _say_check(run: Any) -> None:
    from bawaba.web.messages import sentence

    if run.last_check["state"] == "ok":
        places = ", ".join(copy["store"] for copy in run.stored)
        click.echo(f"backup {run.id}: every copy is as it was written ({places}; {run.size_bytes} bytes)")
        return
    click.echo(
        f"backup {run.id}: {sentence(run.last_check['error'])} {run.last_check['error_text']}".rstrip(), err=True
    )
    sys.exit(1)


@backup.command("restore")
@click.argument("which", default="latest")
@identity_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--other-key",
    is_flag=True,
    help="Restore it though the key file here is another one. Its cards can never be redeemed or printed again, and "
    "routers' passwords must be typed anew: only for who has lost the key file.",
)
def backup_restore(which: str, identity: Path | None, yes: bool, other_key: bool) -> None:
    """Put a backup back: WHICH is its number, its file, or `latest`. What is there now is kept beside it.

    A server that is running is stopped for a moment and comes back with it.
    """
    from bawaba.backups.fetching import as_file
    from bawaba.core import data_folder
    from bawaba.upkeep import restoring

    with honest_errors():
        opener = _read_identity(identity)
        if opener is None:
            raise click.UsageError("--identity is needed: the server has no key that opens its backups")
        config = read_config()
        data_folder.become_owner(config.data_dir)
        data_folder.make(config.data_dir)
        with as_file(config, _name_without_runtime(config, which), _say_fetching) as file:
            if not yes:
                click.confirm(f"Put {file.name} in the place of what is here now?", abort=True, err=True)
            if other_key:
                click.echo("With another key file: its cards are lost, its routers' passwords too.", err=True)
            ready = restoring.prepare(config, file, opener, other_key=other_key, told=_Teller().tell)
        _put_in_place(config)
        click.echo(f"restored: {ready.file}, {ready.rows} rows")


def _put_in_place(config: Config) -> None:
    """Swap it in; where a server has the data, that one does it."""
    from bawaba.backups import ready
    from bawaba.core import data_folder
    from bawaba.upkeep import restoring

    if config.sqlite_path is None:
        _say_kept(restoring.swap(config))
        return
    try:
        with data_folder.sole_server(config.sqlite_path):
            _say_kept(restoring.swap(config))
            return
    except data_folder.DataFolderError:
        click.echo("  the server that is running takes it over …", err=True)
    until = time.monotonic() + COMEBACK_S
    while ready.pending(config) is not None:
        if time.monotonic() > until:
            raise data_folder.DataFolderError(
                "The server does not take it over. Restart it: it takes what lies ready at its start."
            )
        time.sleep(0.2)
    click.echo("  the server has come back with it", err=True)


def _say_kept(swapped: Any) -> None:
    for kept in (swapped.old_database, swapped.old_pictures):
        if kept:
            click.echo(f"  what was there is kept as {kept}", err=True)


def _read_identity(path: Path | None) -> Any:
    """Read before root becomes the data's owner, who may not see root's files."""
    from bawaba.backups import key

    with honest_errors():
        return None if path is None else key.identity_of(path)


def _run_of(rt: Runtime, which: str) -> Any:
    from bawaba.backups import runs
    from bawaba.backups.errors import BackupNotFound

    if which.isdecimal():
        return rt.read(runs.get_run, int(which))
    found = [run for run in rt.read(runs.latest) if run.stored and which in ("latest", run.file)]
    if not found:
        raise BackupNotFound()
    return found[0]


def _name_of(rt: Runtime, which: str) -> str:
    return str(_run_of(rt, which).file) if which.isdecimal() else which


def _name_without_runtime(config: Config, which: str) -> str:
    """A number needs the database; a file's name and `latest` do not, for there may be none any more."""
    if not which.isdecimal():
        return which
    with open_runtime() as rt:
        return _name_of(rt, which)


def _say_fetching(name: str) -> None:
    click.echo(f"  fetching {name} …", err=True)
