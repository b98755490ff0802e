"""Carrying a message to real servers, and to none that lies inside."""

from __future__ import annotations

import email
import email.policy
import subprocess
import sys

import pytest

from bawaba.notifications import courier
from bawaba.notifications.courier import BAD_URL, NOT_TAKEN, PRIVATE_HOST, SENT, TIMED_OUT, Message
from bawaba.notifications.rules import is_public
from tests.services import free_port

HELLO = Message("Router Roof does not answer", "14 guests wait.")


def carry(url: str, **more: object) -> str:
    return courier.carry(url, HELLO, "critical", allow_private=bool(more.get("allow_private", True)))


def test_a_webhook_gets_the_message(hook):
    assert carry(hook.url) == SENT
    (taken,) = hook.taken
    assert (taken["title"], taken["message"], taken["type"]) == (HELLO.title, HELLO.body, "failure")


def test_a_letter_in_arabic_arrives_by_mail(letterbox):
    words = Message("الراوتر لا يجيب", "14 ضيفًا ينتظرون")
    url = f"mailto://127.0.0.1:{letterbox.port}?from=bawaba@cafe.example&to=owner@cafe.example"
    assert courier.carry(url, words, "critical", allow_private=True) == SENT
    (letter,) = letterbox.letters
    parsed = email.message_from_string(letter, policy=email.policy.default)
    assert parsed["Subject"] == words.title
    body = parsed.get_body(("html", "plain"))
    assert body is not None and "ضيف" in body.get_content()


def test_who_does_not_take_it_is_known(hook):
    hook.status = 500
    assert carry(hook.url) == NOT_TAKEN
    assert carry(f"json://127.0.0.1:{free_port()}/") == NOT_TAKEN


def test_an_address_inside_is_not_spoken_to_unless_that_is_allowed(hook):
    assert carry(hook.url, allow_private=False) == PRIVATE_HOST
    assert carry(hook.url.replace("127.0.0.1", "localhost"), allow_private=False) == PRIVATE_HOST
    assert hook.taken == []


def test_no_connection_of_that_process_leads_inside_whatever_led_to_it(hook):
    script = (
        "import sys; from bawaba.notifications.courier import Guard, PRIVATE_HOST; import socket\n"
        "guard = Guard(); guard.on = True; sys.addaudithook(guard.watch)\n"
        "try:\n    socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "except PermissionError:\n    print(guard.refused)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(hook.port)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_who_takes_too_long_is_left():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"json://127.0.0.1:{silent.getsockname()[1]}/?rto=60"
        assert courier.carry(url, HELLO, "info", allow_private=True, deadline_s=3.0) == TIMED_OUT


def test_what_would_speak_to_the_servers_own_desktop_or_is_no_address_is_refused():
    for url in ("syslog://", "dbus://", "nonsense://x", "json://"):
        assert courier.check(url) == BAD_URL, url
    assert courier.check("json://hooks.example.org/x") == SENT


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("router.example", False),
    ],
)
def test_what_is_out_on_the_internet(address: str, public: bool):
    assert is_public(address) is public
