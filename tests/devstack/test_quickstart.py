"""The whole product, started by one command."""

import itertools
import json
import os
import re
import shlex
import signal
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from devstack import process
from devstack.ports import free_port
from devstack.probe import answers_ok
from devstack.product import ROOT
from tests.devstack.observation import children_of, has_ended
from tests.waiting import wait_until

COMMAND = [sys.executable, "-m", "devstack", "quickstart"]


@dataclass
class Quickstart:
    """A run of the command in a folder: its data is in `data` there, its output in `output`."""

    folder: Path
    port: int
    process: process.Process

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def access(self) -> dict[str, str]:
        return dict(json.loads((self.folder / "data/quickstart.json").read_text()))

    def wait_until_ready(self) -> None:
        wait_until(lambda: "Paste any of these" in self.output or self.process.poll() is not None)
        assert self.process.poll() is None, self.output

    def is_serving(self) -> bool:
        return answers_ok(f"http://127.0.0.1:{self.port}/readyz")

    def client(self) -> httpx.Client:
        access = self.access
        return httpx.Client(base_url=access["base_url"], headers={"X-API-Key": access["api_key"]}, timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def launch(folder: Path, port: int, command: list[str] = COMMAND, **settings: str) -> Quickstart:
    """Start the command as an operator does who has set these settings, and none of any other vendor."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LLM_", "REPLICATE_"))}
    (folder / "output").unlink(missing_ok=True)  # of an earlier run
    started = process.spawn(
        command,
        env={**environ, "PYTHONPATH": str(ROOT), "DATA_DIR": "data", "PORT": str(port), **settings},
        log=folder / "output",
        death_signal=signal.SIGTERM,
        cwd=folder,  # a folder without a developer's .env
    )
    return Quickstart(folder, port, started)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstart]:
    quickstart = launch(tmp_path_factory.mktemp("quickstart"), free_port())
    quickstart.wait_until_ready()
    yield quickstart
    quickstart.process.terminate()
    quickstart.process.wait()


def request_of(line: str) -> httpx.Request:
    """The request that a printed curl command makes."""
    words = shlex.split(line)
    options = list(itertools.pairwise(words))
    headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
    body = next((value for name, value in options if name == "-d"), None)
    url = next(word for word in words if word.startswith("http"))
    return httpx.Request("POST" if body else "GET", url, headers=headers, content=body)


def ask(client: httpx.Client, words: str) -> httpx.Response:
    """Send one message to the orchestrator."""
    return client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": words}]})


def test_the_access_file_holds_working_credentials(running: Quickstart) -> None:
    path = running.folder / "data/quickstart.json"
    origin = f"http://127.0.0.1:{running.port}"

    with running.client() as client:
        credits_left = client.get("/credits")

    assert credits_left.status_code == 200
    assert list(running.access) == [
        "base_url",
        "openai_base_url",
        "console_url",
        "api_key",
        "admin_email",
        "admin_password",
    ]
    assert running.access["base_url"] == f"{origin}/api/external"
    assert running.access["openai_base_url"] == f"{origin}/api/external/v1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_console_opens_with_what_is_printed(running: Quickstart) -> None:
    printed = re.search(r"Console +(\S+) +sign in as (\S+) with the password (\w+),", running.output)
    assert printed
    console, email, password = printed.groups()

    with httpx.Client(timeout=60) as client:
        page = client.get(f"{console}/sign-in").text
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": csrf, "email": email, "password": password}
        signed_in = client.post(f"{console}/sign-in", data=form, follow_redirects=True)
        system = client.get(f"{console}/system")

    assert console == running.access["console_url"]
    assert signed_in.status_code == 200
    assert "Demo" in signed_in.text
    assert system.status_code == 200  # the demo's owner runs the server


def test_api_and_worker_sign_in_to_postgres_as_no_superuser(running: Quickstart) -> None:
    environments = [Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in children_of(running.process.pid)]
    urls = {
        value.removeprefix(b"DATABASE_URL=").partition(b":")[2].partition(b":")[0]
        for environment in environments
        for value in environment
        if value.startswith(b"DATABASE_URL=")
    }

    assert urls == {b"//junis"}


def test_other_accounts_cannot_read_what_it_writes(running: Quickstart) -> None:
    data = running.folder / "data"

    open_to_others = [path for path in (data, *data.rglob("*")) if path.lstat().st_mode & 0o077]

    assert [path for path in open_to_others if not path.is_symlink()] == []


def test_the_printed_commands_work_as_they_are(running: Quickstart) -> None:
    lines = [line for line in running.output.splitlines() if line.strip().startswith("curl ")]

    with httpx.Client(timeout=60) as client:
        chat, content, credits_left = [client.send(request_of(line)) for line in lines]

    assert [chat.status_code, content.status_code, credits_left.status_code] == [200, 200, 200]
    assert [item["prompt"] for item in content.json()["items"]] == ["Draw a lighthouse at dusk"]
    assert credits_left.json()["available"] < 100


def test_a_requested_picture_is_generated(running: Quickstart) -> None:
    with running.client() as client:
        content_id = ask(client, "Paint a heron in the reeds").json()["generated_content"][0]["id"]
        wait_until(lambda: client.get(f"/content/{content_id}").json()["status"] == "completed")
        picture = client.get(client.get(f"/content/{content_id}").json()["storage_url"])

    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


def test_every_killed_process_is_started_again(running: Quickstart) -> None:
    killed = children_of(running.process.pid)
    assert len(killed) == 5  # Postgres, Valkey, simulator, API, worker

    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    wait_until(lambda: all(has_ended(pid) for pid in killed))
    wait_until(lambda: len(children_of(running.process.pid)) == 5 and running.is_serving())
    with running.client() as client:
        wait_until(lambda: ask(client, "Draw the morning after").status_code == 200)  # the simulator has to start too
        (content,) = client.get("/content", params={"page_size": 1}).json()["items"]
        assert content["prompt"] == "Draw the morning after"
        wait_until(lambda: client.get(f"/content/{content['id']}").json()["status"] == "completed")


def test_a_start_after_a_kill_keeps_all_data(tmp_path: Path) -> None:
    first = launch(tmp_path, free_port())
    first.wait_until_ready()
    api_key, children = first.access["api_key"], children_of(first.process.pid)

    first.kill()
    second = launch(tmp_path, first.port)
    second.wait_until_ready()

    assert all(has_ended(pid) for pid in children)
    assert second.access["api_key"] == api_key
    with second.client() as client:
        assert client.get("/credits").status_code == 200
    children = children_of(second.process.pid)
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        second.process.send_signal(how)
    assert second.process.wait() == 0
    assert all(has_ended(pid) for pid in children)
    assert second.output.rstrip().endswith("Stopped")


def test_if_the_parent_is_killed_everything_shuts_down_cleanly(tmp_path: Path) -> None:
    """As when `make` is killed: no process is left that could stop the quickstart."""
    command = f"{shlex.join(COMMAND)} --die-with-parent & wait"
    parent = launch(tmp_path, free_port(), ["sh", "-c", command])
    wait_until(lambda: "Postgres and Valkey ready" in parent.output)
    (supervisor,) = children_of(parent.process.pid)
    children = children_of(supervisor)

    parent.kill()

    wait_until(lambda: has_ended(supervisor))
    assert all(has_ended(pid) for pid in children)
    assert parent.output.rstrip().endswith("Stopped")
