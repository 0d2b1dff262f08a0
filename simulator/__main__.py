"""Run the simulator of Replicate and OpenAI: real files and faults on demand, no model behind them."""

import signal
import sys
from types import FrameType


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    # Handled before the simulator is loaded, which takes a second: as the first process of a container it would not
    # notice SIGTERM until then. The server handles the signals itself while it runs, and raises them again at its end.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _end)
    from simulator.command_line import main

    main()
