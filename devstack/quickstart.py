"""Run the whole product on one machine until asked to stop: servers, vendors, API and worker."""

import time
from collections.abc import Callable
from pathlib import Path

from devstack.banner import render_banner
from devstack.commands import write_commands
from devstack.config import Config
from devstack.credentials import write_quickstart_file
from devstack.errors import StackError
from devstack.interrupts import Interrupts
from devstack.lock import exclusive_lock
from devstack.ports import free_port, is_free
from devstack.private_files import make_private
from devstack.servers import EmbeddedServers
from devstack.startup import Startup
from devstack.supervisor import Supervisor
from devstack.vendors import choose_vendors

Say = Callable[[str], None]

_LOCK_PATIENCE = 10.0  # seconds; as long as an earlier quickstart may take to stop
_PORT_PATIENCE = 2.0  # the programs of a killed quickstart need a moment to end
_PROGRAM_GRACE, _SERVER_GRACE = 5.0, 4.0  # together less than 10
_POLL = 0.1
# All that is ever put into the data folder.
_ENTRIES = frozenset({"lock", "logs", "objects", "postgres", "quickstart.json", "secret_key", "valkey"})


class PortTakenError(StackError):
    """Another program listens on the API's port."""


def quickstart(config: Config, interrupts: Interrupts, say: Say) -> None:
    """Start everything and keep it running.

    Raises:
        Stopped: We were asked to stop, and everything has ended in an orderly way.
        StackError: Something could not be started; nothing is left running.
    """
    simulator = f"127.0.0.1:{free_port()}"
    vendors = choose_vendors(config.environ, simulator)
    make_private(config.data_dir, _ENTRIES)
    with exclusive_lock(config.data_dir / "lock", patience=_LOCK_PATIENCE, pause=interrupts.pause):
        _require_free_port(config, interrupts)
        _set_logs_aside(config.data_dir / "logs")
        servers = EmbeddedServers(config.data_dir, durable=True, pause=interrupts.pause)
        supervisor = Supervisor(say)
        try:
            started = Startup(
                config=config,
                vendors=vendors,
                simulator=simulator,
                servers=servers,
                supervisor=supervisor,
                pause=interrupts.pause,
                say=say,
            ).run()
            write_quickstart_file(config.data_dir / "quickstart.json", config.origin, started.credentials)
            write_commands(config.commands, started.settings)
            say(render_banner(config, vendors, started.credentials, started.chat_model))
            supervisor.run(interrupts)
        finally:
            say("Stopping")
            supervisor.stop(grace=_PROGRAM_GRACE)
            servers.stop(grace=_SERVER_GRACE)
            say("Stopped")


def _require_free_port(config: Config, interrupts: Interrupts) -> None:
    deadline = time.monotonic() + _PORT_PATIENCE
    while not is_free(config.host, config.port):
        if time.monotonic() > deadline:
            raise PortTakenError(
                f"Port {config.port} is in use by another program. Choose another one: make quickstart PORT=8001"
            )
        interrupts.pause(_POLL)


def _set_logs_aside(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for log in folder.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))
