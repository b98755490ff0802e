"""`bawaba radius …`: FreeRADIUS's configuration, and the secret to type into a NAS."""

from __future__ import annotations

import pwd
import sys
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.errors import Unavailable
from bawaba.core.runtime import Runtime
from bawaba.radius import folder
from bawaba.radius.configuration import Nas, Wanted, files
from bawaba.radius.door import secret_of
from bawaba.radius.gateways import DRIVER
from bawaba.routers.errors import RouterNotFound
from bawaba.routers.models import THERE, Router
from bawaba.routers.nas import NasOptions
from bawaba.routers.service import PASSWORD
from bawaba.web.messages import say

EVERYWHERE = frozenset({"0.0.0.0", "::", "127.0.0.1", "::1", "localhost"})
USER = "freerad"  # Debian's


class NotOnLoopback(Unavailable):
    """FreeRADIUS reaches us on this machine's own address only, and we do not listen there."""

    code = "not_on_loopback"


say(not_on_loopback="FreeRADIUS asks on 127.0.0.1: set BAWABA_HOST to 0.0.0.0 or 127.0.0.1, not to %(host)s.")


def configure(rt: Runtime, out: Path | None, **options: Any) -> None:
    """Show what FreeRADIUS's configuration would be; with a folder, write it there."""
    new = files(wanted(rt, **options))
    where = out or folder.DEFAULT
    click.echo(folder.differences(new, where) or f"{where}: everything is as it should be.")
    if out is None:
        click.echo(f"Nothing has been changed. `bawaba radius config --out {where}` writes this, --undo goes back.")
        return
    folder.write(new, where)
    click.echo(f"Written to {where}. Now: systemctl restart freeradius (it reads its clients at its start only).")


def put_back(out: Path | None) -> None:
    """Put back what was in the folder before we wrote there."""
    for name in folder.undo(out or folder.DEFAULT):
        click.echo(f"put back: {name}")


def check(out: Path | None) -> None:
    """Let FreeRADIUS read it; exit code 1 where it would not start."""
    is_well, last_words = folder.check(out or folder.DEFAULT)
    click.echo(last_words)
    if not is_well:
        sys.exit(1)


def tell_secret(rt: Runtime, router_id: int) -> None:
    """Print a NAS's secret, and what else is to be typed into it."""
    nas = next((nas for nas in rt.read(nases, rt) if nas.id == router_id), None)
    if nas is None:
        raise RouterNotFound()
    click.echo(nas.secret)


def wanted(rt: Runtime, **options: Any) -> Wanted:
    """The configuration for the routers as they are."""
    if rt.config.host not in EVERYWHERE:
        raise NotOnLoopback(host=rt.config.host)
    host = "[::1]" if rt.config.host == "::1" else "127.0.0.1"
    url = f"http://{host}:{rt.config.port}"
    return Wanted(url, secret_of(rt.keyring), rt.read(nases, rt), user=_user(), **options)


def nases(db: Session, rt: Runtime) -> list[Nas]:
    """The routers that speak RADIUS; one without a secret cannot ask."""
    found = []
    for router in db.scalars(select(Router).where(Router.driver == DRIVER, THERE).order_by(Router.id)):
        if router.password_sealed is None:
            continue
        options = NasOptions.of(router.options)
        secret = rt.keyring.decrypt(router.password_sealed, PASSWORD).decode()
        sources = options.networks or (router.address,)
        found.append(Nas(router.id, router.name, sources, secret, options.message_authenticator))
    return found


def _user() -> str | None:
    try:
        return pwd.getpwnam(USER).pw_name
    except KeyError:
        return None
