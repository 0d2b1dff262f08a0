"""The list of metrics, the runbook, the rules and the dashboard agree with the code and with each other."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from app.core.metrics import MOST_NAMES, OTHER, ByName
from tests.docs.files import read
from tests.observe import catalogue

ROW = re.compile(
    r"^\| `(?P<name>junis_\w+)` \| (?P<kind>\w+) \| (?P<labels>[^|]*) \| (?P<says>[^|]+) \|$", re.MULTILINE
)
# What identifies a customer or a request, of which there is no end.
NEVER = {"organization", "organization_id", "key", "api_key", "user", "user_id", "session", "session_id", "path", "url"}
UNITS = ("_seconds", "_bytes_total", "_credits_total", "_total")


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is missing; Debian has it in the package prometheus")
    return found


def run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_list_of_metrics_is_what_the_code_defines() -> None:
    rows = [match.groupdict() for match in ROW.finditer(read("docs/metrics.md"))]
    listed = {row["name"]: (row["kind"], row["labels"].replace("`", "").strip(), row["says"].strip()) for row in rows}

    assert len(rows) == len(listed)
    assert listed == catalogue.defined()


def test_names_and_labels_follow_the_conventions() -> None:
    for name, (kind, labels, _) in catalogue.defined().items():
        assert (kind == "counter") == name.endswith("_total"), name
        assert kind != "histogram" or name.endswith(UNITS), name
        assert not NEVER & set(labels.split(", ")), name


def test_names_without_end_make_no_series_without_end() -> None:
    series = ByName(str.upper)

    made = {series[f"model-{number}"] for number in range(1000)}

    assert len(made) == MOST_NAMES + 1
    assert OTHER.upper() in made
    assert series["model-0"] == "MODEL-0"


def test_every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() -> None:
    entries = re.findall(r"^## (\w+)$", read("docs/runbook.md"), re.MULTILINE)

    assert entries == list(catalogue.alerts())
    for name, alert in catalogue.alerts().items():
        assert alert["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert alert["labels"]["severity"] in {"page", "ticket"}


def test_every_entry_of_the_runbook_says_what_it_means_what_to_look_at_and_what_to_do() -> None:
    for entry in read("docs/runbook.md").split("\n## ")[1:]:
        for part in ("**Means**", "**Look at**", "**Do**"):
            assert entry.count(part) == 1, entry.splitlines()[0]


def test_alerts_panels_and_runbook_use_only_what_is_there() -> None:
    known = catalogue.series()

    for name, alert in catalogue.alerts().items():
        assert catalogue.names_in(alert["expr"]) <= known, name
    for title, expression in catalogue.panels():
        assert catalogue.names_in(expression) <= known, title
    assert catalogue.names_in(read("docs/runbook.md")) <= known | set(catalogue.defined())


def test_every_metric_is_on_the_dashboard() -> None:
    shown = set().union(*(catalogue.names_in(expression) for _, expression in catalogue.panels()))

    for name, (kind, _, _) in catalogue.defined().items():
        assert (f"{name}_bucket" if kind == "histogram" else name) in shown, name


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = yaml.safe_load((catalogue.PROMETHEUS / "tests/junis.yml").read_text())["tests"]
    cases = [(case["alertname"], bool(case.get("exp_alerts"))) for test in tests for case in test["alert_rule_test"]]

    for name in catalogue.alerts():
        assert {(name, True), (name, False)} <= set(cases), name


def test_every_alert_fires_when_it_should(promtool: str) -> None:
    run(promtool, "check", "rules", catalogue.RULES)
    run(promtool, "test", "rules", catalogue.PROMETHEUS / "tests/junis.yml")


def test_every_query_of_the_dashboard_can_be_parsed(promtool: str, tmp_path: Path) -> None:
    catalogue.write_as_rules([expression for _, expression in catalogue.panels()], tmp_path / "panels.yml")

    run(promtool, "check", "rules", tmp_path / "panels.yml")


def test_prometheus_understands_its_configuration(promtool: str) -> None:
    run(promtool, "check", "config", "--syntax-only", catalogue.PROMETHEUS / "prometheus.yml")
