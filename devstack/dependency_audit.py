"""Writes docs/dependencies.md: what the image installs, how old it is, under which licence, and what is known of it.

`make audit` runs it. Versions and dates are those of `uv.lock`, licences those of the installed packages. Newer
versions and known vulnerabilities are asked of the registry and of OSV by uv; the document says what cannot be asked.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, distribution, metadata
from pathlib import Path

from devstack.product import ROOT

DOCUMENT = ROOT / "docs/dependencies.md"
# Why each is here that the server itself names.
REASONS: Mapping[str, str] = {
    "aiohttp": "the client that streams answers of chat models and downloads files",
    "aiosmtplib": "mail",
    "alembic": "migrations",
    "argon2-cffi": "hashes of passwords",
    "arq": "the worker's loop over Redis",
    "asyncpg": "the driver of Postgres",
    "boto3": "object stores that speak S3",
    "certifi": "certificate authorities, for systems without their own",
    "cryptography": "seals new keys and stored secrets",
    "fastapi": "routes, their validation and `/openapi.json`",
    "fastapi-offline": "the page `/docs` without other hosts",
    "hiredis": "packs and parses what Redis is sent and says",
    "httptools": "parses HTTP for uvicorn",
    "httpx": "what Replicate's client sends with",
    "jinja2": "the console's pages",
    "opentelemetry-exporter-otlp-proto-common": "writes traces as collectors read them",
    "opentelemetry-sdk": "traces",
    "orjson": "JSON of requests and responses",
    "pillow": "pictures of the vendors' simulator, which the image has for trials",
    "prometheus-client": "metrics",
    "pydantic": "checks what comes in",
    "pydantic-settings": "the settings",
    "python-multipart": "the console's forms",
    "redis": "the client of Redis",
    "replicate": "the client of Replicate",
    "sqlalchemy": "tables, and the pool of connections",
    "standardwebhooks": "signatures of the webhooks that are sent",
    "starlette": "what FastAPI builds on; named because it is used directly",
    "typer": "the command line",
    "tzdata": "time zones, for systems without their own",
    "uvicorn": "the HTTP server",
    "uvloop": "the event loop",
}
# Packages that are held below the newest version, and why.
HELD: Mapping[str, str] = {
    "redis": "arq supports versions below 6",
    "python-dateutil": "botocore supports versions below 3",
    "replicate": "2.x repeats a create call after a 503",
    "arq": "the worker builds on its loop",
}
_IMAGE = ("--no-dev", "--no-group", "local", "--extra", "simulator")
_NAMED = re.compile(r"^[\w.-]+")
_CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True)
class Package:
    """A package of the image.

    Attributes:
        name: its name.
        version: the version that is installed.
        released: when that was uploaded.
        licence: what its authors say.
        newest: the newest version on the day of the audit; None if that was not asked.
    """

    name: str
    version: str
    released: date
    licence: str
    newest: str | None = None


def direct_names() -> Sequence[str]:
    """The packages that pyproject.toml names for the image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["simulator"]]
    return sorted(_bare(line) for line in wanted)


def locked() -> Mapping[str, tuple[str, date]]:
    """By their names, the versions of `uv.lock` and when they were uploaded."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return {each["name"]: (each["version"], _uploaded(each)) for each in packages if "registry" in each["source"]}


def image_names() -> Sequence[str]:
    """All packages that the image installs, but those for other systems."""
    listed = _uv("export", "--frozen", *_IMAGE, "--no-hashes", "--no-annotate", "--no-header", "--no-emit-project")
    lines = [line for line in listed.splitlines() if "sys_platform == 'win32'" not in line]
    return sorted(_bare(line) for line in lines if line.strip())


def licence_of(name: str) -> str:
    """What the installed package says; `not installed here` if it is for another Python."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return "not installed here"
    classifiers = [
        each.removeprefix(_CLASSIFIER) for each in about.get_all("Classifier") or () if each.startswith(_CLASSIFIER)
    ]
    stated = next((about[field] for field in ("License-Expression", "License") if field in about), "")
    if 0 < len(stated) < 60 and "\n" not in stated:
        return stated
    return ", ".join(classifiers) or _licence_of_file(name)


