"""The servers that other tests lean on are real, empty for each test, and on ports of their own."""

from __future__ import annotations

import subprocess

import pytest
import redis
from sqlalchemy import create_engine, text


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_database(database_url, turn):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE guest (id integer)"))
    engine.dispose()


def test_postgres_keeps_what_it_confirmed(postgres_url):
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW fsync")) == "on"
        assert connection.scalar(text("SHOW server_encoding")) == "UTF8"
    engine.dispose()


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_redis(redis_url, turn):
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("guest", "1")


def test_a_page_can_be_looked_at(browser):
    page = browser.new_page()
    page.set_content('<html dir="rtl"><h1>كرت</h1>')
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).direction") == "rtl"


@pytest.mark.netns
def test_a_namespace_has_a_firewall_of_its_own():
    ruleset = ["nft", "list", "ruleset"]
    try:
        subprocess.run(["ip", "netns", "add", "bawaba-house"], check=True)
        subprocess.run(
            ["ip", "netns", "exec", "bawaba-house", "nft", "add", "table", "inet", "bawaba_house"], check=True
        )
        inside = subprocess.run(
            ["ip", "netns", "exec", "bawaba-house", *ruleset], check=True, capture_output=True
        ).stdout
        outside = subprocess.run(ruleset, check=True, capture_output=True).stdout
    finally:
        subprocess.run(["ip", "netns", "delete", "bawaba-house"], check=True)
    assert b"bawaba_house" in inside
    assert b"bawaba_house" not in outside
