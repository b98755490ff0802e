"""A make that only tests have: it needs a user and a password, and has a secret among its options."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from bawaba.routers.driver import Cap, Info, RouterDriver
from bawaba.routers.options import Needs, RouterOptions


class Options(RouterOptions):
    """What ACME asks for."""

    faskey: SecretStr = Field(title="Key", min_length=8)
    spare_key: SecretStr | None = Field(None, title="Spare key")
    way: Literal["api", "rest"] = Field("api", title="Way in")
    poll_s: int = Field(5, title="Asks every", ge=2, le=60)


class Driver(RouterDriver):
    """Answers with what it was told."""

    vendor = "acme"
    caps = Cap.NONE
    Options = Options
    needs = Needs(address_hint="192.168.1.1", port=2050, username=True, password=True)

    async def probe(self) -> Info:
        """Its options, opened."""
        options = Options.model_validate(self.connection.options)
        spare = options.spare_key.get_secret_value() if options.spare_key else "none"
        return Info(options.faskey.get_secret_value(), spare, notes=(options.way, str(options.poll_s), *options.lan4))
