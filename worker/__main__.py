import sys

import uvloop
from prometheus_client import start_http_server

from app.core.logging import configure_logging
from app.core.settings import InvalidSettingsError, load_settings
from worker.process.main import run


def main() -> int:
    """Run the worker until it is told to stop."""
    try:
        settings = load_settings()
    except InvalidSettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings.log_level)
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port)
    uvloop.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
