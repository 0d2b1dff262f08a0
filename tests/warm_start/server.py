"""The process that has loaded the product's modules, and forks a program whenever it is asked for one.

Loading them takes most of the time in which a program starts: seconds, some hundred times a run. What a program does
with its settings, arguments and sockets happens after the fork, as it does in a process of its own.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import sys
import time
from typing import Any, Final, NoReturn

# Everything but the modules that do something when they are loaded.
_LOADED: Final = ("app.cli.serve", "app.cli.migrate", "app.main", "worker.process.main", "simulator.command_line")
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
NUMBER: Final = struct.Struct("<i")  # the program's process id, and later what `os.waitpid` says of it
LONGEST_ORDER: Final = 200_000  # bytes
_FILES: Final = 100  # more than are open when a program is forked
_LIBC: Final = ctypes.CDLL(None)


def main() -> None:
    """Fork a program for each message on the standard input, a socket, until that is closed."""
    for name in _LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    order = _next_program(socket.socket(fileno=os.dup(0)))
    if order is not None:
        _run(order)


def _next_program(orders: socket.socket) -> dict[str, Any] | None:
    """Returns in every program with its order, and in the process that forked them with None, at the end."""
    server = os.getpid()
    while True:
        message, files, _, _ = socket.recv_fds(orders, LONGEST_ORDER, 3)
        if not message:
            return None
        if os.fork() == 0:
            orders.close()
            return _kept(json.loads(message), server, *files)
        for file in files:
            os.close(file)


def _kept(order: dict[str, Any], server: int, report: int, stdout: int, stderr: int) -> dict[str, Any]:
    """Fork the program, in which this returns; this process waits for its end and reports it."""
    _die_with_parent(server)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    keeper, program = os.getpid(), os.fork()
    if program != 0:
        _report(program, report)
    _become(order, keeper, stdout, stderr)
    return order


def _report(program: int, report: int) -> NoReturn:
    # Whoever reads what the program writes waits for the end of all who could write there.
    os.closerange(0, report)
    os.closerange(report + 1, _FILES)
    os.write(report, NUMBER.pack(program))
    _, status = os.waitpid(program, 0)
    os.write(report, NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _become(order: dict[str, Any], keeper: int, stdout: int, stderr: int) -> None:
    """Be what a new process with these files and this environment would be."""
    os.setsid()
    _die_with_parent(keeper)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, number in ((nothing, 0), (stdout, 1), (stderr, 2)):
        os.dup2(file, number)
    os.closerange(3, _FILES)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()


def _die_with_parent(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _run(order: dict[str, Any]) -> None:
    sys.path[0] = order["folder"]
    sys.argv[1:] = order["arguments"]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
