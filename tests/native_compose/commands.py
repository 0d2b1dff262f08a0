"""The commands of `docker` that documentation and scripts use. Any other fails."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tests.native_compose.outcome import Outcome
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.native_compose.engine import Container, Engine

_SCALED = ("api", "worker")
# What is said of images, of which there are none.
_SAID = {"config": "services:\n  api:\n    image: junis-server:latest\n", "build": "", "pull": ""}
_ALL = ("postgres", "redis", "objects", "migrate", *_SCALED)


def carry_out(engine: Engine, arguments: list[str], stdin: str) -> Outcome:
    """What a command of `docker` comes to."""
    if arguments[0] == "compose":
        return _compose(engine, arguments[1], arguments[2:], stdin)
    if arguments[:2] == ["image", "inspect"] or arguments[0] == "tag":
        return _of_images(engine, arguments)
    if arguments[0] == "rm" and "-f" not in arguments:
        return Outcome()
    container = engine.by_id(arguments[-1])
    return _of_container(engine, container, arguments) if container else Outcome(status=1)


def _of_images(engine: Engine, arguments: list[str]) -> Outcome:
    *_, source, last = arguments
    if arguments[0] == "tag":
        engine.tags[last] = engine.tags.get(source, source)
        return Outcome()
    return Outcome(f"{engine.tags[last]}\n") if last in engine.tags else Outcome(status=1)


def _of_container(engine: Engine, container: Container, arguments: list[str]) -> Outcome:
    match arguments:
        case ["inspect", "-f", form, _]:
            return Outcome(f"{engine.tags['junis-server:latest'] if 'Image' in form else container.state}\n")
        case ["stop", _] | ["rm", *_]:
            engine.remove(container)
            return Outcome()
        case ["logs", *_]:
            return Outcome(container.program.log.read_text())
    return _unknown(arguments)


def _unknown(arguments: list[str]) -> Outcome:
    return Outcome(stderr=f"there is no `docker {' '.join(arguments)}` here\n", status=1)


def _compose(engine: Engine, command: str, rest: list[str], stdin: str) -> Outcome:
    service, *words = [part for part in rest if part not in {"-T", "--rm", "--no-deps"}] or [""]
    if command in _SAID:
        return Outcome(_SAID[command])
    match command:
        case "ps" | "logs" | "port":
            return _shown(engine, command, rest)
        case "exec":
            return engine.execute(service, words, stdin)
        case "run":
            return engine.migrate() if service == "migrate" else _run(engine, service, words, stdin)
        case "up":
            return _up(engine, rest)
    return _unknown(["compose", command, *rest])


def _run(engine: Engine, service: str, words: list[str], stdin: str) -> Outcome:
    return engine.junis(words[1:] if words[:1] == ["junis"] else words, engine.environment(service), stdin)


def _shown(engine: Engine, command: str, rest: list[str]) -> Outcome:
    if command == "port":
        return Outcome(f"{engine.stores[rest[0]].address}\n")
    containers = [each for name in _SCALED if name in rest for each in engine.of(name, is_alive="-aq" not in rest)]
    if command == "ps":
        return Outcome("".join(f"{container.id}\n" for container in containers))
    return Outcome("".join(container.program.log.read_text() for container in containers))


def _up(engine: Engine, rest: list[str]) -> Outcome:
    sizes = {service: int(engine_size) for service, engine_size in _scales(rest)}
    services = [part for part in rest if part in _ALL] or list(_ALL)
    for service in services:
        if service in engine.stores:
            engine.start_store(service)
        elif service == "migrate":
            migrated = engine.migrate()
            if migrated.status:
                return migrated
        else:
            _scale(engine, service, sizes.get(service), recreates="--no-recreate" not in rest)
    if "--wait" in rest:
        wait_until(lambda: all(_is_well(each) for service in _SCALED for each in engine.of(service)))
    return Outcome()


def _scales(rest: list[str]) -> list[tuple[str, str]]:
    written = [part.removeprefix("--scale=") for part in rest if part.startswith("--scale=")]
    written += [after for before, after in pairwise(rest) if before == "--scale"]
    return [(each.partition("=")[0], each.partition("=")[2]) for each in written]


def _scale(engine: Engine, service: str, size: int | None, *, recreates: bool) -> None:
    wanted = engine.environment(service)
    for container in engine.of(service):
        if recreates and container.environment != wanted:
            engine.remove(container)
    size = size or max(1, len(engine.of(service)))
    for container in engine.of(service)[size:]:
        engine.remove(container)
    while len(engine.of(service)) < size:
        engine.launch(service)


def _is_well(container: Container) -> bool:
    return container.state in {"healthy 0", "running 0"}
