"""The locks hold what pyproject.toml asks for, with hashes, and name no host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
RUNNING = PROJECT["project"]["dependencies"] + GROUPS["build"]
DEVELOPING = RUNNING + [line for line in GROUPS["dev"] if isinstance(line, str)]


def locked(name: str) -> dict[str, list[Version]]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
    versions: dict[str, list[Version]] = {}
    for package, version in pins:
        versions.setdefault(canonicalize_name(package), []).append(Version(version))
    return versions


@pytest.mark.parametrize(("lock", "wanted"), [("requirements.lock", RUNNING), ("requirements-dev.lock", DEVELOPING)])
def test_a_lock_holds_what_the_project_asks_for(lock, wanted):
    pins = locked(lock)
    asked = [Requirement(line) for line in wanted]

    not_held = [
        str(one)
        for one in asked
        if not any(one.specifier.contains(pin) for pin in pins.get(canonicalize_name(one.name), []))
    ]
    assert not_held == [], "make lock"


def test_developing_happens_with_the_versions_that_run():
    developing = locked("requirements-dev.lock")

    assert {name: pins for name, pins in locked("requirements.lock").items() if developing.get(name) != pins} == {}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_hashes_and_names_no_host(lock):
    text = (ROOT / lock).read_text()

    assert text.count("\n    --hash=sha256:") >= len(re.findall("^[^ #]", text, re.MULTILINE))
    assert "://" not in text
