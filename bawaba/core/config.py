"""Settings, read once. Everything that is wrong is listed at once before we refuse to start."""

from __future__ import annotations

import hashlib
import socket
import tomllib
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

PREFIX = "BAWABA_"
PLACEHOLDERS = frozenset(
    {"changeme", "change-me", "password", "secret", "admin", "default", "example", "123456", "0000"}
)


class ConfigError(Exception):
    """The settings do not allow a start; `faults` names each one."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("Bawaba cannot start with these settings:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


class Config(BaseModel):
    """All settings. Each is an environment variable BAWABA_<NAME>, a key of the TOML file, or BAWABA_<NAME>_FILE."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Path("/var/lib/bawaba")
    host: str = "127.0.0.1"
    port: int = Field(default=5000, ge=1, le=65535)
    database_url: str = ""
    redis_url: str = ""
    key_file: Path | None = None
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    admin_username: str = "admin"
    admin_password: str = Field(default="", repr=False)
    log_level: str = "info"
    worker_name: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]{0,40}$")
    web_threads: int = Field(default=12, ge=2, le=64)
    trace_keep: int = Field(default=2000, ge=0, le=100_000)
    keep_sessions_days: int = Field(default=400, ge=0, le=36_500)
    log_file: Path | None = None
    log_file_mb: int = Field(default=20, ge=1, le=10_000)
    log_files: int = Field(default=5, ge=1, le=100)
    log_format: Literal["auto", "json", "text"] = "auto"
    backup_at: str = "03:30"
    backup_time_zone: str = ""
    backup_dir: Path | None = None
    backup_keep_daily: int = Field(default=7, ge=1, le=1000)
    backup_keep_weekly: int = Field(default=4, ge=0, le=1000)
    backup_keep_monthly: int = Field(default=6, ge=0, le=1000)
    backup_s3_endpoint: str = ""
    backup_s3_bucket: str = ""
    backup_s3_prefix: str = ""
    backup_s3_region: str = "us-east-1"
    backup_s3_access_key: str = ""
    backup_s3_secret_key: str = Field(default="", repr=False)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                ip_network(text, strict=False)
            except ValueError as error:
                raise ValueError(f"must be addresses or networks like 10.0.0.0/8, not {text}") from error
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.lower() not in {"debug", "info", "warning", "error"}:
            raise ValueError("must be debug, info, warning or error")
        return value.lower()

    @field_validator("public_url")
    @classmethod
    def _whole_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("must be the whole address that guests reach, like http://login.wifi")
        return value.rstrip("/")

    @field_validator("backup_at")
    @classmethod
    def _time_of_day(cls, value: str) -> str:
        if value.lower() == "off":
            return ""
        try:
            if value:
                datetime.strptime(value, "%H:%M")  # noqa: DTZ007 a time of day has no zone
        except ValueError as error:
            raise ValueError("must be a time of day like 03:30, or off") from error
        return value

    @field_validator("backup_time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value and value not in available_timezones():
            raise ValueError("must be a time zone like Asia/Aden")
        return value

    @field_validator("backup_s3_endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
            raise ValueError("must be the store's whole address, like https://s3.example.com")
        return value.rstrip("/")

    @field_validator("backup_s3_prefix")
    @classmethod
    def _plain_prefix(cls, value: str) -> str:
        return value.strip("/")

    @model_validator(mode="after")
    def _whole_store(self) -> Config:
        if self.backup_s3_bucket and not (self.backup_s3_access_key and self.backup_s3_secret_key):
            raise ValueError(
                "BAWABA_BACKUP_S3_BUCKET needs BAWABA_BACKUP_S3_ACCESS_KEY and BAWABA_BACKUP_S3_SECRET_KEY"
            )
        return self

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")):
            raise ValueError("must begin with postgresql:// or sqlite:///")
        scheme, separator, rest = value.partition("://")
        return f"postgresql+psycopg{separator}{rest}" if scheme in {"postgres", "postgresql"} else value

    @field_validator("admin_password")
    @classmethod
    def _no_placeholder(cls, value: str) -> str:
        if value.lower() in PLACEHOLDERS:
            raise ValueError("is a placeholder: choose your own, or leave it out and one is made up")
        if value and len(value) < 10:
            raise ValueError("is too short: use 10 characters or more, or leave it out and one is made up")
        return value

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Config:
        """Read the environment, then the TOML file that BAWABA_CONFIG names; raises `ConfigError` with all faults."""
        faults: list[str] = []
        values: dict[str, Any] = _from_file(environ.get(f"{PREFIX}CONFIG", ""), faults)
        for name in cls.model_fields:
            variable = PREFIX + name.upper()
            if path := environ.get(f"{variable}_FILE"):
                values[name] = _secret_file(variable, path, faults)
            if variable in environ:
                values[name] = environ[variable]
        known = {PREFIX + name.upper() for name in cls.model_fields} | {f"{PREFIX}CONFIG", f"{PREFIX}KEY_FILE"}
        for variable in sorted(environ):
            stranger = variable.startswith(PREFIX) and not {variable, variable.removesuffix("_FILE")} & known
            if stranger and not variable.startswith(f"{PREFIX}TEST_"):
                faults.append(f"{variable} is not a setting of Bawaba: see docs/settings.md")
        try:
            config = cls(**values)
        except ValidationError as error:
            faults += [_fault(item["loc"], item["msg"]) for item in error.errors()]
        if faults:
            raise ConfigError(faults)
        return config

    @property
    def sqlalchemy_url(self) -> str:
        """The database address, SQLite in the data folder unless told otherwise."""
        return self.database_url or f"sqlite:///{self.data_dir / 'bawaba.db'}"

    @property
    def sqlite_path(self) -> Path | None:
        """The database's file; None where it is PostgreSQL."""
        scheme, _separator, path = self.sqlalchemy_url.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    @property
    def key_path(self) -> Path:
        """Where the key file lies: never in the database."""
        return self.key_file or self.data_dir / "bawaba.key"

    @property
    def backup_path(self) -> Path:
        """Where this machine keeps its own copies of backups."""
        return self.backup_dir or self.data_dir / "backups"

    @property
    def process_name(self) -> str:
        """What this process signs its leases with: the same after a restart, another on another machine or port, and
        for each worker's name."""
        machine = socket.gethostname()
        place = self.worker_name or f"{self.host} {self.port}"
        whole = hashlib.sha256(f"{machine} {place}".encode()).hexdigest()
        return f"{machine[:20]}:{self.worker_name[:20] or self.port}:{whole[:8]}"

    @property
    def portal_url(self) -> str:
        """What guests and QR codes use."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    @property
    def is_portal_out_of_reach(self) -> bool:
        """Whether `portal_url` means "this machine" to every machine, so that no phone can open it."""
        host = urlsplit(self.portal_url).hostname or ""
        try:
            address = ip_address(host)
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")
        return address.is_loopback or address.is_unspecified


def _from_file(path: str, faults: list[str]) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        faults.append(f"{PREFIX}CONFIG: cannot read {path}: {error}")
        return {}


def _secret_file(variable: str, path: str, faults: list[str]) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        faults.append(f"{variable}_FILE: cannot read {path}: {error.strerror}")
        return ""


def _fault(location: tuple[int | str, ...], message: str) -> str:
    return f"{PREFIX}{str(location[0]).upper()} {message.removeprefix('Value error, ')}" if location else message
