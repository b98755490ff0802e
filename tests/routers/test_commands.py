"""`bawaba router add`, as it is typed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from bawaba.cli import main
from bawaba.core.config import Config
from bawaba.routers.models import Router
from tests.cast import Cast

Command = Callable[..., Result]


@pytest.fixture
def bawaba(cast: Cast, config: Config, acme, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, beside a server with a site."""
    monkeypatch.setenv("BAWABA_DATA_DIR", str(config.data_dir))
    monkeypatch.setenv("BAWABA_DATABASE_URL", config.sqlalchemy_url)
    return lambda *words, given="": CliRunner().invoke(main, ["router", "add", *words], input=given)


def test_a_router_is_added_with_its_guests_networks(bawaba: Command, cast: Cast):
    done = bawaba("Gateway", "--driver", "linux", "--address", "/run/x.sock", "--lan4", "10.77.0.0/24,10.78.0.0/24")

    assert done.exit_code == 0 and done.output == "router 2: Gateway\n"
    assert cast.row(Router, 2).options == {"lan4": ["10.77.0.0/24", "10.78.0.0/24"]}


def test_secrets_come_from_files_and_standard_input(bawaba: Command, cast: Cast, tmp_path):
    (tmp_path / "key").write_text("a-key-of-acme\n")
    words = ("Roof", "--driver", "acme", "--address", "10.0.0.1", "--port", "2050", "--username", "bawaba")
    done = bawaba(*words, "--option", f"faskey=@{tmp_path / 'key'}", "--option", "poll_s=7", given="pw-of-acme\n")

    assert done.exit_code == 0, done.output
    router = cast.row(Router, 2)
    assert router.options == {"poll_s": 7} and set(router.secrets_sealed) == {"faskey"} and router.password_sealed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--driver", "linux", "--address", "/run/x.sock"), "options.lan4: Field required"),
        (("--driver", "fake", "--option", "lan=1"), "options.lan: unknown option; known: lan4, lan6, traffic"),
        (("--driver", "fake", "--option", "traffic"), "traffic is not NAME=VALUE"),
        (("--driver", "fake", "--option", "fail=@/nowhere"), "/nowhere can't be read"),
        (("--driver", "acme", "--option", "faskey=12345678"), "password: Field required"),
        (("--driver", "toaster"), "fake"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_added(bawaba: Command, cast: Cast, words, said):
    done = bawaba("Gateway", *words)

    assert done.exit_code == 2 and said in done.output and "Traceback" not in done.output
    assert cast.rt.read(lambda db: list(db.scalars(select(Router.id)))) == [cast.router.id]
