"""What a user is told about the chat model once all is up."""

from dataclasses import replace
from pathlib import Path

import pytest

from devstack.banner import render_banner
from devstack.chat_model import ChatModel
from devstack.config import Config
from devstack.credentials import Credentials
from devstack.vendors import Vendors, choose_vendors

CREDENTIALS = Credentials("jns_live_key", "admin@example.com", "password")
REAL = choose_vendors({"LLM_BASE_URL": "http://127.0.0.1:11434/v1"}, "127.0.0.1:9")
ANSWERS = ChatModel(model="llama3.2", is_near=True, note="", problem="", mend="", price=(0, 0), was_made_free=True)
COMMAND = ".data/junis catalog price llama3.2 --prompt … --completion …"


def banner(chat_model: ChatModel | None, vendors: Vendors = REAL) -> str:
    config = Config(host="127.0.0.1", port=8000, data_dir=Path(".data").resolve(), environ={})
    return render_banner(config, vendors, CREDENTIALS, chat_model)


def test_a_simulated_model_is_ready() -> None:
    text = banner(None, choose_vendors({}, "127.0.0.1:9"))

    assert text.startswith("Ready. Paste any of these:")
    assert "Chat model  simulated: no model is run" in text


def test_it_says_how_to_sign_in_to_the_console() -> None:
    assert "Console     http://127.0.0.1:8000/admin   sign in as admin@example.com with the password password," in (
        banner(ANSWERS)
    )


def test_a_model_that_was_made_free_is_told_with_the_line_that_sets_a_price() -> None:
    text = banner(ANSWERS)

    assert text.startswith("Ready. Paste any of these:")
    assert "Chat model  real: llama3.2 at http://127.0.0.1:11434/v1\n            it answers\n" in text
    assert "price 0, as it is on this machine or in a private network" in text
    assert COMMAND in text


def test_a_model_without_a_price_is_told_with_the_line_that_mends_it() -> None:
    text = banner(replace(ANSWERS, is_near=False, price=None, was_made_free=False))

    assert text.startswith("Ready, but nobody can chat yet")
    assert "NO PRICE, so chat is refused until you set one" in text
    assert "(0, if it is free)" in text
    assert COMMAND in text


def test_a_model_with_a_price_needs_no_line() -> None:
    text = banner(replace(ANSWERS, price=(0.15, 0.6), was_made_free=False))

    assert "price: 0.15 credits for a million tokens of prompts, 0.6 of answers" in text
    assert COMMAND not in text


def test_a_model_that_does_not_answer_is_told_with_what_mends_it() -> None:
    text = banner(replace(ANSWERS, problem="nobody listens", mend="start it", note="the first one"))

    assert text.startswith("Ready, but nobody can chat yet")
    assert "IT DOES NOT ANSWER: nobody listens" in text
    assert "To mend it: start it" in text
    assert "the first one" in text


def test_a_near_model_that_is_not_there_needs_no_price() -> None:
    text = banner(replace(ANSWERS, problem="no such model", mend="set LLM_MODEL", price=None, was_made_free=False))

    assert "To mend it: set LLM_MODEL" in text
    assert "NO PRICE" not in text


def test_a_model_that_could_not_be_tried_is_told() -> None:
    assert "It could not be tried: see logs/demo-model.log" in banner(None)


@pytest.mark.parametrize("price", ["null", "[0, 0.25]"])
def test_what_the_command_prints_is_read(price: str) -> None:
    found = ChatModel.from_json(
        '{"model": "m", "is_near": true, "note": "n", "problem": "p", "mend": "d", "was_made_free": false,'
        f' "price": {price}, "added_later": 1}}'
    )

    assert (found.model, found.note, found.problem, found.mend) == ("m", "n", "p", "d")
    assert found.price == (None if price == "null" else (0.0, 0.25))
