"""What an owner tells of a router, checked against what its make asks for; its secrets, sealed and opened."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError, create_model

from bawaba.core.errors import Invalid, field_fault
from bawaba.core.keyring import Keyring
from bawaba.routers.driver import RouterDriver
from bawaba.routers.options import RouterOptions, options_of
from bawaba.web.input import faults

SECRETS = b"router options"  # the keyring's context
NEEDED = "Field required"


@dataclass(frozen=True, slots=True)
class Told:
    """A router's options, checked: those that everybody may read, and the secret ones."""

    open: dict[str, Any]
    secret: dict[str, str] = field(repr=False)


def with_way(driver: type[RouterDriver], facts: Mapping[str, Any]) -> dict[str, Any]:
    """A router's facts with all that its make needs to be reached, a password made up where that may be. Raises
    `Invalid` for what is missing."""
    needs = driver.needs
    facts = dict(facts)
    if needs.password_made and not facts.get("password"):
        facts["password"] = secrets.token_urlsafe(24)
    login = not needs.login_optional
    needed = {
        "address": bool(needs.address_hint),
        "username": needs.username and login,
        "password": needs.password and login,
    }
    missing = {name: [NEEDED] for name, is_needed in needed.items() if is_needed and not facts.get(name)}
    if missing:
        raise Invalid(fields=missing)
    check_password(driver, facts.get("password"))
    return facts


def check_password(driver: type[RouterDriver], password: str | bytes | None) -> None:
    """See that a password is as long as the make wants it (a sealed one is longer). Raises `Invalid`."""
    least = driver.needs.password_least
    if least and (password is None or len(password) < least):
        raise field_fault("password", f"must be {least} random characters or more")


def check_options(driver: type[RouterDriver], given: Mapping[str, Any], kept: Mapping[str, str]) -> Told:
    """Check options against those of the make. Raises `Invalid` with a fault at each `options.name`.

    A secret that is left out stays as it is in `kept`; one that is null or empty is forgotten. Any other option that is
    left out or null has its default.
    """
    known = {option.name: option for option in options_of(driver.Options)}
    _refuse_unknown(given, list(known))
    secret_names = {name for name, option in known.items() if option.kind == "secret"}
    told = {name: secret for name, secret in kept.items() if name in secret_names and name not in given}
    told |= {name: value for name, value in given.items() if value is not None and value != ""}
    options = _parsed(driver.Options, told)
    secret = {name: getattr(options, name).get_secret_value() for name in secret_names & options.model_fields_set}
    return Told(options.model_dump(mode="json", exclude_unset=True, exclude=secret_names), secret)


def _refuse_unknown(given: Mapping[str, Any], known: list[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise Invalid(fields={f"options.{name}": [f"unknown option; known: {', '.join(known)}"] for name in unknown})


def _parsed(model: type[RouterOptions], told: Mapping[str, Any]) -> RouterOptions:
    """The options as their model, with faults named `options.name` as they were sent."""
    holder = create_model("Told", options=(model, ...))
    try:
        options: RouterOptions = holder.model_validate({"options": dict(told)}).options  # type: ignore[attr-defined]
    except ValidationError as error:
        raise Invalid(fields=faults(error)) from error
    return options


def seal(keyring: Keyring, texts: Mapping[str, str]) -> dict[str, str]:
    """Secret options as they lie in the database: each sealed by itself, as base64."""
    return {name: b64encode(keyring.encrypt(text.encode(), SECRETS)).decode() for name, text in texts.items()}


def unseal(keyring: Keyring, sealed: Mapping[str, str] | None) -> dict[str, str]:
    """The secret options, opened."""
    return {name: keyring.decrypt(b64decode(text), SECRETS).decode() for name, text in (sealed or {}).items()}


def for_driver(driver: type[RouterDriver], options: Mapping[str, Any], secret: Mapping[str, str]) -> dict[str, Any]:
    """What a driver finds in `Connection.options`: all that its make knows (an older version may have kept more)."""
    known = {option.name for option in options_of(driver.Options)}
    return {name: value for name, value in ({**options, **secret}).items() if name in known}
