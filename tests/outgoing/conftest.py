import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from tests.outgoing.ways import BUCKET, WAYS, Way
from tests.storage import rclone
from tests.vendors_simulator import VendorsSimulator


@dataclass(frozen=True)
class OwnAuthority:
    """An authority that no system knows: the file with its certificate, and what its servers show.

    `server` is for this machine and all names below `company.test`, `stranger` for another name.
    """

    file: Path
    server: ssl.SSLContext
    stranger: ssl.SSLContext


@dataclass(frozen=True)
class Server:
    """A way to ask, and the port on this machine of the server that is asked in this way."""

    name: str
    ask: Way
    port: int


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> OwnAuthority:
    made = trustme.CA()
    file = tmp_path_factory.mktemp("authority") / "company.pem"
    made.cert_pem.write_to_path(str(file))
    server, stranger = (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) for _ in range(2))
    made.issue_cert("localhost", "127.0.0.1", "*.company.test").configure_cert(server)
    made.issue_cert("another.test").configure_cert(stranger)
    return OwnAuthority(file, server, stranger)


@pytest.fixture(scope="session")
def ports(vendors: VendorsSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, int]]:
    """The port of the server of each way."""
    folder = tmp_path_factory.mktemp("buckets")
    (folder / BUCKET).mkdir()
    simulator = urlsplit(vendors.url).port or 0
    with rclone.serving(folder, folder.parent / "rclone.log") as objects:
        yield {name: (urlsplit(objects).port or 0) if name == "S3" else simulator for name in WAYS}


@pytest.fixture(params=WAYS)
def server(request: pytest.FixtureRequest, ports: Mapping[str, int]) -> Server:
    """Each way in turn."""
    return Server(request.param, WAYS[request.param], ports[request.param])
