"""The front door without a door: routers are polled and delivered to, batches are made, and nobody is answered.

Any number may run. Each router belongs to one of them by a lease; when that one dies another takes it over, half a
minute later at most. So do batches and backups.
"""

from __future__ import annotations

import asyncio
import secrets
import signal

import structlog

from bawaba import wiring
from bawaba.backups.scheduler import backups
from bawaba.core import data_folder
from bawaba.core import log as logging
from bawaba.core.config import Config
from bawaba.realtime.service import RealtimeSender
from bawaba.upkeep import together

log = structlog.get_logger(__name__)
ENDS = (signal.SIGTERM, signal.SIGINT)


def run(config: Config) -> None:
    """Work until told to stop. Raises `ConfigError` without PostgreSQL and Redis, or on an older database."""
    together.require(config)
    if not config.worker_name:
        config = config.model_copy(update={"worker_name": secrets.token_hex(4)})
    data_folder.become_owner(config.data_dir)
    data_folder.make(config.data_dir)
    together.require_migrated(config)
    logging.configure(config.log_level)
    while asyncio.run(_work(config)):
        log.warning("coming back with a restored backup")


async def _work(config: Config) -> bool:
    """Work until the end; whether to begin again, with a backup that was restored meanwhile."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    comes_back = False

    def come_back() -> None:
        nonlocal comes_back
        comes_back = True
        loop.call_soon_threadsafe(ended.set)

    for number in ENDS:
        loop.add_signal_handler(number, ended.set)
    rt = wiring.build(config)
    sender = RealtimeSender(rt)
    backups(rt).come_back = come_back
    await sender.start()
    wiring.start_background(rt)
    log.warning("this worker works", process=config.process_name)
    try:
        await ended.wait()
    finally:
        await asyncio.to_thread(wiring.stop, rt)
        await sender.stop()
    return comes_back
