"""One process that serves: the ASGI application, and starting it."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.cookies import SimpleCookie
from types import FrameType

import click
import structlog

from bawaba import migrations, wiring
from bawaba.accounts import authentication, people
from bawaba.app import create_app
from bawaba.backups.scheduler import backups
from bawaba.core import data_folder, program
from bawaba.core import log as logging
from bawaba.core.broadcast import ADMINS, OPERATORS
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime
from bawaba.realtime.audience import Identity
from bawaba.realtime.service import Realtime
from bawaba.upkeep import restoring, together
from bawaba.web.asgi import Front
from bawaba.web.bridge import WsgiBridge
from bawaba.web.guard import Caller
from bawaba.web.http_protocol import server_options
from bawaba.web.listening import listening
from bawaba.web.proxies import Proxies, Scope
from bawaba.web.static_files import StaticFiles

log = structlog.get_logger(__name__)
TAKE_SECONDS = (".pdf", ".csv", "/card.png", "/print")  # files that are made for who asks for them


def build_front(rt: Runtime) -> Front:
    """The whole program as one ASGI application."""
    app = create_app(rt)

    async def by_cookie(scope: Scope) -> Identity | None:
        value = _cookie(scope, authentication.COOKIE)
        return _identity(await rt.read_async(authentication.caller_of_cookie, rt, value)) if value else None

    async def by_token(token: str) -> Identity | None:
        return _identity(await rt.read_async(authentication.caller_of_token, rt, token))

    realtime = Realtime(rt, app, authenticate_cookie=by_cookie, authenticate_token=by_token)
    rt.parts["realtime"] = realtime
    proxies = Proxies(rt.config.trusted_proxies)
    bridge = WsgiBridge(app.wsgi_app, threads=rt.config.web_threads, proxies=proxies, slow_endings=TAKE_SECONDS)
    return Front(
        bridge,
        static=StaticFiles(otherwise=bridge),
        websocket=realtime.websocket,
        socketio=realtime.socketio_server,
        startup=[realtime.start],
        shutdown=[realtime.stop],
    )


def run(config: Config, *, demo: bool = False) -> None:
    """Be the server of this data folder until told to stop.

    Raises `CannotListen` before anything is touched, and `DataFolderError` before the database is.
    """
    with listening(config.host, config.port) as sockets, ExitStack() as held:
        data_folder.become_owner(config.data_dir)
        data_folder.make(config.data_dir)
        if config.sqlite_path is not None:
            held.enter_context(data_folder.sole_server(config.sqlite_path))
        serve(config, sockets, demo=demo)


def run_web(config: Config) -> None:
    """Serve pages, API, portal and sockets beside other processes; routers and batches are the workers'.

    Raises `ConfigError` without PostgreSQL and Redis, or on a database that `bawaba migrate` has not seen.
    """
    together.require(config)
    with listening(config.host, config.port) as sockets:
        data_folder.become_owner(config.data_dir)
        data_folder.make(config.data_dir)
        together.require_migrated(config)
        logging.configure(config.log_level)
        while _answer(config, [each.dup() for each in sockets], works=False):
            log.warning("coming back with a restored backup")


def serve(config: Config, sockets: Sequence[socket.socket], *, demo: bool = False) -> None:
    """Migrate, make the first admin, and answer on `sockets` until told to stop.

    Where a backup was restored, begin again with it; who knocks meanwhile waits in the sockets' queues.
    """
    logging.configure(config.log_level, config.log_format, _log_file(config))
    while _serve_once(config, [each.dup() for each in sockets], demo):
        log.warning("coming back with a restored backup")


def _serve_once(config: Config, sockets: list[socket.socket], demo: bool) -> bool:
    """Serve until the end; whether to begin again."""
    restoring.swap(config)  # what lay ready when the power went, or what this is the new beginning for
    migrations.migrate(config.sqlalchemy_url)
    return _answer(config, sockets, demo=demo)


def _answer(config: Config, sockets: list[socket.socket], *, demo: bool = False, works: bool = True) -> bool:
    """Answer on `sockets` until the end; whether to begin again, with a backup that was restored meanwhile."""
    import uvicorn

    rt = wiring.build(config)
    password = people.ensure_admin(rt)
    if demo:
        from bawaba import demo as demonstration

        demonstration.fill(rt, demonstration.spoken(os.environ))
    front = build_front(rt)
    _greet(config, password)
    server = uvicorn.Server(uvicorn.Config(front, **server_options()))
    comes_back = threading.Event()

    def come_back() -> None:
        comes_back.set()
        server.should_exit = True

    backups(rt).come_back = come_back
    try:
        with _ends_tidily():
            wiring.start_background(rt, works=works)
            server.run(sockets)
    finally:
        wiring.stop(rt)
    return comes_back.is_set()


@contextmanager
def _ends_tidily() -> Iterator[None]:
    """Asked to stop (SIGTERM, Ctrl-C) we leave through the ends of what was begun. uvicorn stops answering, and then
    sends itself the signal once more: by the system's own handler the process would be gone in the middle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    log.info("asked to stop", signal=number)
    raise SystemExit(0)


def _log_file(config: Config) -> logging.RotatingFile | None:
    """Where the log goes instead of standard error; each process should have a file of its own."""
    if config.log_file is None:
        return None
    return logging.RotatingFile(config.log_file, config.log_file_mb * 1024 * 1024, config.log_files)


def _cookie(scope: Scope, name: str) -> str | None:
    """One cookie of a socket's opening request."""
    jar = SimpleCookie()
    for key, value in scope["headers"]:
        if key == b"cookie":
            jar.load(value.decode("latin-1"))
    return jar[name].value if name in jar else None


def _identity(caller: Caller | None) -> Identity | None:
    """A signed-in person as the sockets know them: admins hear all that operators hear, and more; clerks nothing."""
    if caller is None or caller.actor.user_id is None or caller.expires_at is None:
        return None
    rooms = {OPERATORS} if caller.actor.may("sessions:read") else set()
    if caller.actor.role == "admin":
        rooms.add(ADMINS)
    return Identity(caller.actor.user_id, frozenset(rooms), caller.actor.site_ids, caller.expires_at, caller.login_id)


def _greet(config: Config, password: str | None) -> None:
    """What a newcomer needs to see; the password is shown this once and is kept nowhere."""
    click.echo(f"Bawaba is on {config.portal_url}/dashboard  (guests: {config.portal_url}/)")
    if config.is_portal_out_of_reach:
        click.echo(
            f"  phones:    cannot open {config.portal_url} (nor QR codes): set BAWABA_PUBLIC_URL for real guests"
        )
    if password is not None:
        reset = f"BAWABA_DATA_DIR={shlex.quote(str(config.data_dir.absolute()))} {program.typed()} user reset-password"
        click.echo(f"  user name: {config.admin_username}")
        click.echo(f"  password:  {password}    (shown once: write it down)")
        click.echo(f"  a new one: {reset} {config.admin_username}")
