"""Renders the Helm chart by Helm's own code: `python -m tests.deploy_files.render <values.json >rendered.json`.

A program of its own, because Go's runtime shall not be in the process of the tests. Reads the values of releases by
their names, and writes for each `files`, by their names, or `refusal`, what Helm says of values that it refuses; and
`findings`, what `helm lint --strict` reports beyond information.
"""

import json
import sys
from pathlib import Path
from typing import Any

import helm_python

CHART = Path(__file__).parents[2] / "deploy/helm/junis"
NAMESPACE = "shop"
_WARNING = 2


def main() -> None:
    wanted: dict[str, dict[str, Any]] = json.load(sys.stdin)
    with helm_python.Chart.load(CHART) as chart:
        json.dump({name: _render(chart, name, values) for name, values in wanted.items()}, sys.stdout)


def _render(chart: helm_python.Chart, name: str, values: dict[str, Any]) -> dict[str, Any]:
    try:
        # An installation checks the values first; rendering alone does not.
        chart.validate_schema(chart.merge_values(values))
        files = chart.render(values, name=name, namespace=NAMESPACE)
    except helm_python.HelmError as error:
        return {"refusal": str(error)}
    report = helm_python.lint(CHART, values, strict=True)
    findings = [message["error"] for message in report["messages"] if message["severity"] >= _WARNING]
    return {"files": files, "findings": findings + report["errors"]}


if __name__ == "__main__":
    main()
