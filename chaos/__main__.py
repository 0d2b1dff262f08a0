"""Request many generations while everything is struck again and again, and prove that nothing is lost or paid twice."""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from chaos.disks import can_be_mounted
from chaos.plan import make_plan
from chaos.run import run
from chaos.strikes import StoreKind
from chaos.summary import describe

_STRIKING = 0.4


def main() -> int:
    """Run once for each seed, and print the results.

    Returns:
        The exit status: 1 if a promise was broken.
    """
    arguments = _parse_arguments()
    broken = [
        seed
        for seed in range(arguments.seed, arguments.seed + arguments.seeds)
        if not _is_kept(seed, arguments, None if arguments.folder is None else arguments.folder / str(seed))
    ]
    if arguments.seeds > 1:
        _say(f"{arguments.seeds} seeds, broken: {', '.join(map(str, broken)) or 'none'}")
    return 1 if broken else 0


def _is_kept(seed: int, arguments: argparse.Namespace, folder: Path | None) -> bool:
    seconds = 60 * arguments.minutes
    plan = make_plan(
        seed,
        generations=arguments.generations,
        seconds=arguments.strike_seconds or _STRIKING * seconds,
        folder=StoreKind.DISK if can_be_mounted() else StoreKind.FOLDER,
    )
    webhooks = "with webhooks" if plan.has_webhooks else "without webhooks"
    if plan.store is StoreKind.FOLDER:
        _say(f"seed {seed}: the store is never slow, because only root can make a disk of its own for it")
    _say(f"seed {seed}: {len(plan.requests)} requests, {len(plan.strikes)} strikes, {plan.store}, {webhooks}")
    if folder is not None:
        result = run(folder, plan, seconds=seconds)
    else:
        with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
            result = run(Path(temporary), plan, seconds=seconds)
    _say(describe(result))
    _say(f"seed {seed}: {'broken' if result.violations else 'kept'}")
    return not result.violations


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="draws everything (random)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds in a row are run (1)")
    parser.add_argument("--generations", type=int, default=500, help="how many are requested (500)")
    parser.add_argument(
        "--minutes", type=float, default=4, help="by when everything must have ended, if no more of it ends (4)"
    )
    parser.add_argument(
        "--strike-seconds", type=float, help="for how long there are strikes (two fifths of the minutes)"
    )
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
