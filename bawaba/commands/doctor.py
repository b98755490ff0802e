"""`bawaba doctor`: everything that an owner can get wrong, looked at, and how to mend it."""

from __future__ import annotations

import locale
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from bawaba.commands import tables
from bawaba.core.config import Config, ConfigError

if TYPE_CHECKING:
    from bawaba.core.runtime import Runtime
    from bawaba.diagnostics.finding import Finding

MARKS = {"good": "ok", "warn": "!!", "bad": "XX"}
COLOURS = {"good": "green", "warn": "yellow", "bad": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option("--lang", type=click.Choice(["ar", "en"]), help="The language; that of the terminal unless given.")
@click.option("--no-routers", is_flag=True, help="Ask no router.")
def doctor(as_json: bool, lang: str | None, no_routers: bool) -> None:
    """Look at everything that can be wrong here and say how to mend it. Exit code 1 when something is broken."""
    from bawaba.core import log
    from bawaba.diagnostics.finding import BAD, worst
    from bawaba.web.language import speak

    log.configure("error")
    speak(lang or _terminal_language())
    found: list[Finding] = []
    for finding in examine(ask_routers=not no_routers):
        found.append(finding)
        if not as_json:
            _say(finding)
    if as_json:
        names = ("code", "level", "title", "fact", "mend")
        told = [{name: getattr(finding, name) for name in names} for finding in found]
        tables.print_json({"level": worst(found), "findings": told})
    sys.exit(1 if worst(found) == BAD else 0)


def examine(*, ask_routers: bool) -> Iterator[Finding]:
    """Each finding as it is made. What cannot be looked at because of an earlier one is left out."""
    from bawaba.diagnostics import machine_checks as machine
    from bawaba.diagnostics.finding import BAD, GOOD, Finding
    from bawaba.web.language import translate as _

    try:
        config = Config.from_env(os.environ)
    except ConfigError as error:
        how = _("docs/settings.md explains each setting.")
        for fault in error.faults:
            yield Finding("settings", BAD, _("Settings"), fault, how)
        return
    yield Finding("settings", GOOD, _("Settings"), _("They fit together."))
    yield (folder := machine.folder(config))
    if folder.level == BAD:
        return
    yield machine.disk(config)
    yield from _of_database(config, ask_routers)
    yield machine.port(config)
    yield from machine.public_address(config)
    yield machine.proxies(config)
    if (told := machine.gateway(config)) is not None:
        yield told


def _of_database(config: Config, ask_routers: bool) -> Iterator[Finding]:
    """Key, shape and contents of the database. Nothing is migrated or made here."""
    from bawaba import migrations, wiring
    from bawaba.diagnostics import checks
    from bawaba.diagnostics import machine_checks as machine
    from bawaba.diagnostics.finding import BAD, GOOD, Finding
    from bawaba.web.language import translate as _

    title = _("Database")
    shape = _shape(config)
    if shape is None:
        how = _("Start it, and look at BAWABA_DATABASE_URL and BAWABA_DATA_DIR.")
        yield Finding("database", BAD, title, _("It is not there, or does not answer."), how)
        yield machine.key_file(config, None)
        return
    if shape != migrations.HEAD:
        how = _("Bring it to the newest shape: bawaba migrate")
        yield Finding(
            "migrations",
            BAD,
            title,
            _("Its shape is %(shape)s, this program needs %(head)s.", shape=shape, head=migrations.HEAD),
            how,
        )
        yield machine.key_file(config, None)
        return
    yield Finding("migrations", GOOD, title, _("Its shape is the newest."))
    yield (key := machine.key_file(config, _fingerprint(config)))
    if key.level == BAD:
        return
    rt = wiring.build(config)
    try:
        yield from _of_runtime(rt, checks, ask_routers)
    finally:
        wiring.stop(rt)


def _of_runtime(rt: Runtime, checks: Any, ask_routers: bool) -> Iterator[Finding]:
    from bawaba.core.clock import SystemClock
    from bawaba.diagnostics import machine_checks as machine

    now = rt.clock.now()
    yield checks.database(rt)
    yield checks.redis(rt)
    yield machine.clock(rt.clock.jump_s() if isinstance(rt.clock, SystemClock) else 0.0)
    if ask_routers:
        yield from checks.routers(rt)
    steps: list[Callable[..., Finding]] = [checks.promises, checks.backups]
    for step in steps:
        yield rt.read(step, now)
    yield rt.read(checks.admins)


def _shape(config: Config) -> str | None:
    """The step that the database is at; None where there is none or it does not answer."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    if config.sqlite_path is not None and not config.sqlite_path.exists():
        return None
    engine = create_engine(config.sqlalchemy_url)
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    except SQLAlchemyError:
        return None
    finally:
        engine.dispose()


def _fingerprint(config: Config) -> str | None:
    """The key that the database was made with, by name."""
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    from bawaba.core import facts

    engine = create_engine(config.sqlalchemy_url)
    try:
        with Session(engine) as db:
            return facts.recall(db, "key")
    finally:
        engine.dispose()


def _say(finding: Finding) -> None:
    mark = click.style(MARKS[finding.level], fg=COLOURS[finding.level], bold=True)
    click.echo(f"{mark}  {finding.title}: {finding.fact}")
    if finding.mend:
        click.echo(f"      {finding.mend}")


def _terminal_language() -> str:
    named = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "ar" if (locale.normalize(named) or "").startswith("ar") else "en"
