"""The disk is full, then has room again: guests are told so politely, nothing promised is lost, nothing is doubled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bawaba import migrations, wiring
from bawaba.core.config import Config
from bawaba.sales.models import Sale
from bawaba.sessions.models import GuestSession
from tests.cast import PHONE, TABLET, Cast
from tests.product import serving
from tests.server.test_no_secrets import ask
from tests.services import free_port

SIZE_MB = 40


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs root, to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return path


def test_a_full_disk_refuses_politely_and_goes_on_when_there_is_room(small_disk: Path):
    folder = small_disk / "data"
    config = Config(data_dir=folder)
    folder.mkdir(mode=0o700)
    migrations.migrate(config.sqlalchemy_url)
    rt = wiring.build(config)
    try:
        cast, port = Cast(rt), free_port()
        first, second = cast.make_voucher(), cast.make_voucher()
        with serving(folder, "", port):
            before = ask(port, "/api/voucher/redeem", {"code": first.code, "client_mac": PHONE})
            assert before["status"] == "online"
            filler = fill(small_disk)

            told = ask(port, "/api/voucher/redeem", {"code": second.code, "client_mac": TABLET})
            assert told.get("error") in ("internal", "database_away", "unavailable"), told
            assert told["message"] and "Traceback" not in str(told)
            assert ask(port, "/healthz")["status"] == "ok"

            filler.unlink()
            assert ask(port, "/api/voucher/redeem", {"code": second.code, "client_mac": TABLET})["status"] == "online"
            again = ask(port, "/api/voucher/redeem", {"code": first.code, "client_mac": PHONE})
            assert again["session"]["resumed"] and again["session"]["id"] == before["session"]["id"]
        counted = rt.read(lambda db: [db.scalar(select(func.count()).select_from(of)) for of in (GuestSession, Sale)])
        assert counted == [2, 2]
    finally:
        wiring.stop(rt)
