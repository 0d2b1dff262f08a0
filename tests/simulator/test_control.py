"""The simulator's own controls, and the program."""

import json
import signal
from pathlib import Path

import httpx
import pytest

from devstack import product
from devstack.ports import free_port
from simulator.config import SimulatorConfig
from simulator.faults.chat import ChatFault
from simulator.faults.counter import OccurrenceCounter
from simulator.faults.prediction import PredictionFault
from tests.simulator.server import RunningSimulator
from tests.waiting import PATIENCE


def test_health_shows_the_seed(simulator: RunningSimulator) -> None:
    health = simulator.http.get("/_sim/health").json()

    assert (health["status"], health["seed"], health["predictions"]) == ("ok", 1, 0)


def test_the_log_is_numbered_and_can_be_read_in_parts(simulator: RunningSimulator) -> None:
    for _ in range(3):
        simulator.create("simulator/json", webhook="http://127.0.0.1:9/", webhook_events_filter=["start"])
    entries = simulator.log("prediction")

    later = simulator.log("prediction", since=entries[0]["seq"])
    everything = simulator.http.get("/_sim/log").json()["entries"]

    assert later == entries[1:]
    assert [entry["model"] for entry in entries] == ["simulator/json"] * 3
    assert entries[0]["webhook"] == "http://127.0.0.1:9/"
    assert [entry["seq"] for entry in everything] == sorted(entry["seq"] for entry in everything)
    assert simulator.http.get("/_sim/log", params={"kind": "gossip"}).status_code == 400
    assert simulator.http.get("/_sim/log", params={"since": "yesterday"}).status_code == 400


def test_all_predictions_can_be_listed(simulator: RunningSimulator) -> None:
    ids = [simulator.create("simulator/json").json()["id"] for _ in range(3)]

    predictions = simulator.http.get("/_sim/predictions").json()["predictions"]

    assert [prediction["id"] for prediction in predictions] == ids


def test_reset_forgets_everything(simulator: RunningSimulator) -> None:
    simulator.order("fail")
    simulator.create("simulator/image--create-429")
    simulator.skip(1000)
    simulator.http.post("/_sim/reset")

    again = [simulator.create("simulator/image--create-429").status_code for _ in range(3)]

    assert again == [429, 429, 201]
    assert len(simulator.log("prediction")) == 3
    assert simulator.run("simulator/json")["status"] == "succeeded"


def test_faults_are_listed_and_rules_can_be_removed(simulator: RunningSimulator) -> None:
    simulator.order("fail", times=2, model="simulator/json")
    listed = simulator.http.get("/_sim/faults").json()
    simulator.http.delete("/_sim/faults")

    assert listed["prediction"] == list(PredictionFault)
    assert listed["chat"] == list(ChatFault)
    assert [(rule["fault"], rule["times"]) for rule in listed["rules"]] == [("fail", 2)]
    assert simulator.http.get("/_sim/faults").json()["rules"] == []
    assert simulator.run("simulator/json")["status"] == "succeeded"


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'["fail"]',
        b'[{"fault": "unheard-of"}]',
        b'[{"fault": "fail", "when": "now"}]',
        b'[{"fault": "fail", "match": {"prompt": "a boat"}}]',
        b'[{"fault": "fail", "times": "twice"}]',
    ],
)
def test_bad_rules_are_refused(simulator: RunningSimulator, content: bytes) -> None:
    assert simulator.http.post("/_sim/faults", content=content).status_code == 400


def test_a_token_that_was_revoked_is_refused_by_both_vendors_until_the_reset(simulator: RunningSimulator) -> None:
    def statuses() -> list[int]:
        headers = {"Authorization": "Bearer somebodys"}
        paths = ("/replicate/v1/account", "/openai/v1/models")
        return [simulator.http.get(path, headers=headers).status_code for path in paths]

    before = statuses()
    simulator.http.post("/_sim/revoked", json={"token": "somebodys"}).raise_for_status()
    revoked = statuses()
    simulator.http.post("/_sim/reset")

    assert (before, revoked, statuses()) == ([200, 200], [401, 401], [200, 200])
    assert simulator.http.post("/_sim/revoked", content=b"{}").status_code == 400


def test_bad_skips_are_refused(simulator: RunningSimulator) -> None:
    assert simulator.http.post("/_sim/clock", content=b'{"skip": "long"}').status_code == 400
    assert simulator.http.post("/_sim/clock", content=b"{}").status_code == 400


@pytest.mark.parametrize(
    "options", [{"speed": 0.0}, {"fault_rate": 1.5}, {"webhook_secret": "secret"}, {"old_webhook_secret": "whsec_?"}]
)
def test_bad_configurations_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        SimulatorConfig(**options)  # type: ignore[arg-type]  # one option at a time, of different types


def test_secrets_and_seeds_are_random_by_default() -> None:
    first, second = SimulatorConfig(), SimulatorConfig()

    assert first.webhook_secret != second.webhook_secret
    assert first.seed != second.seed


def test_only_the_latest_keys_are_counted() -> None:
    counter = OccurrenceCounter(max_keys=2)

    assert [counter.next(key) for key in ("a", "a", "b", "c", "a", "c")] == [1, 2, 1, 1, 1, 2]


def test_the_program_runs_until_it_is_stopped(tmp_path: Path) -> None:
    origin = f"http://127.0.0.1:{free_port()}"
    options = ("--seed", "42", "--prerender", "--no-lenient")
    program = product.simulator(product.isolated({}), tmp_path / "simulator.log", *options, origin=origin)
    with program.serving():
        health = httpx.get(f"{origin}/_sim/health", timeout=PATIENCE).json()

    assert program.running.returncode in {0, -signal.SIGTERM}
    started = json.loads(program.log.read_text().splitlines()[0])
    assert (started["event"], started["url"], started["seed"]) == ("simulator_started", origin, 42)
    assert health["seed"] == 42
