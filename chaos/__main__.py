"""Request many generations while everything is killed again and again, and prove that nothing is lost or paid twice."""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from chaos.plan import make_plan
from chaos.run import run
from chaos.summary import describe

_STRIKING = 0.5


def main() -> int:
    """Run, and print the result.

    Returns:
        The exit status: 1 if a promise was broken.
    """
    arguments = _parse_arguments()
    seconds = 60 * arguments.minutes
    plan = make_plan(
        arguments.seed, generations=arguments.generations, seconds=arguments.strike_seconds or _STRIKING * seconds
    )
    _say(f"seed {arguments.seed}: {len(plan.requests)} generations, {len(plan.strikes)} strikes")
    if arguments.folder is not None:
        result = run(arguments.folder, arguments.seed, plan, seconds=seconds)
    else:
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            result = run(Path(folder), arguments.seed, plan, seconds=seconds)
    _say(describe(result))
    _say(f"seed {arguments.seed}: {'broken' if result.violations else 'kept'}")
    return 1 if result.violations else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="draws faults and kills (random)")
    parser.add_argument("--generations", type=int, default=500, help="how many are requested (500)")
    parser.add_argument("--minutes", type=float, default=3, help="by when everything must have ended (3)")
    parser.add_argument("--strike-seconds", type=float, help="for how long programs are killed (half of the minutes)")
    parser.add_argument("--folder", type=Path, help="an empty folder in which data and logs are kept (a temporary one)")
    arguments = parser.parse_args()
    if arguments.folder is not None and arguments.folder.exists() and any(arguments.folder.iterdir()):
        parser.error(f"{arguments.folder} is not empty")
    return arguments


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
