"""Settings, the key file, the clock, the event bus."""

from __future__ import annotations

import os
import stat
from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidTag

from bawaba import wiring
from bawaba.core import facts
from bawaba.core.clock import ManualClock, SystemClock
from bawaba.core.config import Config, ConfigError
from bawaba.core.database import from_micros, to_micros
from bawaba.core.events import Event, EventBus
from bawaba.core.keyring import KeyFileError, Keyring
from bawaba.core.log import hide_secrets


def test_all_faults_are_listed_at_once():
    wrong = {
        "BAWABA_PORT": "80000",
        "BAWABA_LOG_LEVEL": "loud",
        "BAWABA_ADMIN_PASSWORD": "changeme",
        "BAWABA_PUBLIC_URL": "login.wifi",
        "BAWABA_PROT": "5000",
        "BAWABA_TRUSTED_PROXIES": "10.0.0.0/8, the-proxy",
    }
    with pytest.raises(ConfigError) as refused:
        Config.from_env(wrong)

    told = str(refused.value)
    assert len(refused.value.faults) == 6
    for name in wrong:
        assert name in told
    assert "changeme" not in told


def test_a_secret_may_come_from_a_file_and_the_rest_from_toml(tmp_path):
    (tmp_path / "password").write_text("a long enough one\n")
    (tmp_path / "bawaba.toml").write_text('port = 5050\npublic_url = "https://wifi.example"\n')
    config = Config.from_env(
        {
            "BAWABA_CONFIG": str(tmp_path / "bawaba.toml"),
            "BAWABA_ADMIN_PASSWORD_FILE": str(tmp_path / "password"),
            "BAWABA_TRUSTED_PROXIES": "127.0.0.1, ::1",
        }
    )

    assert (config.port, config.public_url) == (5050, "https://wifi.example")
    assert config.admin_password == "a long enough one"
    assert config.trusted_proxies == ("127.0.0.1", "::1")


def test_the_key_file_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "deep" / "bawaba.key"
    first, second = Keyring.open(path), Keyring.open(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert second.decrypt(first.encrypt(b"secret", b"here"), b"here") == b"secret"
    assert sorted(os.listdir(path.parent)) == ["bawaba.key"]


def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "bawaba.key"
    Keyring.open(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        Keyring.open(path)


def test_a_sealed_secret_opens_only_in_its_own_context():
    keyring = Keyring(b"k" * 32)
    with pytest.raises(InvalidTag):
        keyring.decrypt(keyring.encrypt(b"code", b"voucher code"), b"router password")
    assert keyring.digest("a", b"x") != keyring.digest("b", b"x")


def test_the_clock_goes_on_when_somebody_moves_the_machines(monkeypatch):
    clock = SystemClock()
    before = clock.now()
    real = __import__("time").time
    monkeypatch.setattr("bawaba.core.clock.time.time", lambda: real() + 3600)

    assert clock.now() - before < timedelta(seconds=5)
    assert 3590 < clock.jump_s() < 3610
    assert not clock.follow_wall()


def test_after_a_start_in_1970_time_goes_on_from_where_we_were_until_the_clock_is_set(monkeypatch):
    real = __import__("time").time
    monkeypatch.setattr("bawaba.core.clock.time.time", lambda: real() - 50 * 365 * 86400)
    clock = SystemClock()
    last_alive = clock.now() + timedelta(days=50 * 365 - 1)
    clock.never_before(last_alive)
    assert abs((clock.now() - last_alive).total_seconds()) < 5
    assert not clock.follow_wall()

    monkeypatch.setattr("bawaba.core.clock.time.time", real)
    assert clock.follow_wall()
    assert abs((clock.now() - last_alive).total_seconds() - 86400) < 10


def test_a_time_that_lay_in_the_future_is_left_once_the_network_says_so(monkeypatch):
    """A machine that ran in 2036 for a while must not live there for ever."""
    clock = SystemClock()
    wall = clock.now()
    clock.never_before(wall + timedelta(days=3650))
    monkeypatch.setattr("bawaba.core.clock.is_synchronised", lambda: False)
    assert not clock.follow_wall()
    assert clock.now() - wall > timedelta(days=3649)

    monkeypatch.setattr("bawaba.core.clock.is_synchronised", lambda: True)
    assert clock.follow_wall()
    assert clock.now() - wall < timedelta(seconds=5)
    assert not clock.follow_wall()


def test_a_restart_before_the_clock_is_set_still_waits_for_that(config, monkeypatch):
    real = __import__("time").time
    monkeypatch.setattr("bawaba.core.clock.time.time", lambda: real() - 50 * 365 * 86400)
    monkeypatch.setattr("bawaba.core.clock.is_synchronised", lambda: False)
    yesterday = from_micros(int((real() - 86400) * 1_000_000))
    rt = wiring.build(config, clock=ManualClock())
    rt.transact(facts.remember, wiring.SEEN_FACT, str(to_micros(yesterday)))
    wiring.stop(rt)
    for _ in range(2):
        rt = wiring.build(config)
        assert isinstance(rt.clock, SystemClock)
        assert abs((rt.clock.now() - yesterday).total_seconds()) < 60
        rt.parts["housekeeping"]._watch_clock()
        wiring.stop(rt)
    monkeypatch.setattr("bawaba.core.clock.time.time", real)
    assert isinstance(rt.clock, SystemClock) and rt.clock.follow_wall()


def test_a_listener_that_fails_reaches_nobody():
    class Rain(Event):
        pass

    bus = EventBus()
    heard: list[Event] = []

    def fails(event: Event) -> None:
        raise ValueError("wet")

    bus.subscribe(Rain, fails)
    stop = bus.subscribe(Event, heard.append)
    bus.publish(Rain())
    stop()
    bus.publish(Rain())
    assert len(heard) == 1


def test_the_log_hides_what_sounds_secret():
    told = hide_secrets(None, "info", {"event": "x", "password": "p", "card_code": "c", "error_code": "gone", "id": 1})
    assert told == {"event": "x", "password": "***", "card_code": "***", "error_code": "gone", "id": 1}