def _licence_of_file(name: str) -> str:
    """The title of the package's licence file."""
    for file in distribution(name).files or ():
        if file.name.upper().startswith("LICENSE"):
            return " ".join(" ".join(file.read_text().split("\n")[:3]).split())
    return "see the package"


def packages(newest: Mapping[str, str] | None) -> Sequence[Package]:
    """All packages of the image. `newest` has those of which there is a newer version; None if that is not known."""
    versions = locked()
    found = []
    for name in image_names():
        version, released = versions[name]
        latest = newest.get(name, version) if newest is not None else None
        found.append(Package(name, version, released, licence_of(name), latest))
    return found


def newer_versions() -> Mapping[str, str] | None:
    """By their names, the newest versions of packages that are behind them; None if the registry cannot be asked."""
    try:
        listed = json.loads(_uv("pip", "list", "--outdated", "--format", "json"))
    except subprocess.CalledProcessError:
        return None
    return {each["name"]: each["latest_version"] for each in listed}


def vulnerabilities() -> str:
    """What OSV knows of the image's packages, or that it could not be asked."""
    try:
        return _uv("audit", "--frozen", "--no-dev", "--no-group", "local").strip() or "None is known."
    except subprocess.CalledProcessError as error:
        if "error sending request" in error.stderr:
            return (
                "Not asked: api.osv.dev could not be reached from where this was written. With access to it, this"
                " prints them:\n\n```sh\nuv audit --frozen --no-dev --no-group local\n```"
            )
        return f"```text\n{(error.stdout + error.stderr).strip()}\n```"


def written(found: Sequence[Package], known: str, today: date) -> str:
    """The document."""
    named = direct_names()
    direct = [each for each in found if each.name in named]
    others = [each for each in found if each.name not in named]
    first, second = _rows(f"{_cells(each)} | {REASONS[each.name]}" for each in direct), _rows(map(_cells, others))
    return f"""# Dependencies

What the image installs beside Python itself, on {today}, written by `make audit`. Versions and hashes are those of
`uv.lock`, from which the image is built; a test compares this page with it. Licences are what the packages say of
themselves.

## Named by the server

| package | version | released | newest that day | licence | why it is here |
|---|---|---|---|---|---|
{first}
## What these need

| package | version | released | newest that day | licence |
|---|---|---|---|---|
{second}
## Known vulnerabilities

{known}

## How they are kept current

`uv lock --upgrade` takes the newest versions that `pyproject.toml` allows, and `make check` shows whether everything
still works; `make audit` writes this page again. An image has its own bill of materials, `/srv/junis/sbom.cdx.json`.
Tests, and the Postgres and Valkey of the quickstart, need further packages, which no image has.
"""


def _rows(rows: Iterable[str]) -> str:
    return "".join(f"| {row} |\n" for row in rows)


def _cells(package: Package) -> str:
    newest = "not asked" if package.newest is None else package.newest
    if package.newest != package.version and (held := HELD.get(package.name)):
        newest = f"{newest}: {held}"
    return " | ".join((package.name, package.version, str(package.released), newest, package.licence))


def _uploaded(package: Mapping[str, object]) -> date:
    wheels = package.get("wheels", [])
    files = [*(wheels if isinstance(wheels, list) else []), *([package["sdist"]] if "sdist" in package else [])]
    return min(datetime.fromisoformat(file["upload-time"]).date() for file in files)


def _bare(requirement: str) -> str:
    match = _NAMED.match(requirement)
    if match is None:
        raise ValueError(requirement)
    return match[0].partition("[")[0].lower()


def _uv(*arguments: str) -> str:
    program = Path(sys.executable).with_name("uv")
    command = [str(program), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own


if __name__ == "__main__":
    DOCUMENT.write_text(written(packages(newer_versions()), vulnerabilities(), datetime.now(UTC).date()))
