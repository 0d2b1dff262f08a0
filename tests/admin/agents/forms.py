"""The form of an agent as a browser sends it, and what the pages of agents say."""

import re
from html import unescape
from typing import Any

import httpx

from tests.admin.conftest import Browser
from tests.agents.definitions import agent, container

LONG_NAME = "a" * 63 + "z"


TEAM = (
    {"name": "host", "is_orchestrator": True, "model": "sim-chat", "sub_agents": ["crew", "writer"]},
    container("SEQUENTIAL", "writer", "editor", name="crew"),
    agent("writer", model="sim-chat", output_key="draft", instruction="Write.\nShort."),
    agent("editor", model="sim-chat", instruction="Edit {draft} and {nothing}.", sub_agents=[]),
    agent(LONG_NAME, model="sim-chat", is_active=False),
    agent("new", model="sim-chat"),
)


WORDS = re.compile(r"<[^>]*>|\s+")


def words_of(page: httpx.Response) -> str:
    """What a page says, without its markup."""
    return " ".join(WORDS.sub(" ", unescape(page.text)).split())


def errors_of(page: httpx.Response) -> dict[str, str]:
    """The refusals that stand beside the fields, by field."""
    found = re.findall(r'<p class="msg" id="([^"]+)-e"><svg.*?</svg>(.*?)</p>', page.text, re.DOTALL)
    return {name: unescape(text) for name, text in found}


def form_in(page: httpx.Response) -> dict[str, Any]:
    """What a browser would send of the page's form of an agent, as it stands."""
    (form,) = re.findall(r'<form class="form agent".*?</form>', page.text, re.DOTALL)
    fields: dict[str, Any] = {}
    for tag in re.findall(r"<input [^>]*>", form):
        name, value = (re.search(rf' {key}="([^"]*)"', tag) for key in ("name", "value"))
        if name and "disabled" not in tag and ("checkbox" not in tag or " checked" in tag):
            fields.setdefault(name[1], []).append(unescape(value[1] if value else ""))
    for name, options in re.findall(r'<select id="[^"]*" name="([^"]*)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected>', options)
        fields[name] = unescape(chosen[1]) if chosen else ""
    for name, text in re.findall(r'<textarea id="[^"]*" name="([^"]*)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL):
        fields[name] = unescape(text)
    return fields


async def submit(browser: Browser, path: str, **values: Any) -> httpx.Response:
    """Change some fields of the form of an agent and send it."""
    form = form_in(await browser.get(path)) | values
    return await browser.submit(path, **{name: value for name, value in form.items() if value is not None})
