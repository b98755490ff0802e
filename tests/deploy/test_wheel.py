"""The wheel is the whole program: templates, static files, translations, migrations. What pipx and uv tool install."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASKED = """
import bawaba
from bawaba import wiring
from bawaba.app import create_app
from bawaba.core.config import Config
import os
rt = wiring.build(Config.from_env(os.environ))
client = create_app(rt).test_client()
page = client.get("/login?lang=ar")
assert page.status_code == 200 and "تسجيل الدخول" in page.text, page.text
from bawaba.web.pages import FILES
assert FILES.url("app.css")
wiring.stop(rt)
print(bawaba.__file__)
"""


def test_a_wheel_in_a_fresh_environment_is_all_there(tmp_path):
    def run(*command: object) -> str:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("BAWABA_", "PYTHON"))}
        environ["BAWABA_DATA_DIR"] = str(tmp_path / "data")
        done = subprocess.run(list(map(str, command)), env=environ, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    made = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    run(*made, "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("bawaba-*.whl")
    uv = Path(sys.executable).with_name("uv")
    run(uv, "venv", "--quiet", "--offline", "--python", sys.executable, tmp_path / "fresh")
    python = tmp_path / "fresh" / "bin" / "python"
    run(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel)
    (packages,) = (tmp_path / "fresh" / "lib").glob("python*/site-packages")
    (packages / "locked.pth").write_text(sysconfig.get_paths()["purelib"])  # what the lock names, without fetching it

    program = tmp_path / "fresh" / "bin" / "bawaba"
    assert "bawaba, version" in run(program, "--version")
    assert run(program, "migrate").strip() == "migrated"
    assert run(python, "-c", ASKED).strip().startswith(str(packages))
