"""One engine, one image and one running stack for all tests of this folder; `make deployment` runs them."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.deployment.docker import Docker
from tests.deployment.engine import running_engine
from tests.deployment.errors import NoEngineError
from tests.deployment.figures import Figures, megabytes
from tests.deployment.stack import IMAGE, Stack, configure, copy_of_the_checkout
from tests.deployment.stand_ins import PYTHON, provide_bases
from tests.deployment.visitor import Visitor

_FIGURES = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = Figures()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures as a table."""
    if rows := config.stash[_FIGURES].table():
        terminalreporter.section("figures of the deployment")
        for row in rows:
            terminalreporter.line(row)


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    return request.config.stash[_FIGURES]


@pytest.fixture(scope="session")
def cache() -> Path:
    """A folder that survives runs."""
    folder = Path(os.environ.get("DEPLOYMENT_CACHE") or Path.home() / ".cache/junis-deployment")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def docker(cache: Path, figures: Figures) -> Iterator[Docker]:
    """A Docker Engine that has the base images."""
    if os.environ.get("DEPLOYMENT") == "skip":
        pytest.skip("DEPLOYMENT=skip: the image was not built and the Compose stack not started")
    with ExitStack() as opened:
        try:
            with figures.timed("engine"):
                engine = opened.enter_context(running_engine(cache))
            with figures.timed("base images"):
                stand_ins = provide_bases(engine, cache)
        except NoEngineError as error:
            pytest.fail(f"{error}\nWith DEPLOYMENT=skip these tests are left out, which is said.", pytrace=False)
        figures.add("stand-ins", ", ".join(stand_ins) or "none")
        yield engine


@pytest.fixture(scope="session")
def project(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The project, configured but not started; all that it has started is removed in the end."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_of_the_checkout(folder)
    project = configure(docker, folder)
    project.compose("down", "--volumes", "--remove-orphans")
    yield project
    project.compose("down", "--volumes", "--remove-orphans")


@pytest.fixture(scope="session")
def image(project: Stack, figures: Figures) -> str:
    """The image, built."""
    with figures.timed("build"):
        project.compose("build")
    whole, base = (project.docker.inspect("image", name)["Size"] for name in (IMAGE, PYTHON))
    figures.add("image", megabytes(whole))
    figures.add("image above its base", megabytes(whole - base))
    return IMAGE


@pytest.fixture(scope="session")
def stack(project: Stack, image: str, figures: Figures) -> Iterator[Stack]:
    """The stack, running."""
    with figures.timed("up"):
        project.compose("up", "-d", "--wait")
    project.wait_until_whole()
    yield project
    for name, used in sorted(project.memory().items()):
        figures.add(f"memory of {name}", used)


@pytest.fixture(scope="session")
def key(stack: Stack) -> str:
    """A key of the organization that `junis demo` makes, with limits and credits for all tests."""
    found = re.search(r"jns_live_\w+", stack.junis("demo"))
    assert found
    limits = ("requests-per-minute", "concurrent-requests", "concurrent-generations")
    stack.junis("plans", "set", "pro", *(f"--{limit}=100000" for limit in limits))
    stack.junis("credits", "grant", "--org", "Demo", "--amount", "10000")
    return found[0]


@pytest.fixture(scope="session")
def visitor(stack: Stack, key: str) -> Iterator[Visitor]:
    with closing(Visitor(stack.url, key)) as visitor:
        yield visitor
