"""Sentences survive any way of cutting them up, and nonsense is said to be that."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bawaba.routers.driver import RouterProtocolError
from bawaba.routers.drivers.routeros.wire import Sentences, encoded, text_of

WORDS = st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("size", "prefix"),
    [(1, "01"), (0x7F, "7f"), (0x80, "8080"), (0x3FFF, "bfff"), (0x4000, "c04000"), (0x100000, "d00000")],
)
def test_lengths_are_written_as_the_manual_says(size, prefix):
    assert encoded(["x" * size]).hex().startswith(prefix + "78")
    assert Sentences().feed(encoded(["x" * size])) == [["x" * size]]


@given(st.lists(WORDS, max_size=5), st.integers(1, 9))
def test_sentences_come_whole_however_they_are_cut(sentences, size):
    sent = b"".join(map(encoded, sentences))
    reader, came = Sentences(), []
    for start in range(0, len(sent), size):
        came += reader.feed(sent[start : start + size])
    assert [[text_of(word) for word in sentence] for sentence in came] == sentences


def test_arabic_is_read_and_what_is_no_utf8_does_no_harm():
    assert text_of("كرت".encode().decode("latin-1")) == "كرت"
    assert text_of("caf\xe9") == "caf�"


@pytest.mark.parametrize("nonsense", [b"\xf8", b"\xff\x00", b"\xf0\xff\xff\xff\xff", b"\xef\xff\xff\xff"])
def test_a_control_byte_or_a_word_without_end_is_nonsense(nonsense):
    with pytest.raises(RouterProtocolError):
        Sentences().feed(nonsense)


@given(st.binary(max_size=200))
def test_any_bytes_are_sentences_or_nonsense(data):
    with contextlib.suppress(RouterProtocolError):
        Sentences().feed(data)
