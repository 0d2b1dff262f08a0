"""The product's programs, as the tests run several of them beside each other and kill them."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TypeVar

from devstack.ports import free_port
from tests import programs

_START_SECONDS = 60
_T = TypeVar("_T")


@dataclass(frozen=True)
class Api:
    """An API process."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/external"

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()


@contextmanager
def api_process(settings: Mapping[str, str], log: Path) -> Iterator[Api]:
    """Runs an API that may be killed."""
    port = free_port()
    arguments = ["-m", "app.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with programs.running(arguments, {**settings, "PUBLIC_URL": f"http://127.0.0.1:{port}"}, log) as process:
        api = Api(port, process)
        _wait_until_ready(api, log)
        yield api


@asynccontextmanager
async def running_beside(*programs_to_run: AbstractContextManager[_T]) -> AsyncIterator[list[_T]]:
    """Starts and stops the programs at the same time, while the event loop goes on."""
    async with AsyncExitStack() as stack:
        starting = (_enter(stack, program) for program in programs_to_run)
        started = await asyncio.gather(*starting, return_exceptions=True)
        failures = [outcome for outcome in started if isinstance(outcome, BaseException)]
        if failures:
            raise failures[0]
        yield [outcome for outcome in started if not isinstance(outcome, BaseException)]


async def _enter(stack: AsyncExitStack, program: AbstractContextManager[_T]) -> _T:
    running = await asyncio.to_thread(program.__enter__)
    stack.push_async_callback(asyncio.to_thread, program.__exit__, None, None, None)
    return running


def _wait_until_ready(api: Api, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and api.process.poll() is None:
        connection = HTTPConnection("127.0.0.1", api.port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise RuntimeError(f"The API did not start:\n{log.read_text()[-4000:]}")
