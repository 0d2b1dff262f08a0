import sys

import uvloop

from app.core.logging import configure_logging
from app.core.settings import InvalidSettingsError, load_settings
from worker.main import run


def main() -> int:
    """Run the worker until it is told to stop."""
    try:
        settings = load_settings()
    except InvalidSettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings.log_level)
    uvloop.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
