"""What several processes of one installation need to work together."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from bawaba import migrations
from bawaba.core.config import Config, ConfigError


def require(config: Config) -> None:
    """Raises `ConfigError` unless there are a database and a channel for news that processes can share."""
    faults = []
    if config.sqlite_path is not None:
        faults.append("BAWABA_DATABASE_URL: several processes need PostgreSQL (`bawaba serve` is one that needs none)")
    if not config.redis_url:
        faults.append("BAWABA_REDIS_URL: several processes need Redis, for the news between them")
    if faults:
        raise ConfigError(faults)


def require_migrated(config: Config) -> None:
    """Raises `ConfigError` where the database is older than this program. Only `bawaba migrate` changes its shape, once
    for all processes: they may be of two versions while one after the other is brought up to date."""
    try:
        if migrations.serves(config.sqlalchemy_url):
            return
    except SQLAlchemyError as error:
        raise ConfigError([f"BAWABA_DATABASE_URL: the database cannot be opened: {error}"]) from error
    raise ConfigError(["the database is empty or older than this program: run `bawaba migrate` once"])
