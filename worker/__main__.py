import sys

from app.core.early_stop import STOP_SIGNALS, end_when_asked

if __name__ == "__main__":
    end_when_asked(0, *STOP_SIGNALS)
    # Loading the worker takes a second or two, in which a signal must not be lost.
    from worker.process.main import main

    sys.exit(main())
