"""The bridge between uvicorn and Flask, over real sockets."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask, Response, jsonify, request

from bawaba.web import http_protocol
from bawaba.web.bridge import WsgiBridge
from bawaba.web.proxies import Proxies
from tests.serving import Served, serving

Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a Flask app through the bridge."""
    with ExitStack() as stack:

        def start(app: Any, **options: Any) -> Served:
            bridge = WsgiBridge(app, **options)
            stack.callback(bridge.close)
            return stack.enter_context(serving(bridge))

        yield start


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    flask = Flask(__name__)

    @flask.route("/echo/<path:name>", methods=["GET", "POST"])
    def echo(name: str) -> Response:
        data = request.get_data()
        headers = {k: v for k, v in request.environ.items() if k.startswith("HTTP_")}
        return jsonify(name=name, args=request.args, body=data.decode(), length=request.content_length, headers=headers)

    @flask.route("/where")
    def where() -> Response:
        return jsonify(address=request.remote_addr, scheme=request.scheme, host=request.host, url=request.url)

    @flask.route("/nothing")
    def nothing() -> tuple[str, int]:
        return "", 204

    @flask.route("/cookies")
    def cookies() -> Response:
        answer = Response("two")
        answer.set_cookie("a", "1")
        answer.set_cookie("b", "2")
        return answer

    @flask.route("/thread")
    def thread() -> str:
        return threading.current_thread().name

    @flask.route("/file")
    def file() -> Response:
        return Response(headers={"X-Bawaba-File": str(tmp_path / "بطاقات.bin"), "Content-Disposition": "attachment"})

    @flask.route("/file-once")
    def file_once() -> Response:
        return Response(headers={"X-Bawaba-File": str(tmp_path / "once.bin"), "X-Bawaba-File-Once": "1"})

    return flask


def raw(served: Served, data: bytes, wait_s: float = 5.0) -> bytes:
    """Send bytes as they are, and read until the server closes or is silent."""
    with socket.create_connection(("127.0.0.1", served.port), wait_s) as connection:
        connection.sendall(data)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except TimeoutError:
            pass
        return answer


def test_path_query_and_body_arrive_as_they_were_sent(serve: Serve, app: Flask) -> None:
    served = serve(app)
    answer = httpx.post(f"{served.url}/echo/كرت %2F?q=a%20b&ل=م", content="٠١٢".encode()).json()

    assert answer["name"] == "كرت /"
    assert answer["args"] == {"q": "a b", "ل": "م"}
    assert (answer["body"], answer["length"]) == ("٠١٢", 6)


def test_a_body_in_chunks_arrives_whole_and_with_its_length(serve: Serve, app: Flask) -> None:
    served = serve(app)
    answer = httpx.post(f"{served.url}/echo/x", content=iter([b"a" * 70_000, b"b" * 70_000])).json()

    assert answer["length"] == 140_000
    assert answer["body"] == "a" * 70_000 + "b" * 70_000


def test_head_gets_the_length_and_no_body(serve: Serve, app: Flask) -> None:
    served = serve(app)
    answer = raw(served, b"HEAD /echo/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")

    assert b"200" in head.splitlines()[0]
    assert int(httpx.head(f"{served.url}/echo/x").headers["content-length"]) > 50
    assert body == b""


def test_no_content_has_neither_body_nor_length(serve: Serve, app: Flask) -> None:
    answer = httpx.get(f"{serve(app).url}/nothing")
    assert answer.status_code == 204
    assert "content-length" not in answer.headers
    assert "transfer-encoding" not in answer.headers


def test_two_cookies_stay_two(serve: Serve, app: Flask) -> None:
    answer = httpx.get(f"{serve(app).url}/cookies")
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    assert answer.headers["content-length"] == "3"


def test_a_header_with_an_underscore_cannot_pose_as_another(serve: Serve, app: Flask) -> None:
    answer = raw(
        serve(app),
        b"GET /echo/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX_Role: admin\r\nX-Role: guest\r\n"
        b"X-More: 1\r\nX-More: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n",
    )
    assert b'"HTTP_X_ROLE":"guest"' in answer
    assert b'"HTTP_X_MORE":"1,2"' in answer
    assert b'"HTTP_COOKIE":"a=1; b=2"' in answer


def test_who_the_client_is_only_a_trusted_proxy_may_say(serve: Serve, app: Flask) -> None:
    said = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "wifi.example"}
    stranger, proxied = serve(app), serve(app, proxies=Proxies(["127.0.0.0/8"]))

    ignored = httpx.get(f"{stranger.url}/where", headers=said).json()
    believed = httpx.get(f"{proxied.url}/where", headers=said).json()

    assert (ignored["address"], ignored["scheme"]) == ("127.0.0.1", "http")
    assert ignored["host"] == f"127.0.0.1:{stranger.port}"
    assert believed == {
        "address": "203.0.113.7",  # the last hop that is no proxy of ours; what it says of others proves nothing
        "scheme": "https",
        "host": "wifi.example",
        "url": "https://wifi.example/where",
    }


