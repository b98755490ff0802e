"""What an owner may say about a UniFi controller."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, SecretStr

from bawaba.routers.driver import Connection
from bawaba.routers.options import RouterOptions, in_words

SHA256 = r"^([0-9A-Fa-f]{2}[: ]?){31}[0-9A-Fa-f]{2}$"
DEFAULT_PORT = 443


class Options(RouterOptions):
    """How the controller is reached, and which of its sites is ours."""

    site: str = Field(
        "default",
        title="Site on the controller",
        description="The site's short name, as in the controller's address: /manage/default/…",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
    )
    api_key: SecretStr | None = Field(
        None,
        title="API key",
        description="From Settings, Control Plane, Integrations. With it no user name and password are needed.",
    )
    certificate: str | None = Field(
        None,
        title="Certificate fingerprint",
        description="The SHA-256 fingerprint of its certificate. The first test shows it.",
        pattern=SHA256,
    )
    api: Literal["auto", "classic", "official"] = Field(
        "auto",
        title="Way in",
        json_schema_extra=in_words(
            {"auto": "Whichever it has", "classic": "The classic API", "official": "The official API: counts no bytes"}
        ),
    )


@dataclass(frozen=True)
class Way:
    """Where a controller is, and with what to sign in. `pin` is the SHA-256 of its certificate, bare hex."""

    host: str
    port: int
    site: str
    username: str
    password: str = field(repr=False)
    api_key: str = field(repr=False)
    pin: str
    connect_s: float = field(compare=False)

    @property
    def url(self) -> str:
        """Where it begins."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    @property
    def account(self) -> str:
        """A name for this account at this controller that does not show the password."""
        words = "\0".join((self.host, str(self.port), self.username, self.password, self.pin))
        return hashlib.sha256(words.encode()).hexdigest()


def way_to(connection: Connection, options: Options) -> Way:
    """Where and how the controller is asked."""
    return Way(
        host=connection.address,
        port=connection.port or DEFAULT_PORT,
        site=options.site,
        username=connection.username or "",
        password=connection.password or "",
        api_key=options.api_key.get_secret_value() if options.api_key else "",
        pin=bare(options.certificate or ""),
        connect_s=connection.connect_s,
    )


def bare(pin: str) -> str:
    """A fingerprint without its colons and spaces, in lower case."""
    return pin.replace(":", "").replace(" ", "").lower()
