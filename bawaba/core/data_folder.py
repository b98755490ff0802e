"""The folder that Bawaba keeps everything in: whose it is, and that one server has it at a time."""

from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataFolderError(Exception):
    """The data folder cannot be used; the text says why and what to do."""


def make(folder: Path) -> None:
    """Make the folder, for its owner's eyes only, where it is not there yet."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataFolderError(
            f"{folder} cannot be made: {error.strerror}.\n"
            "Set BAWABA_DATA_DIR to a folder of your own, like BAWABA_DATA_DIR=$HOME/bawaba-data."
        ) from error


def become_owner(folder: Path) -> None:
    """As root, go on as the user whose folder it is: a file that root makes there could not be used by the server.

    Raises `DataFolderError` where that user may not read this program.
    """
    if os.geteuid() != 0 or not folder.exists():
        return
    found = folder.stat()
    if found.st_uid == 0:
        return
    try:
        name = pwd.getpwuid(found.st_uid).pw_name
        os.initgroups(name, found.st_gid)
    except KeyError:  # an owner without a name, as in containers
        name = str(found.st_uid)
        os.setgroups([])
    os.setresgid(found.st_gid, found.st_gid, found.st_gid)
    os.seteuid(found.st_uid)
    if not all(os.access(file, os.R_OK, effective_ids=True) for file in (__file__, os.__file__)):
        program = Path(__file__).parents[1]
        raise DataFolderError(
            f"The data in {folder} belong to the user {name}, who may not read this program in {program}.\n"
            "Use the one that was installed for that user: /usr/local/bin/bawaba"
        )
    os.setresuid(found.st_uid, found.st_uid, found.st_uid)


@contextmanager
def sole_server(database: Path) -> Iterator[None]:
    """Be the only server of a SQLite file until the block ends, or this process does, however it does.

    Raises `DataFolderError` where there is one already.
    """
    path = database.with_name(f"{database.name}.serving")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataFolderError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        _lock(handle, database.parent)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        process = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        raise DataFolderError(
            f"Bawaba is running already with the data in {folder} (process {process or 'unknown'}).\n"
            "Stop that one first, or set BAWABA_DATA_DIR to another folder. For several servers: PostgreSQL."
        ) from error
