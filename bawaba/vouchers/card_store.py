"""Where the QR codes of made cards are kept: a folder of sealed files, for a QR code holds its card's code in clear.

The cards of a batch lie 500 to a file: a file for each would cost 4 KiB of disk and a wait for the disk a card. A card
made alone has a file of its own.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag

from bawaba.core.keyring import Keyring
from bawaba.vouchers.qr import QrMatrix, bytes_a_row

GROUP_CARDS = 500
_SINGLES_A_FOLDER = 1000


class CardNotStoredError(LookupError):
    """The store has no such card, or its file is damaged. The QR code can be made again from the card's code."""


class CardStore:
    """QR codes by batch and place in the batch (from 0), and by voucher for cards made alone."""

    def __init__(self, root: Path, keyring: Keyring) -> None:
        self._root = root / "cards"
        self._keyring = keyring

    def put_group(self, batch_id: int, group: int, matrices: Sequence[QrMatrix]) -> None:
        """Keep the cards from place `group` × 500 on; on the disk when this returns, all of them or none.

        Putting a group again replaces it. Only the last group of a batch may have fewer than 500 cards.
        """
        self._write(f"{batch_id:d}/{group:d}.qr", matrices)

    def has_group(self, batch_id: int, group: int) -> bool:
        """Whether a group's QR codes are there, whole (files appear only when they are)."""
        return (self._root / f"{batch_id}/{group}.qr").exists()

    def put_single(self, voucher_id: int, matrix: QrMatrix) -> None:
        """Keep a card that was made alone."""
        self._write(_single(voucher_id), [matrix])

    def get(self, batch_id: int, index: int) -> QrMatrix:
        """Return the card at a place of its batch; raises `CardNotStoredError`."""
        return next(self.read(batch_id, index, index + 1))

    def get_single(self, voucher_id: int) -> QrMatrix:
        """Return a card that was made alone; raises `CardNotStoredError`."""
        return self._read(_single(voucher_id))[0]

    def read(self, batch_id: int, start: int, stop: int) -> Iterator[QrMatrix]:
        """Yield the cards at the places from `start` to before `stop`, a group in memory at a time."""
        for group in range(start // GROUP_CARDS, (stop - 1) // GROUP_CARDS + 1):
            matrices = self._read(f"{batch_id:d}/{group:d}.qr")
            first = group * GROUP_CARDS
            if first + len(matrices) < min(stop, first + GROUP_CARDS):
                raise CardNotStoredError(f"batch {batch_id} ends before place {stop}")
            yield from matrices[max(start - first, 0) : stop - first]

    def delete_batch(self, batch_id: int) -> None:
        """Forget all cards of a batch; no harm if there are none."""
        folder = self._root / f"{batch_id:d}"
        if folder.exists():
            shutil.rmtree(folder)
            _sync_folder(self._root)

    def _write(self, name: str, matrices: Sequence[QrMatrix]) -> None:
        plain = _pack(matrices)
        path = self._root / name
        _make_folder(path.parent)
        draft = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.new")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(self._keyring.encrypt(plain, _context(name)))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def _read(self, name: str) -> list[QrMatrix]:
        try:
            return _unpack(self._keyring.decrypt((self._root / name).read_bytes(), _context(name)))
        except (FileNotFoundError, InvalidTag) as error:
            raise CardNotStoredError(name) from error


def _single(voucher_id: int) -> str:
    return f"single/{voucher_id // _SINGLES_A_FOLDER:d}/{voucher_id:d}.qr"


def _context(name: str) -> bytes:
    """Binds a file's content to its place: a file moved to another card's place does not open."""
    return b"card store 1: " + name.encode()


def _pack(matrices: Sequence[QrMatrix]) -> bytes:
    """One byte of size, then the cards, all alike in length."""
    sizes = {matrix.size for matrix in matrices}
    if len(sizes) != 1 or len(matrices) > GROUP_CARDS:
        raise ValueError(f"a group is 1 to {GROUP_CARDS} QR codes of one size")
    return bytes(sizes) + b"".join(matrix.bits for matrix in matrices)


def _unpack(plain: bytes) -> list[QrMatrix]:
    size = plain[0]
    length = size * bytes_a_row(size)
    return [QrMatrix(size, plain[at : at + length]) for at in range(1, len(plain), length)]


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each named on the disk in the one above."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