def test_a_chain_of_our_own_proxies_is_walked_to_its_end(serve: Serve, app: Flask) -> None:
    served = serve(app, proxies=Proxies(["127.0.0.1", "10.0.0.0/8"]))
    said = {"X-Forwarded-For": "198.51.100.4, 203.0.113.7, 10.0.0.2, 10.0.0.3:4711"}
    assert httpx.get(f"{served.url}/where", headers=said).json()["address"] == "203.0.113.7"


@pytest.mark.parametrize("nonsense", ["x<script>", "a b", "evil.example/path", "a,b c"])
def test_a_proxy_s_nonsense_is_not_taken(serve: Serve, app: Flask, nonsense: str) -> None:
    served = serve(app, proxies=Proxies(["127.0.0.1"]))
    said = {"X-Forwarded-Host": nonsense, "X-Forwarded-Proto": "gopher", "X-Forwarded-For": "not-an-address"}
    answer = httpx.get(f"{served.url}/where", headers=said).json()
    assert (answer["address"], answer["scheme"]) == ("127.0.0.1", "http")
    assert answer["host"] == f"127.0.0.1:{served.port}"


def test_a_body_over_the_limit_is_refused_in_the_api_s_words(serve: Serve, app: Flask) -> None:
    served = serve(app, max_body=1000, body_limits={"/echo/big": 5000})
    headers = {"X-Request-ID": "abc-1", "Accept-Language": "ar"}

    told = httpx.post(f"{served.url}/echo/x", content=b"a" * 1001, headers=headers)
    counted = httpx.post(f"{served.url}/echo/x", content=iter([b"a" * 600, b"a" * 600]), headers=headers)

    for answer in (told, counted):
        assert answer.status_code == 413
        assert answer.json()["error"] == "too_large"
        assert answer.json()["request_id"] == answer.headers["x-request-id"] == "abc-1"
    assert httpx.post(f"{served.url}/echo/x", content=b"a" * 1000).status_code == 200
    assert httpx.post(f"{served.url}/echo/big", content=b"a" * 5000).status_code == 200


