"""The metrics as the code defines them, and as documents, rules and the dashboard use them."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import app.health
import app.main
import worker.process.main
from tests.docs.files import ROOT

# All that counts anything.
_COUNTING = (app.health, app.main, worker.process.main)

PROMETHEUS: Final = ROOT / "deploy/observe/prometheus"
RULES: Final = PROMETHEUS / "rules/junis.yml"
DASHBOARD: Final = ROOT / "deploy/observe/grafana/dashboards/junis.json"

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_USED = re.compile(r"\bjunis_\w+")


def defined() -> dict[str, tuple[str, str, str]]:
    """By the name that Prometheus knows a metric by: its type, its labels and its explanation."""
    found = {}
    for collector in tuple(REGISTRY._collector_to_names):
        for family in getattr(collector, "describe", tuple)():
            if family.name.startswith("junis_"):
                labels: Sequence[str] = (collector if isinstance(collector, MetricWrapperBase) else family)._labelnames
                name = f"{family.name}_total" if family.type == "counter" else family.name
                found[name] = family.type, ", ".join(labels), family.documentation
    return found


def series() -> set[str]:
    """The names of all series."""
    return {
        name.removesuffix("_total") + suffix for name, (kind, _, _) in defined().items() for suffix in _SUFFIXES[kind]
    }


def names_in(expression: str) -> set[str]:
    """The names of our series in an expression."""
    return set(_USED.findall(expression))


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by their names."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def panels() -> Iterator[tuple[str, str]]:
    """Of each query of the dashboard, its panel and the expression."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")


def write_as_rules(expressions: list[str], path: Path) -> None:
    """Write expressions as rules, for promtool to read."""
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(expressions)]
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
