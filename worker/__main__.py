import logging
import sys

import uvloop
from prometheus_client import start_http_server

from app.core.logging import configure_logging
from app.core.settings import InvalidSettingsError, load_settings
from worker.process.loops import LoopEndedError
from worker.process.main import run

logger = logging.getLogger("worker")


def main() -> int:
    """Run the worker until SIGTERM or SIGINT. Returns the exit status: 0, 1 if a loop ended, 2 for bad settings."""
    try:
        settings = load_settings()
    except InvalidSettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings.log_level)
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port)
    try:
        uvloop.run(run(settings))
    except LoopEndedError:
        logger.exception("worker_ended")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