def test_a_body_over_the_limit_is_not_read_on(serve: Serve, app: Flask) -> None:
    served = serve(app, max_body=1000)
    with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
        connection.sendall(b"POST /echo/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        answer = connection.recv(65536)  # it came although nothing of the body was sent
        assert b" 413 " in answer.splitlines()[0]
        assert b"connection: close" in answer
        while connection.recv(65536):
            pass  # and the connection ends by itself


def test_a_body_without_end_is_refused_before_its_end(serve: Serve, app: Flask) -> None:
    served = serve(app, max_body=1000)
    with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
        connection.sendall(b"POST /echo/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(2):
            connection.sendall(b"258\r\n" + b"a" * 600 + b"\r\n")
        assert b" 413 " in connection.recv(65536).splitlines()[0]


def test_a_client_that_sends_its_body_too_slowly_is_let_go(
    serve: Serve, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bawaba.web.bridge.BODY_DEADLINE_S", 0.2)
    answer = raw(serve(app), b"POST /echo/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    assert b" 408 " in answer.splitlines()[0]


def test_more_waiting_requests_than_may_wait_are_told_at_once(serve: Serve) -> None:
    go = threading.Event()
    running = threading.Semaphore(0)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        running.release()
        go.wait(10)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    served = serve(app, threads=2, queue_limit=3)
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(httpx.get(served.url, timeout=10))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert running.acquire(timeout=5)
    assert running.acquire(timeout=5)
    time.sleep(0.3)  # the other three are waiting by now

    refused = httpx.get(served.url, timeout=5)
    go.set()
    for thread in threads:
        thread.join()

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"] == "overloaded"
    assert [answer.text for answer in answers] == ["done"] * 5
    assert httpx.get(served.url).text == "done"


def test_what_takes_long_leaves_the_threads_to_others(serve: Serve) -> None:
    release, started = threading.Event(), threading.Semaphore(0)
    app = Flask(__name__)

    @app.get("/quick")
    def quick() -> str:
        return threading.current_thread().name

    @app.get("/sheets/<int:number>.pdf")
    def sheet(number: int) -> str:
        started.release()
        release.wait(20)
        return threading.current_thread().name

    served = serve(app, threads=2, slow_endings=(".pdf",))
    with ThreadPoolExecutor(12) as people:
        sheets = [people.submit(httpx.get, f"{served.url}/sheets/{n}.pdf", timeout=30) for n in range(12)]
        assert all(started.acquire(timeout=10) for _ in range(4))
        answers = [httpx.get(f"{served.url}/quick", timeout=5).text for _ in range(3)]
        release.set()

    assert all(name.startswith("web-") for name in answers)
    assert {sheet.result().text.partition("-")[0] for sheet in sheets} == {"slow"}


def test_who_left_while_waiting_is_not_served(serve: Serve) -> None:
    go, seen = threading.Event(), []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/first":
            go.wait(10)
        start_response("200 OK", [])
        return [b"done"]

    served = serve(app, threads=1)
    first = socket.create_connection(("127.0.0.1", served.port), 5)
    first.sendall(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.2)
    with socket.create_connection(("127.0.0.1", served.port), 5) as second:
        second.sendall(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
    time.sleep(0.2)
    first.close()  # leaves while it is being served: nothing breaks
    go.set()

    assert httpx.get(f"{served.url}/third").text == "done"
    assert seen == ["/first", "/third"]


def test_an_app_that_breaks_is_a_500_in_the_api_s_words(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise RuntimeError("no")

    answer = httpx.get(serve(app).url)
    assert answer.status_code == 500
    assert answer.json()["error"] == "internal"


def test_an_app_may_write_and_is_closed(serve: Serve) -> None:
    closed = threading.Event()

    class Parts(list[bytes]):
        def close(self) -> None:
            closed.set()

    def app(environ: dict[str, Any], start_response: Any) -> Parts:
        start_response("200 OK", [("Content-Length", "99")])(b"written ")
        return Parts([b"and ", b"returned"])

    answer = httpx.get(serve(app).url)
    assert answer.text == "written and returned"
    assert answer.headers["content-length"] == "20"
    assert closed.is_set()


def test_few_callers_keep_to_one_thread(serve: Serve, app: Flask) -> None:
    served = serve(app)
    with httpx.Client() as client:
        assert {client.get(f"{served.url}/thread").text for _ in range(20)} == {"web-1"}


def test_a_file_goes_round_the_threads(serve: Serve, app: Flask, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096 * 40  # 40 MiB, more than the sockets can hold
    (tmp_path / "بطاقات.bin").write_bytes(data)
    served = serve(app, threads=1)

    with httpx.stream("GET", f"{served.url}/file") as answer:
        assert answer.headers["content-length"] == str(len(data))
        assert "x-bawaba-file" not in answer.headers
        assert answer.headers["content-disposition"] == "attachment"
        assert httpx.get(f"{served.url}/thread", timeout=5).text == "web-1"  # the one thread is free meanwhile
        assert b"".join(answer.iter_bytes()) == data


def test_a_file_meant_once_is_gone_after_it(serve: Serve, app: Flask, tmp_path: Path) -> None:
    (tmp_path / "once.bin").write_bytes(b"x" * 1000)
    served = serve(app)
    assert httpx.get(f"{served.url}/file-once").content == b"x" * 1000
    assert not (tmp_path / "once.bin").exists()
    assert httpx.get(f"{served.url}/file-once").status_code == 500


def test_head_of_a_file_is_its_length(serve: Serve, app: Flask, tmp_path: Path) -> None:
    (tmp_path / "بطاقات.bin").write_bytes(b"x" * 1000)
    answer = httpx.head(f"{serve(app).url}/file")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "1000", b"")


def test_a_guest_cannot_name_a_file(serve: Serve, app: Flask) -> None:
    answer = httpx.get(f"{serve(app).url}/echo/x", headers={"X-Bawaba-File": "/etc/hostname"})
    assert answer.json()["name"] == "x"


def test_a_client_that_leaves_in_the_middle_of_a_file_is_noticed(serve: Serve, app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "بطاقات.bin"
    path.touch()
    os.truncate(path, 1 << 40)  # no disk is used, and nobody could read it to its end
    served = serve(app)
    with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
        connection.sendall(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.recv(1000)
        assert served.connections == 1
    deadline = time.monotonic() + 5
    while (served.connections or served.server.server_state.tasks) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not served.server.server_state.tasks


def test_headers_without_end_are_cut(serve: Serve, app: Flask) -> None:
    answer = raw(serve(app), b"GET /where HTTP/1.1\r\nHost: a\r\n" + b"X-A: " + b"b" * 60_000)
    assert b" 400 " in answer.splitlines()[0]


def test_a_silent_connection_is_not_kept(serve: Serve, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_DEADLINE_S", 0.2)
    served = serve(app)
    with socket.create_connection(("127.0.0.1", served.port), 5) as silent:
        assert _ends(silent)
    with socket.create_connection(("127.0.0.1", served.port), 5) as slow:
        slow.sendall(b"GET /where HTTP/1.1\r\nHost:")
        assert _ends(slow)
    with socket.create_connection(("127.0.0.1", served.port), 5) as kept:
        for _ in range(3):
            kept.sendall(b"GET /where HTTP/1.1\r\nHost: a\r\n\r\n")
            assert kept.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(0.3)  # between requests uvicorn's own, longer deadline holds


def _ends(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_who_came_in_just_before_the_end_is_still_answered(serve: Serve, app: Flask) -> None:
    served = serve(app)
    with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
        while not served.connections:
            time.sleep(0.005)
        served.server.should_exit = True
        while served.server.servers[0].sockets:  # until it takes nobody new
            time.sleep(0.005)
        connection.sendall(b"GET /echo/late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
