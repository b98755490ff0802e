"""The file of a backup: tar, compressed by zstd, encrypted by age. Made and read in constant memory.

`age -d -i IDENTITY FILE | zstd -d | tar x` opens it without us. First in it is `manifest.json`, then the database, then
the stored card pictures and the settings, without secrets. The key file is never in it: who finds a backup and its
identity still has no card code.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import orjson

from bawaba.backups.errors import NotABackup, WrongIdentity
from bawaba.backups.walk import Walk, from_json, to_json

FORMAT = 1
SUFFIX = ".tar.zst.age"
LEVEL = 6  # zstd's: two thirds of the time of 9 for nearly its size
PIECE = 1024 * 1024
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
MANIFEST, SETTINGS = "manifest.json", "settings.json"
DATABASES = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}
CARD = re.compile(r"cards/(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.qr")
Beat = Callable[[], object]


class Readable(Protocol):
    """What encrypted bytes come from."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is of."""

    run_id: int
    made_at: str
    version: str
    database: str
    shape: str
    key_fingerprint: str
    tables: Walk

    def to_bytes(self) -> bytes:
        """As it stands in the file."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return orjson.dumps({"format": FORMAT, **named, "tables": to_json(self.tables)}, option=orjson.OPT_INDENT_2)

    @classmethod
    def from_bytes(cls, kept: bytes) -> Manifest:
        """Undo `to_bytes`. Raises `NotABackup`."""
        try:
            told = orjson.loads(kept)
            named = {name: told[name] for name in cls.__dataclass_fields__ if name != "tables"}
            return cls(**named, tables=from_json(told["tables"]))
        except (ValueError, KeyError, TypeError) as error:
            raise NotABackup() from error


@dataclass
class Packed:
    """How far the packing is, and what came of it."""

    total: int = 0
    done: int = 0
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        """Of the encrypted file."""
        return str(self.digest.hexdigest())


def pack(
    target: Path, manifest: Manifest, database: Path, folder: Path, settings: bytes, keys: Sequence[Any],
    beat: Callable[[Packed], object],
) -> Packed:  # fmt: skip
    """Write the encrypted file for all `keys` (age recipients); it is on the disk when this returns.

    `folder` is the data folder, of which the stored card pictures go in. `beat` is called after each MiB and may raise.
    """
    import pyrage

    pictures = sum(path.stat().st_size for path in _pictures(folder / "cards") if path.exists())
    packed = Packed(total=database.stat().st_size + pictures)
    tar = _Tar(manifest, database, folder, settings, lambda: beat(packed), packed)
    with _produced(tar.write) as plain, open(os.open(target, NEW, 0o600), "wb") as file:
        sink = _Sink(file, packed)
        try:
            pyrage.encrypt_io(plain, sink, list(keys))
        except Exception:
            if sink.failed is not None:  # what age says of it is that it could not write
                raise sink.failed from None
            raise
        file.flush()
        os.fsync(file.fileno())
    return packed


def unpack(source: Readable, identity: Any, folder: Path, accept: Callable[[Manifest], object], beat: Beat) -> Manifest:
    """Open a backup into `folder`: the database under its name of `DATABASES`, pictures in `cards`, settings.

    `accept` sees the manifest before anything else is read, and may raise. Raises `WrongIdentity`, `NotABackup`.
    """
    with _produced(lambda out: _decrypt(source, identity, out)) as compressed:
        return _read_tar(compressed, folder, accept, beat)


class _Tar:
    """What goes in, and how far it has gone."""

    def __init__(
        self, manifest: Manifest, database: Path, folder: Path, settings: bytes, beat: Beat, packed: Packed
    ) -> None:
        self._manifest, self._database, self._settings = manifest, database, settings
        self._folder, self._beat, self._packed = folder, beat, packed

    def write(self, out: IO[bytes]) -> None:
        """All of it, compressed."""
        import zstandard

        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        with (
            compressor.stream_writer(out, closefd=False) as smaller,
            tarfile.open(fileobj=smaller, mode="w|", format=tarfile.PAX_FORMAT, bufsize=PIECE) as tar,
        ):
            self._add_bytes(tar, MANIFEST, self._manifest.to_bytes())
            self._add_file(tar, DATABASES[self._manifest.database], self._database)
            self._add_bytes(tar, SETTINGS, self._settings)
            for path in _pictures(self._folder / "cards"):
                with suppress(FileNotFoundError):  # a failed batch is being cleared away
                    self._add_file(tar, path.relative_to(self._folder).as_posix(), path)

    def _add_bytes(self, tar: tarfile.TarFile, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o600
        tar.addfile(entry, io.BytesIO(content))

    def _add_file(self, tar: tarfile.TarFile, name: str, path: Path) -> None:
        with path.open("rb") as file:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = os.fstat(file.fileno()).st_size, 0o600
            tar.addfile(entry, _Watched(file, self._went))

    def _went(self, size: int) -> None:
        before, self._packed.done = self._packed.done, self._packed.done + size
        if before // PIECE != self._packed.done // PIECE:
            self._beat()


class _Watched(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, file: IO[bytes], went: Callable[[int], None]) -> None:
        self._file, self._went = file, went

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._went(len(piece))
        return piece


def _pictures(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(".qr"))


def _decrypt(source: Readable, identity: Any, out: IO[bytes]) -> None:
    import pyrage

    try:
        pyrage.decrypt_io(source, out, [identity])
    except pyrage.DecryptError as error:
        raise (WrongIdentity() if "matching" in str(error).lower() else NotABackup(why=str(error))) from error


def _read_tar(compressed: IO[bytes], folder: Path, accept: Callable[[Manifest], object], beat: Beat) -> Manifest:
    import zstandard

    try:
        plain = zstandard.ZstdDecompressor().stream_reader(compressed, closefd=False)
        with tarfile.open(fileobj=plain, mode="r|", bufsize=PIECE) as tar:
            entries = iter(tar)
            manifest = _first(tar, entries)
            accept(manifest)
            for entry in entries:
                _take(tar, entry, folder, beat)
        while compressed.read(PIECE):  # age's own end is checked only by who reads up to it
            beat()
        return manifest
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise NotABackup(why=str(error)) from error


def _first(tar: tarfile.TarFile, entries: Iterator[tarfile.TarInfo]) -> Manifest:
    entry = next(entries, None)
    content = tar.extractfile(entry) if entry is not None and entry.name == MANIFEST else None
    if content is None:
        raise NotABackup()
    return Manifest.from_bytes(content.read())


def _take(tar: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path, beat: Beat) -> None:
    """Only the names that we write, and only plain files: a tar may name any place of the disk."""
    known = entry.name in {*DATABASES.values(), SETTINGS} or CARD.fullmatch(entry.name)
    content = tar.extractfile(entry) if known and entry.isreg() else None
    if content is None:
        raise NotABackup(why=f"it holds {entry.name!r}")
    path = folder / entry.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, NEW, 0o600), "wb") as file:
        while piece := content.read(PIECE):
            file.write(piece)
            beat()
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _produced(produce: Callable[[IO[bytes]], None]) -> Iterator[IO[bytes]]:
    """What `produce` writes in a thread of its own, to be read here. Its error is raised at the end of the block."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def work() -> None:
        with open(writing, "wb", buffering=PIECE) as out:
            try:
                produce(out)
            except BaseException as error:  # noqa: BLE001 raised again below, in the thread that reads
                failed.append(error)

    thread = threading.Thread(target=work, name="backup-archive", daemon=True)
    with open(reading, "rb", buffering=PIECE) as source:
        thread.start()
        try:
            yield source
        except Exception as error:  # noqa: BLE001 raised again, or what caused it
            source.close()
            thread.join()
            cause = failed[0] if failed and not isinstance(failed[0], BrokenPipeError) else None
            raise cause or error from (error if cause else error.__cause__)
    thread.join()
    if failed:
        raise failed[0]


class _Sink:
    """Encrypted bytes on their way to the disk; hashes them."""

    def __init__(self, file: IO[bytes], packed: Packed) -> None:
        self._file, self._packed = file, packed
        self.failed: OSError | None = None

    def write(self, piece: bytes) -> int:
        try:
            self._file.write(piece)
        except OSError as error:
            self.failed = error
            raise
        self._packed.digest.update(piece)
        self._packed.size += len(piece)
        return len(piece)

    def flush(self) -> None:
        self._file.flush()
