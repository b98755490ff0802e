"""Menus: rows with ids, what may be written in them, and what print shows of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bawaba.routers.simulators.routeros import values
from bawaba.routers.simulators.routeros.errors import BadValue, Trap, no_such_item, unknown_parameter
from bawaba.routers.simulators.routeros.versions import Version

Arguments = Mapping[str, str]
Getter = Callable[[Any], str | None]
Verb = Callable[[dict[str, str]], list[dict[str, str]] | str | None]
Watcher = Callable[["Menu", Any, bool], None]


@dataclass(frozen=True, slots=True)
class Field:
    """An argument of a menu that may be written. `default` is shown where nothing was; None leaves it out."""

    kind: values.Kind = values.text
    default: str | None = None
    since: Version | None = None
    until: Version | None = None  # the first version that no longer has it
    sensitive: bool = False  # hidden from 7.21 on, unless asked for by someone with the right to see it

    def exists_in(self, version: Version) -> bool:
        """Whether this version knows the argument."""
        return (self.since is None or version >= self.since) and (self.until is None or version < self.until)


class Row:
    """One item of a menu that people write in."""

    __slots__ = ("number", "values")

    def __init__(self, number: int, written: dict[str, str]) -> None:
        self.number = number
        self.values = written


class Menu:
    """What all menus share: rows by id, getters by property, verbs by name, and who watches."""

    own_verbs: frozenset[str] = frozenset()  # those that are methods of the class

    def __init__(self, path: str, version: Version, getters: Mapping[str, Getter]) -> None:
        self.path = path
        self.version = version
        self.getters: dict[str, Getter] = {".id": _id, **getters}
        self.sensitive: set[str] = set()
        self.verbs: dict[str, Verb] = {}  # more of them, and those that are done otherwise here
        self.watchers: list[Watcher] = []
        self.policies: dict[str, str] = {}  # a verb's own policy, where it is not `write`
        self.single = False

    def rows(self) -> Iterable[Any]:
        """Every row, in its order."""
        raise NotImplementedError

    def row(self, number: int) -> Any | None:
        """The row with this id."""
        return next((row for row in self.rows() if row.number == number), None)

    def named(self, name: str) -> Sequence[Any]:
        """Rows whose natural key this is; what `numbers=` takes beside ids."""
        get = self.getters.get("name")
        return [row for row in self.rows() if get is not None and get(row) == name]

    def verb(self, name: str) -> Verb | None:
        """What does this command, or None where the menu has no such command."""
        return self.verbs.get(name) or (getattr(self, name) if name in self.own_verbs else None)

    def changed(self, row: Any, *, gone: bool = False) -> None:
        """Tell those who listen."""
        for watcher in list(self.watchers):
            watcher(self, row, gone)

    def show(self, row: Any, names: Collection[str] | None = None, *, hide: bool = False) -> dict[str, str]:
        """A row as print sends it: what it does not have is left out."""
        shown: dict[str, str] = {}
        for name, get in self.getters.items():
            if (names is not None and name not in names) or (hide and name in self.sensitive):
                continue
            value = get(row)
            if value is not None:
                shown[name] = value
        return shown

    def chosen(self, arguments: dict[str, str]) -> list[Any]:
        """The rows that `.id` or `numbers` name. Raises `Trap` when one of them is not there."""
        tokens = arguments.pop("numbers", None) or arguments.pop(".id", None)
        arguments.pop(".id", None)
        if tokens is None:
            raise Trap("missing argument numbers" if self.version.major >= 7 else "no such command argument", 1)
        return [self._one(token) for token in tokens.split(",")]

    def _one(self, token: str) -> Any:
        if not token.startswith("*"):
            found = self.named(token)
            if not found:
                raise no_such_item()
            return found[0]
        try:
            row = self.row(int(token[1:], 16))
        except ValueError as error:
            raise Trap("invalid internal item number", 1) from error
        if row is None:
            raise no_such_item()
        return row


class Table(Menu):
    """A menu of items that people add, change and remove."""

    row_class: type[Row] = Row
    own_verbs = frozenset(("add", "set", "remove", "unset", "enable", "disable", "comment", "move"))

    def __init__(
        self,
        path: str,
        version: Version,
        fields: Mapping[str, Field],
        *,
        key: tuple[str, ...] = (),
        required: tuple[str, ...] = (),
        duplicate: str = "failure: already have such item",
        getters: Mapping[str, Getter] | None = None,
        loose: bool = False,
    ) -> None:
        self.fields = {name: field for name, field in fields.items() if field.exists_in(version)}
        written = {name: _reader(name, field.default) for name, field in self.fields.items()}
        super().__init__(path, version, {**written, **(getters or {})})
        self.sensitive = {name for name, field in self.fields.items() if field.sensitive}
        self.key, self.required, self.duplicate, self.loose = key, required, duplicate, loose
        self._rows: dict[int, Row] = {}
        self._by_key: dict[tuple[str, ...], Row] = {}
        self._by_name: dict[str, list[Row]] = {}
        self._next = 1

    def rows(self) -> Iterable[Row]:
        return self._rows.values()

    def row(self, number: int) -> Row | None:
        return self._rows.get(number)

    def named(self, name: str) -> Sequence[Row]:
        return self._by_name.get(name, ())

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, arguments: dict[str, str]) -> str:
        """Add an item and return its id, which is never used again."""
        place = arguments.pop("place-before", None)
        source = arguments.pop("copy-from", None)
        written = dict(self._one(source).values) if source else {}
        written |= self.read(arguments)
        if missing := [name for name in self.required if not written.get(name)]:
            raise Trap(f"missing value(s) of argument(s) {' '.join(missing)}", 1)
        self.check(written, None)
        row = self.row_class(self._next, written)
        self._next += 1
        self._rows[row.number] = row
        self._index(row)
        if place is not None:
            self.move({"numbers": f"*{row.number:X}", "destination": place})
        self.changed(row)
        return f"*{row.number:X}"

    def set(self, arguments: dict[str, str]) -> None:
        """Change items; unchanged values are fine."""
        rows = self.chosen(arguments)
        written = self.read(arguments)
        for row in rows:
            self.write(row, written)

    def write(self, row: Row, written: dict[str, str]) -> None:
        """Change one item."""
        self.check({**row.values, **written}, row)
        self._unindex(row)
        row.values = {**row.values, **written}
        self._index(row)
        self.changed(row)

    def unset(self, arguments: dict[str, str]) -> None:
        """Take a value away."""
        name = arguments.pop("value-name", "")
        for row in self.chosen(arguments):
            kept = {key: value for key, value in row.values.items() if key != name}
            self.check(kept, row)
            self._unindex(row)
            row.values = kept
            self._index(row)
            self.changed(row)

    def remove(self, arguments: dict[str, str]) -> None:
        """Remove items: all of those named, or none."""
        for row in self.chosen(arguments):
            self.guard(row)
            self.discard(row)

    def guard(self, row: Row) -> None:
        """Refuse to remove what the router made itself. Raises `Trap`."""
        if row.values.get("default") == "true":
            raise Trap("failure: can not remove default item")

    def discard(self, row: Row) -> None:
        """Take a row out."""
        if self._rows.pop(row.number, None) is not None:
            self._unindex(row)
            self.changed(row, gone=True)

    def move(self, arguments: dict[str, str]) -> None:
        """Put items before another."""
        destination = arguments.pop("destination", None)
        rows = self.chosen(arguments)
        others = [row for row in self._rows.values() if row not in rows]
        before = self._one(destination) if destination else None
        index = others.index(before) if before in others else len(others)
        ordered = [*others[:index], *rows, *others[index:]]
        self._rows = {row.number: row for row in ordered}

    def comment(self, arguments: dict[str, str]) -> None:
        """Change the comment."""
        self.set(arguments)

    def enable(self, arguments: dict[str, str]) -> None:
        """Switch items on."""
        self._switch(arguments, "false")

    def disable(self, arguments: dict[str, str]) -> None:
        """Switch items off."""
        self._switch(arguments, "true")

    def _switch(self, arguments: dict[str, str], disabled: str) -> None:
        for row in self.chosen(arguments):
            self.write(row, {"disabled": disabled})

    def read(self, arguments: Arguments) -> dict[str, str]:
        """Check every argument and bring it into the form that is shown. Raises `Trap`."""
        return {name: self._read(name, value) for name, value in arguments.items()}

    def _read(self, name: str, value: str) -> str:
        field = self.fields.get(name)
        if field is None:
            if not self.loose:
                raise unknown_parameter(name)
            self.getters.setdefault(name, _reader(name, None))
            return value
        try:
            return field.kind(value)
        except BadValue as error:
            raise Trap(str(error) or f"invalid value for argument {name}", 1) from error

    def check(self, written: Mapping[str, str], row: Row | None) -> None:
        """Refuse what two items cannot share. Raises `Trap`."""
        if self.key and self._by_key.get(self._key(written), row) is not row:
            raise Trap(self.duplicate)

    def _key(self, written: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(written.get(name) or self.fields[name].default or "" for name in self.key)

    def _index(self, row: Row) -> None:
        if self.key:
            self._by_key[self._key(row.values)] = row
        if "name" in self.fields:
            self._by_name.setdefault(row.values.get("name", ""), []).append(row)

    def _unindex(self, row: Row) -> None:
        if self.key:
            self._by_key.pop(self._key(row.values), None)
        if "name" in self.fields:
            name = row.values.get("name", "")
            self._by_name[name].remove(row)
            if not self._by_name[name]:
                del self._by_name[name]


class View(Menu):
    """A menu of what the router itself found or made; `source` says its rows."""

    def __init__(
        self, path: str, version: Version, getters: Mapping[str, Getter], source: Callable[[], Iterable[Any]]
    ) -> None:
        super().__init__(path, version, getters)
        self._source = source

    def rows(self) -> Iterable[Any]:
        return self._source()


class Single(Menu):
    """A menu with one thing in it and no ids: identity, clock, resource."""

    def __init__(
        self,
        path: str,
        version: Version,
        fields: Mapping[str, Field],
        written: dict[str, str] | None = None,
        getters: Mapping[str, Getter] | None = None,
    ) -> None:
        self.fields = {name: field for name, field in fields.items() if field.exists_in(version)}
        readers = {name: _reader(name, field.default) for name, field in self.fields.items()}
        super().__init__(path, version, {**readers, **(getters or {})})
        del self.getters[".id"]
        self.only = Row(0, written or {})
        self.single = True
        if fields:
            self.verbs["set"] = self.set

    def rows(self) -> Iterator[Row]:
        yield self.only

    def set(self, arguments: dict[str, str]) -> None:
        """Change it."""
        for name, value in arguments.items():
            if name not in self.fields:
                raise unknown_parameter(name)
            try:
                self.only.values[name] = self.fields[name].kind(value)
            except BadValue as error:
                raise Trap(str(error) or f"invalid value for argument {name}", 1) from error
        self.changed(self.only)


def reference(menu: Menu, argument: str, *more: str) -> values.Kind:
    """The name of an item elsewhere, completed like on the console: one that only one name begins with is that name."""

    def read(value: str) -> str:
        if value in more or menu.named(value):
            return value
        names = {name for row in menu.rows() if (name := menu.getters["name"](row)) is not None} | set(more)
        found = [name for name in names if value and name.startswith(value)]
        if not found:
            raise BadValue(f"input does not match any value of {argument}")
        if len(found) > 1:
            raise BadValue(f"ambiguous value of {argument}, more than one possible value matches input")
        return found[0]

    return read


def _id(row: Any) -> str:
    return f"*{row.number:X}"


@lru_cache(maxsize=1024)
def _reader(name: str, default: str | None) -> Getter:
    def get(row: Row) -> str | None:
        return row.values.get(name, default) or None

    return get
