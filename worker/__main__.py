import sys

from app.core.early_stop import STOP_SIGNALS, end_when_asked

if __name__ == "__main__":
    end_when_asked(0, *STOP_SIGNALS)
    from app.core.logging import configure_logging

    # Also what goes wrong while the worker is loaded is a line of JSON.
    configure_logging("INFO")
    # Loading the worker takes a second or two, in which a signal must not be lost.
    from worker.process.main import main

    sys.exit(main())
