"""Static files over real HTTP."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bawaba.web.static_files import StaticFiles
from tests.serving import Served, serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "static"
    (folder / "fonts").mkdir(parents=True)
    (folder / "page.css").write_text("body { color: black }\n" * 100)
    (folder / "small.js").write_text("1")
    (folder / "fonts" / "plex.woff2").write_bytes(os.urandom(5000))
    (folder / ".hidden").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


@pytest.fixture
def files(folder: Path) -> StaticFiles:
    return StaticFiles(folder)


@pytest.fixture
def served(files: StaticFiles) -> Iterator[Served]:
    with serving(files, lifespan="off") as served:
        yield served


def test_a_file_comes_zipped_with_its_type(served: Served, folder: Path) -> None:
    answer = httpx.get(f"{served.url}/static/page.css")
    assert answer.text == (folder / "page.css").read_text()
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 200
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_who_cannot_unzip_gets_it_plain(served: Served, folder: Path) -> None:
    answer = httpx.get(f"{served.url}/static/page.css", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.content == (folder / "page.css").read_bytes()


def test_a_font_in_a_folder_is_not_zipped_again(served: Served, folder: Path) -> None:
    answer = httpx.get(f"{served.url}/static/fonts/plex.woff2")
    assert answer.content == (folder / "fonts" / "plex.woff2").read_bytes()
    assert answer.headers["content-type"] == "font/woff2"
    assert "content-encoding" not in answer.headers


def test_the_versioned_address_may_be_kept_for_a_year(served: Served, files: StaticFiles) -> None:
    versioned = httpx.get(served.url + files.url("page.css"))
    plain = httpx.get(f"{served.url}/static/page.css")
    old = httpx.get(f"{served.url}/static/page.css?v=0000")
    assert "immutable" in versioned.headers["cache-control"]
    assert plain.headers["cache-control"] == old.headers["cache-control"] == "no-cache"


def test_an_unchanged_file_is_not_sent_again(served: Served) -> None:
    etag = httpx.get(f"{served.url}/static/page.css").headers["etag"]
    again = httpx.get(f"{served.url}/static/page.css", headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    assert httpx.get(f"{served.url}/static/page.css", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_changed_file_is_seen_and_its_address_changes(served: Served, files: StaticFiles, folder: Path) -> None:
    before = files.url("small.js")
    (folder / "small.js").write_text("2")
    os.utime(folder / "small.js", ns=(1, 1))
    assert httpx.get(f"{served.url}/static/small.js").text == "2"
    assert files.url("small.js") != before


def test_a_removed_file_is_gone(served: Served, folder: Path) -> None:
    assert httpx.get(f"{served.url}/static/small.js").status_code == 200
    (folder / "small.js").unlink()
    assert httpx.get(f"{served.url}/static/small.js").status_code == 404


def test_head_has_the_length_and_post_is_refused(served: Served) -> None:
    head = httpx.head(f"{served.url}/static/small.js")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "1", b"")
    assert httpx.post(f"{served.url}/static/small.js").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret.txt",
        "/static/fonts/../../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/..%5csecret.txt",
        "/static//etc/hostname",
        "/static/%2fetc/hostname",
        "/static/.hidden",
        "/static/link.txt",
        "/static/page.css%00.txt",
        "/static/fonts",
        "/static/fonts/",
        "/static/",
        "/static/nothing.css",
        "/static/" + "a" * 5000,
    ],
)
def test_nothing_outside_the_folder_can_be_named(served: Served, path: str) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 5) as connection:  # a client library would tidy the path
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = connection.recv(65536)
    assert b" 404 " in answer.splitlines()[0]
    assert b"secret" not in answer


def test_a_name_that_is_not_there_has_no_address(files: StaticFiles) -> None:
    with pytest.raises(FileNotFoundError):
        files.url("nothing.css")
