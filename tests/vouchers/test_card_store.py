"""The card store: whole, sealed, and only ever a card's own QR code."""

from __future__ import annotations

import random

import pytest

from bawaba.core.keyring import Keyring
from bawaba.vouchers import codes, qr
from bawaba.vouchers.card_store import GROUP_CARDS, CardNotStoredError, CardStore
from bawaba.vouchers.qr import QrMatrix

PORTAL = "http://login.wifi"


@pytest.fixture
def store(tmp_path):
    return CardStore(tmp_path, Keyring(b"k" * 32))


def cards(count, seed=1):
    return qr.card_matrices(PORTAL, codes.new_codes(random.Random(seed), "digits", count))


def test_each_card_of_a_batch_comes_back_from_its_place(store):
    made = cards(GROUP_CARDS + 20)
    store.put_group(7, 0, made[:GROUP_CARDS])
    store.put_group(7, 1, made[GROUP_CARDS:])

    assert [store.get(7, place) for place in (0, 499, 500, 519)] == [made[place] for place in (0, 499, 500, 519)]
    assert list(store.read(7, 490, 510)) == made[490:510]
    assert list(store.read(7, 0, 520)) == made
    assert list(store.read(7, 3, 3)) == []


def test_a_card_made_alone_comes_back(store):
    [card] = cards(1)
    store.put_single(12345, card)

    assert store.get_single(12345) == card


@pytest.mark.parametrize("place", [3, 4, 500, 10_000])
def test_a_place_that_was_not_filled_has_no_card(store, place):
    store.put_group(7, 0, cards(3))

    with pytest.raises(CardNotStoredError):
        store.get(7, place)


def test_the_codes_can_not_be_read_from_the_disk(store, tmp_path):
    made = cards(50)
    store.put_group(7, 0, made)
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    assert len(stored) > 50 * 100
    assert not any(matrix.bits[40:60] in stored for matrix in made)


def test_only_the_owner_may_read_the_files(store, tmp_path):
    store.put_group(7, 0, cards(3))

    assert {file.stat().st_mode & 0o077 for file in (tmp_path / "cards").rglob("*")} == {0}


def test_a_file_put_in_another_batchs_place_does_not_open(store, tmp_path):
    store.put_group(7, 0, cards(3))
    store.put_group(8, 0, cards(3, seed=2))
    (tmp_path / "cards/7/0.qr").replace(tmp_path / "cards/8/0.qr")

    with pytest.raises(CardNotStoredError):
        store.get(8, 0)


def test_a_damaged_file_gives_no_wrong_card(store, tmp_path):
    store.put_group(7, 0, cards(3))
    file = tmp_path / "cards/7/0.qr"
    file.write_bytes(file.read_bytes()[:-40])

    with pytest.raises(CardNotStoredError):
        store.get(7, 0)


def test_another_installations_key_opens_nothing(store, tmp_path):
    store.put_group(7, 0, cards(3))

    with pytest.raises(CardNotStoredError):
        CardStore(tmp_path, Keyring(b"x" * 32)).get(7, 0)


def test_a_write_that_fails_leaves_what_was_there(store, tmp_path, monkeypatch):
    before = cards(3)
    store.put_group(7, 0, before)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bawaba.vouchers.card_store.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.put_group(7, 0, cards(3, seed=9))

    assert list(store.read(7, 0, 3)) == before
    assert [file.name for file in (tmp_path / "cards/7").iterdir()] == ["0.qr"]


def test_putting_a_group_again_replaces_it(store):
    store.put_group(7, 0, cards(3))
    store.put_group(7, 0, cards(5, seed=9))

    assert list(store.read(7, 0, 5)) == cards(5, seed=9)


def test_a_deleted_batch_is_gone_and_the_others_stay(store, tmp_path):
    store.put_group(7, 0, cards(3))
    store.put_group(8, 0, cards(3))
    store.delete_batch(7)
    store.delete_batch(7)

    assert store.get(8, 0) == cards(3)[0]
    assert not (tmp_path / "cards/7").exists()
    with pytest.raises(CardNotStoredError):
        store.get(7, 0)


@pytest.mark.parametrize("batch_id", ["../../etc", "7", "single"])
def test_a_batch_is_named_by_its_number_only(store, batch_id):
    with pytest.raises(ValueError, match="format code"):
        store.put_group(batch_id, 0, cards(1))
    with pytest.raises(ValueError, match="format code"):
        store.delete_batch(batch_id)


@pytest.mark.parametrize("matrices", [[], [QrMatrix(21, bytes(63)), QrMatrix(25, bytes(100))], cards(1) * 501])
def test_a_group_is_1_to_500_cards_of_one_size(store, matrices):
    with pytest.raises(ValueError, match="1 to 500"):
        store.put_group(7, 0, matrices)
