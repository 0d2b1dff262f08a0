"""Run the simulator of Replicate and OpenAI: real files and faults on demand, no model behind them."""

import argparse
import json
import sys
from datetime import UTC, datetime

from simulator.config import SimulatorConfig
from simulator.main import create_server


def main() -> None:
    """Run the simulator until it is asked to stop."""
    arguments = _parser().parse_args()
    config = SimulatorConfig(**{name: value for name, value in vars(arguments).items() if name in _OPTIONS})
    _report_start(f"http://{arguments.host}:{arguments.port}", config.seed)
    create_server(config, host=arguments.host, port=arguments.port).run()


def _report_start(url: str, seed: int) -> None:
    """Say where it is and what it draws from: to a person on a terminal, and to a log as an object of JSON."""
    line = f"Simulator on {url}, seed {seed}"
    if not sys.stdout.isatty():
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        fields = {"time": time, "level": "info", "logger": "simulator", "event": "simulator_started"}
        line = json.dumps({**fields, "url": url, "seed": seed})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


_OPTIONS = frozenset(SimulatorConfig.__dataclass_fields__)


def _parser() -> argparse.ArgumentParser:
    # Options that are not given are absent, so that their defaults stand in one place: the configuration.
    parser = argparse.ArgumentParser(
        prog="python -m simulator", description=__doc__, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--public-url", help="base of the URLs handed out (default: as each caller addressed it)")
    parser.add_argument("--seed", type=int, help="decides the drawn faults (default: random, printed)")
    parser.add_argument("--fault-rate", type=float, help="share of predictions, 0 to 1, that draw a fault")
    parser.add_argument("--speed", type=float, help="divides the simulator's own durations")
    parser.add_argument("--webhook-secret", help="whsec_..., signs webhooks (default: random)")
    parser.add_argument("--old-webhook-secret", help="signs them as well, as while a secret is rotated")
    parser.add_argument("--retention", type=float, help="seconds until the data of a prediction is removed")
    parser.add_argument("--prerender", dest="is_prerendered", action="store_true", help="one file per format")
    parser.add_argument(
        "--lenient",
        dest="is_lenient",
        action=argparse.BooleanOptionalAction,
        help="run musicgen and shap-e by name alone, although Replicate requires a version",
    )
    return parser


if __name__ == "__main__":
    main()
