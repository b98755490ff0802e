"""`bawaba radius config`: shown before it is written, read by FreeRADIUS itself, put back to the byte."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from bawaba import wiring
from bawaba.cli import main
from bawaba.core.config import Config
from bawaba.core.errors import Invalid
from bawaba.migrations import migrate
from bawaba.radius import folder
from bawaba.radius.configuration import Nas, Wanted, files, quoted
from tests.cast import Cast
from tests.radius.conftest import Gateway
from tests.radius.nas import SECRET


@pytest.fixture
def owner(tmp_path: Path, monkeypatch):
    """The owner's command line, on a café with one NAS."""
    monkeypatch.setenv("BAWABA_DATA_DIR", str(tmp_path / "data"))
    config = Config(data_dir=tmp_path / "data")
    config.data_dir.mkdir()
    migrate(config.sqlalchemy_url)
    rt = wiring.build(config)
    made = Gateway(rt, Cast(rt))
    wiring.stop(rt)
    made.cast.router = made.router

    def run(*words: str):
        return CliRunner().invoke(main, ["radius", *words], catch_exceptions=False)

    return run


@pytest.fixture
def raddb(tmp_path: Path) -> Path:
    """A folder as Debian makes it."""
    where = tmp_path / "raddb"
    where.mkdir()
    (where / "radiusd.conf").write_bytes(b"# Debian's own, with a strange byte: \xff\n")
    return where


def test_without_a_folder_it_is_only_shown_and_without_secrets(owner, monkeypatch, raddb):
    monkeypatch.setattr(folder, "DEFAULT", raddb)
    before = (raddb / "radiusd.conf").read_bytes()
    said = owner("config").output

    assert "Nothing has been changed" in said and "ipaddr = 127.0.0.1" in said
    assert SECRET not in said and "(hidden, " in said
    assert [path.name for path in raddb.iterdir()] == ["radiusd.conf"]
    assert (raddb / "radiusd.conf").read_bytes() == before


def test_written_it_is_for_its_group_only_and_writing_again_changes_nothing(owner, raddb):
    assert owner("config", "--out", str(raddb)).exit_code == 0
    assert SECRET in (raddb / "clients.conf").read_text()
    for name in ("radiusd.conf", "clients.conf", "dictionary"):
        assert stat.S_IMODE((raddb / name).stat().st_mode) == 0o640
    assert "as it should be" in owner("config", "--out", str(raddb)).output


def test_it_is_put_back_to_the_byte_also_when_it_was_written_twice(owner, raddb):
    before = (raddb / "radiusd.conf").read_bytes()
    owner("config", "--out", str(raddb))
    owner("config", "--out", str(raddb), "--listen", "127.0.0.1")
    assert owner("config", "--out", str(raddb), "--undo").exit_code == 0
    assert (raddb / "radiusd.conf").read_bytes() == before
    assert [path.name for path in raddb.iterdir()] == ["radiusd.conf"]
    again = owner("config", "--out", str(raddb), "--undo")
    assert again.exit_code == 2 and "nothing to undo" in again.output


@pytest.mark.freeradius
def test_freeradius_reads_it_and_what_it_cannot_read_is_said(owner, raddb, monkeypatch):
    written = owner("config", "--out", str(raddb), "--log-folder", str(raddb), "--check")
    assert written.exit_code == 0 and "Configuration appears to be OK" in written.output

    monkeypatch.setattr(folder, "DEFAULT", raddb)
    (raddb / "clients.conf").write_text("client {")
    broken = owner("config", "--check")
    assert broken.exit_code == 1 and "clients.conf" in broken.output


def test_without_freeradius_that_is_said(owner, raddb, monkeypatch):
    monkeypatch.setattr(folder, "PROGRAMS", ("no-such-program",))
    said = owner("config", "--out", str(raddb), "--check")
    assert said.exit_code == 2 and "apt install freeradius freeradius-rest" in said.output


def test_the_secret_of_a_nas_is_told_to_who_types_it(owner):
    assert owner("secret", "2").output.strip() == SECRET
    assert owner("secret", "77").exit_code == 2


def test_where_we_do_not_listen_on_loopback_that_is_said(owner, monkeypatch):
    monkeypatch.setenv("BAWABA_HOST", "192.168.88.2")
    said = owner("config")
    assert said.exit_code == 2 and "192.168.88.2" in said.output


def test_a_changed_secret_is_seen_to_change_though_it_is_hidden(raddb):
    wanted = [Wanted("http://127.0.0.1:5000", "door", [Nas(1, "roof", ["10.0.0.1"], secret)]) for secret in ("a", "b")]
    folder.write(files(wanted[0]), raddb)
    shown = folder.differences(files(wanted[1]), raddb)
    assert shown.count("hidden") == 2 and "secret = 'b'" not in shown


@pytest.mark.parametrize("source", ["10.0.0.1\n}", "10.0.0.1 ", "", "{", "$INCLUDE", "a b"])
def test_an_address_cannot_write_configuration(source):
    with pytest.raises(Invalid):
        Nas(1, "roof", [source], SECRET)


@pytest.mark.parametrize("secret", ["a\nb", "a\\b", "\x00"])
def test_a_secret_that_freeradius_cannot_read_is_refused(secret):
    with pytest.raises(Invalid):
        Nas(1, "roof", ["10.0.0.1"], secret)


def test_a_name_stays_in_its_comment():
    text = files(Wanted("http://127.0.0.1:5000", "door", [Nas(1, "}\nclient x {", ["10.0.0.1"], SECRET)]))
    assert "# } client x {\n" in text["clients.conf"] and quoted("it's") == "'it\\'s'"


@pytest.mark.parametrize("facts", [{"listen": "everywhere"}, {"user": "root; rm"}])
def test_what_cannot_be_is_refused(facts):
    with pytest.raises(Invalid):
        Wanted("http://127.0.0.1:5000", "door", [], **facts)


def test_who_writes_as_root_gives_it_to_whom_the_folder_belongs(raddb):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(raddb, 12345, 12346)
    folder.write({"clients.conf": "x"}, raddb)
    assert ((raddb / "clients.conf").stat().st_uid, (raddb / "clients.conf").stat().st_gid) == (12345, 12346)
