"""Apply small defects to a copy of the product, one at a time, and show that its tests find each."""

import argparse
import sys

from mutants.mutant import InvalidMutantError, Mutant, read_mutants
from mutants.running import Outcome, copied, try_mutants


def main() -> int:
    """Try the mutants, and print what became of each.

    Returns:
        The exit status: 1 if one of them was not killed.
    """
    arguments = _parse_arguments()
    try:
        mutants = [mutant for mutant in read_mutants() if arguments.name in mutant.name]
        with copied() as folder:
            alive = try_mutants(mutants, folder, _tell)
    except InvalidMutantError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _say(f"{len(mutants)} mutants, not killed: {len(alive)}")
    return 1 if alive or not mutants else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("name", nargs="?", default="", help="only mutants with this in their name")
    return parser.parse_args()


def _tell(mutant: Mutant, outcome: Outcome) -> None:
    _say(f"{outcome:<8}  {mutant.name}  ({mutant.file}; {mutant.killed_by})")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
