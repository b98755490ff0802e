"""Cards are worth nothing without the key that their codes were hashed with: no start with another one."""

from __future__ import annotations

import os

import pytest

from bawaba import wiring
from bawaba.core.keyring import KeyFileError, Keyring


def test_a_database_is_not_opened_with_another_key(config):
    wiring.stop(wiring.build(config))
    config.key_path.unlink()
    Keyring.open(config.key_path)

    with pytest.raises(KeyFileError, match="not the key"):
        wiring.build(config)


def test_a_lost_key_is_asked_for_and_not_made_anew(config):
    wiring.stop(wiring.build(config))
    config.key_path.rename(config.key_path.with_suffix(".safe"))
    with pytest.raises(KeyFileError, match="safe copy"):
        wiring.build(config)

    assert not config.key_path.exists()
    config.key_path.with_suffix(".safe").rename(config.key_path)
    wiring.stop(wiring.build(config))


def test_a_start_that_died_while_it_made_the_key_does_not_prevent_the_next(tmp_path):
    """In a container every process has the same number."""
    (tmp_path / f"bawaba.key.{os.getpid()}.new").touch(0o600)

    assert Keyring.open(tmp_path / "bawaba.key").fingerprint == Keyring.open(tmp_path / "bawaba.key").fingerprint
