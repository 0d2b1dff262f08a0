import asyncio
import logging
import os

import uvloop
from prometheus_client import start_http_server

from app.core.early_stop import STOP_SIGNALS
from app.core.logging import configure_logging
from app.core.setting_doubts import log_doubts
from app.core.settings import InvalidSettingsError, Settings, load_settings
from worker.process.lifecycle import open_loops
from worker.process.loops import LoopEndedError, run_loops

logger = logging.getLogger("worker")


def main() -> int:
    """Run the worker until SIGTERM or SIGINT. Returns the exit status: 0, 1 if a loop ended, 2 for bad settings."""
    configure_logging("INFO")
    try:
        settings = load_settings()
    except InvalidSettingsError as error:
        for line in str(error).splitlines():
            logger.error("command_failed", extra={"reason": line})
        return 2
    configure_logging(settings.log_level)
    log_doubts(settings, os.environ)
    if not _offers_metrics(settings.worker_metrics_port):
        return 1
    try:
        uvloop.run(run(settings))
    except LoopEndedError:
        logger.exception("worker_ended")
        return 1
    return 0


def _offers_metrics(port: int) -> bool:
    """Offer the metrics on the port, unless it is 0. Returns whether that was possible."""
    try:
        if port:
            start_http_server(port)
    except OSError as error:
        reason = f"Cannot listen on WORKER_METRICS_PORT={port}: {error.strerror or error}"
        logger.error("command_failed", extra={"reason": reason})
        return False
    return True


async def run(settings: Settings) -> None:
    """Run the worker until SIGTERM or SIGINT. Another worker goes on with what is interrupted then.

    Raises:
        LoopEndedError: a loop has ended, so the process must end.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in STOP_SIGNALS:
        loop.add_signal_handler(name, stopping.set)
    async with open_loops(settings) as loops:
        await run_loops(loops, stopping)
