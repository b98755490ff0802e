"""What a make of router is told beyond the nouns of the contract: how it is reached, and its own options.

A driver says both as class attributes; the API, the pages and the command line then ask for exactly that:

    class Options(RouterOptions):
        faskey: SecretStr = Field(title="Key", description="The option faskey of openNDS.", min_length=32)
        poll_s: int = Field(5, title="Asks every", ge=2, le=60)

    class Driver(RouterDriver):
        Options = Options
        needs = Needs(address_hint="192.168.1.1", port=2050)

Titles, descriptions, hints and the words of choices are English sentences with a translation in the catalogues.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

WORDS_MOST = 64
TEXT_MOST = 1024
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Kind = Literal["text", "words", "number", "flag", "choice", "secret"]
_KINDS: Mapping[str, Kind] = {"boolean": "flag", "integer": "number", "number": "number", "array": "words"}
_NETWORKS: Mapping[int, tuple[Callable[..., Network], str]] = {
    4: (ipaddress.IPv4Network, "must be networks like 10.77.0.0/24"),
    6: (ipaddress.IPv6Network, "must be networks like fd77::/64"),
    0: (ipaddress.ip_network, "must be networks like 10.77.0.0/24 or fd77::/64"),
}


def split_words(given: Any) -> Any:
    """A text of words, parted by commas or spaces, as the list it means; anything else as it is."""
    return tuple(word for word in re.split(r"[\s,]+", given) if word) if isinstance(given, str) else given


def _networks(version: Literal[4, 6, 0], given: Any) -> tuple[str, ...]:
    """Networks as they are written properly: 10.77.0.9/24 is 10.77.0.0/24. Version 0 is either."""
    network, fault = _NETWORKS[version]
    words = split_words(given)
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ValueError(fault)
    try:
        return tuple(str(network(word, strict=False)) for word in words)
    except ValueError as error:
        raise ValueError(fault) from error


Words = Annotated[tuple[str, ...], BeforeValidator(split_words), Field(max_length=WORDS_MOST)]
Networks = Annotated[tuple[str, ...], BeforeValidator(partial(_networks, 0)), Field(max_length=WORDS_MOST)]
Networks4 = Annotated[tuple[str, ...], BeforeValidator(partial(_networks, 4)), Field(max_length=WORDS_MOST)]
Networks6 = Annotated[tuple[str, ...], BeforeValidator(partial(_networks, 6)), Field(max_length=WORDS_MOST)]
LAN4_HELP = "Where this router's guests have their addresses, like 10.77.0.0/24. Guests are known by it."
LAN6_HELP = "Their IPv6 networks, like fd77::/64."


class RouterOptions(BaseModel):
    """The options that every make has. A `SecretStr` is kept sealed, and never shown again."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, str_max_length=TEXT_MOST, frozen=True)

    lan4: Networks4 = Field((), title="Guests' IPv4 networks", description=LAN4_HELP)
    lan6: Networks6 = Field((), title="Guests' IPv6 networks", description=LAN6_HELP)


def in_words(words: Mapping[str, str]) -> dict[str, Any]:
    """What a choice's values are called, for `json_schema_extra` of its field."""
    return {"words": dict(words)}


def guest_networks(options: Mapping[str, Any]) -> tuple[Network, ...]:
    """The networks in a router's options; what can't be read as one is left out."""
    words = [word for name in ("lan4", "lan6") for word in split_words(options.get(name) or ())]
    return tuple(network for word in words if (network := _network(str(word))) is not None)


def _network(word: str) -> Network | None:
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Needs:
    """What a connection to this make is made of. What is not needed is not asked for."""

    address_hint: str = ""  # an example, like 192.168.88.1; empty: it has no address
    address_help: str = "Its name or IP address in your network."
    port: int | None = None  # where it listens unless told otherwise; None: it has no port
    username: bool = False
    username_help: str = ""
    password: bool = False
    password_help: str = ""
    password_least: int = 0  # characters
    password_made: bool = False  # made up where none is given
    login_optional: bool = False  # user name and password may be left out: there is another way, among the options

    def sentences(self) -> tuple[str, ...]:
        """All that a person reads."""
        return tuple(text for text in (self.address_help, self.username_help, self.password_help) if text)


@dataclass(frozen=True, slots=True)
class Option:
    """One option as a form or a page of the manual shows it. `choices` are values with their words."""

    name: str
    kind: Kind
    title: str
    description: str
    required: bool
    default: Any
    choices: Sequence[tuple[str, str]] = field(default=())

    def sentences(self) -> tuple[str, ...]:
        """All that a person reads."""
        return tuple(text for text in (self.title, self.description, *(words for _, words in self.choices)) if text)


def options_of(model: type[RouterOptions]) -> list[Option]:
    """The options of a make, those that every make has first."""
    schema = model.model_json_schema()
    required = schema.get("required", ())
    return [_option(name, facts, name in required) for name, facts in schema["properties"].items()]


def _option(name: str, facts: Mapping[str, Any], required: bool) -> Option:
    value = next((one for one in facts.get("anyOf", ()) if one.get("type") != "null"), facts)
    words = cast("Mapping[str, str]", facts.get("words", {}))
    choices = [(str(choice), words.get(str(choice), str(choice))) for choice in value.get("enum", ())]
    return Option(
        name, _kind(value), facts["title"], facts.get("description", ""), required, facts.get("default"), choices
    )


def _kind(value: Mapping[str, Any]) -> Kind:
    if "enum" in value:
        return "choice"
    if value.get("writeOnly"):
        return "secret"
    return _KINDS.get(value.get("type", ""), "text")
