"""Where copies are kept: a folder here, and an S3 store elsewhere. A name in either is a whole file or none."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Protocol

from bawaba.backups.archive import PIECE, SUFFIX
from bawaba.backups.errors import CopyDamaged, CopyMissing, DiskFull, FolderUnwritable, StoreAway, StoreRefused
from bawaba.core.config import Config

PARTIAL = ".partial"
PART_BYTES = 8 * PIECE  # S3's parts are 5 MiB at least
PARTS_AT_ONCE = 2  # links are thin, and memory is small
CONNECT_S, REQUEST_S, SILENCE_S = 10, 120, 30
TRIES = 5
Beat = Callable[[int], object]  # bytes so far; may raise to end it


class Store(Protocol):
    """A place for copies, by name."""

    name: str

    def put(self, file: Path, name: str, beat: Beat) -> dict[str, str]:
        """Keep a copy of a file; says where, as the API does."""

    def pieces(self, name: str) -> Iterator[bytes]:
        """A copy's bytes. Raises `CopyMissing`."""

    def size(self, name: str) -> int:
        """A copy's length in bytes. Raises `CopyMissing`."""

    def names(self) -> list[str]:
        """All that it holds of ours, oldest first."""

    def remove(self, name: str) -> None:
        """Forget a copy; no harm if there is none."""


def stores_of(config: Config) -> list[Store]:
    """The local one, and the one elsewhere where there is any."""
    found: list[Store] = [LocalStore(config.backup_path)]
    return [*found, S3Store(config)] if config.backup_s3_bucket else found


def confirm(store: Store, name: str, size: int, sha256: str, beat: Beat) -> None:
    """Read a copy back: it has the size and the hash that it should. Raises `CopyDamaged`, `CopyMissing`."""
    if (found := store.size(name)) != size:
        raise CopyDamaged(store=store.name, why=f"{found} bytes, not {size}")
    digest, done = hashlib.sha256(), 0
    for piece in store.pieces(name):
        digest.update(piece)
        done += len(piece)
        beat(done)
    if digest.hexdigest() != sha256:
        raise CopyDamaged(store=store.name, why="its SHA-256 is another one")


class LocalStore:
    """A folder. What is being written has another ending, and gets its name when it is whole and on the disk."""

    name = "local"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> None:
        """Make the folder. Raises `FolderUnwritable`."""
        with local_faults():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def adopt(self, draft: Path, name: str) -> dict[str, str]:
        """Take a whole file from the same disk as a copy of that name."""
        with local_faults():
            os.replace(draft, self.folder / name)
            sync_folder(self.folder)
        return self.place(name)

    def place(self, name: str) -> dict[str, str]:
        """As the API says it."""
        return {"store": self.name, "path": str(self.folder / name)}

    def put(self, file: Path, name: str, beat: Beat) -> dict[str, str]:
        draft = self.folder / f"{name}{PARTIAL}"
        with local_faults(), file.open("rb") as source, draft.open("wb") as target:
            while piece := source.read(PIECE):
                beat(target.write(piece))
            target.flush()
            os.fsync(target.fileno())
        return self.adopt(draft, name)

    def pieces(self, name: str) -> Iterator[bytes]:
        with local_faults(), (self.folder / name).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def size(self, name: str) -> int:
        with local_faults():
            return (self.folder / name).stat().st_size

    def names(self) -> list[str]:
        with local_faults():
            return sorted(path.name for path in self.folder.glob(f"*{SUFFIX}"))

    def remove(self, name: str) -> None:
        with local_faults():
            (self.folder / name).unlink(missing_ok=True)
            sync_folder(self.folder)


class S3Store:
    """A bucket. An upload in parts becomes an object only at its end, so a half one is never seen by its name."""

    name = "s3"

    def __init__(self, config: Config) -> None:
        from obstore.store import S3Store as Bucket

        self._keys = f"{config.backup_s3_prefix}/" if config.backup_s3_prefix else ""
        self._bucket = Bucket(
            config.backup_s3_bucket,
            endpoint=config.backup_s3_endpoint or None,  # none: Amazon's own
            region=config.backup_s3_region,
            access_key_id=config.backup_s3_access_key,
            secret_access_key=config.backup_s3_secret_key,
            checksum_algorithm="SHA256",
            disable_bulk_delete=True,  # not every compatible store answers it as Amazon does
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": config.backup_s3_endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "timeout": timedelta(seconds=REQUEST_S),
                "read_timeout": timedelta(seconds=SILENCE_S),
            },
            retry_config={"max_retries": TRIES, "retry_timeout": timedelta(seconds=REQUEST_S)},
        )

    def put(self, file: Path, name: str, beat: Beat) -> dict[str, str]:
        import obstore

        with _store_faults(), file.open("rb") as source:
            watched: Any = _Watched(source, beat)
            try:
                obstore.put(
                    self._bucket, self._keys + name, watched, use_multipart=True, chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_ONCE,
                )  # fmt: skip
            except Exception:
                if watched.raised is not None:
                    raise watched.raised from None
                raise
        return self.place(name)

    def place(self, name: str) -> dict[str, str]:
        """As the API says it."""
        return {"store": self.name, "key": self._keys + name}

    def pieces(self, name: str) -> Iterator[bytes]:
        import obstore

        with _store_faults():
            for piece in obstore.get(self._bucket, self._keys + name).stream(min_chunk_size=PIECE):
                yield bytes(piece)

    def size(self, name: str) -> int:
        import obstore

        with _store_faults():
            return int(obstore.head(self._bucket, self._keys + name)["size"])

    def names(self) -> list[str]:
        import obstore

        with _store_faults():
            keys = [str(entry["path"]) for group in obstore.list(self._bucket, self._keys or None) for entry in group]
        return sorted(key.removeprefix(self._keys) for key in keys if key.endswith(SUFFIX))

    def remove(self, name: str) -> None:
        import obstore

        with _store_faults(missing_is_well=True):
            obstore.delete(self._bucket, self._keys + name)


class _Watched:
    """A file on its way up; tells how far it is, and ends the upload when told to."""

    def __init__(self, file: IO[bytes], beat: Beat) -> None:
        self._file, self._beat = file, beat
        self.raised: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            self._beat(self._file.tell())
        except Exception as error:
            self.raised = error
            raise
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)


def join_pieces(pieces: Iterator[bytes], target: Path, beat: Beat) -> None:
    """Write a copy's bytes into a file."""
    done = 0
    with local_faults(), target.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            done += len(piece)
            beat(done)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def local_faults() -> Iterator[None]:
    """What the disk says, in our words."""
    try:
        yield
    except FileNotFoundError as error:
        raise CopyMissing(why=str(error)) from error
    except OSError as error:
        raise (DiskFull if error.errno in (28, 122) else FolderUnwritable)(why=str(error)) from error  # ENOSPC, EDQUOT


@contextmanager
def _store_faults(*, missing_is_well: bool = False) -> Iterator[None]:
    """What an S3 store says, in our words. The keys never stand in its messages."""
    from obstore import exceptions

    began = time.monotonic()
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise StoreRefused(why=_short(error)) from error
        if not missing_is_well:
            raise CopyMissing(store="s3") from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise StoreRefused(why=_short(error)) from error
    except (exceptions.BaseError, OSError) as error:
        raise StoreAway(why=_short(error), after_s=round(time.monotonic() - began)) from error


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
