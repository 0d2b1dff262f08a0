"""A download is whole, decoded and of a bounded size, or it is an error."""

import base64
import gzip
import hashlib
import zlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.chat_models.raw_server import LAST_CHUNK, always, chunk, raw_server, response
from worker.transfer.downloads import Downloader, DownloadInterruptedError, DownloadRefusedError

FILE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
MOST_BYTES = 1_000_000


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    deflating = zlib.compressobj(wbits=-15)
    return deflating.compress(data) + deflating.flush()


def base64_of(algorithm: str, data: bytes) -> bytes:
    return base64.b64encode(hashlib.new(algorithm, data).digest())


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


async def fetched(session: aiohttp.ClientSession, *sent: bytes) -> bytes:
    """The file in this response, after which the host closes the connection."""
    async with raw_server(always(*sent, is_closed=True)) as host:
        downloader = Downloader(session, frozenset({urlsplit(host.url).netloc}), MOST_BYTES)
        return b"".join([piece async for piece in downloader.fetch(f"{host.url}/a.png")])


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", gzipped(FILE)),
        (b"GZIP", gzipped(FILE)),
        (b"x-gzip", gzipped(FILE[:99]) + gzipped(FILE[99:])),
        (b"gzip", gzipped(FILE) + bytes(512)),
        (b"deflate", zlib.compress(FILE)),
        (b"deflate", raw_deflate(FILE)),
        (b"identity", FILE),
        (b"identity, gzip", gzipped(FILE)),
    ],
    ids=["gzip", "capitals", "two parts", "padding", "deflate", "raw deflate", "identity", "identity and gzip"],
)
@pytest.mark.parametrize("size", [1, 1000, 1_000_000])
async def test_an_encoded_file_is_decoded(
    session: aiohttp.ClientSession, encoding: bytes, body: bytes, size: int
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % encoding
    pieces = [chunk(body[start : start + size]) for start in range(0, len(body), size)]

    assert await fetched(session, head, b"".join(pieces), LAST_CHUNK) == FILE


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, gzip", b"nonsense"])
async def test_a_file_that_cannot_be_decoded_is_refused(session: aiohttp.ClientSession, encoding: bytes) -> None:
    with pytest.raises(DownloadRefusedError, match="encoding"):
        await fetched(session, response(FILE, headers=b"Content-Encoding: %b\r\n" % encoding))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", gzipped(FILE)[:-1]),
        (b"gzip", gzipped(FILE)[:99]),
        (b"gzip", gzipped(FILE)[:-8] + bytes(8)),
        (b"gzip", FILE),
        (b"deflate", zlib.compress(FILE)[:-5]),
        (b"deflate", raw_deflate(FILE)[:-5]),
        (b"gzip", b""),
    ],
    ids=["last byte", "cut", "checksum", "not encoded", "deflate", "raw deflate", "empty"],
)
async def test_a_damaged_encoding_is_not_taken_for_whole(
    session: aiohttp.ClientSession, encoding: bytes, body: bytes
) -> None:
    with pytest.raises(DownloadInterruptedError):
        await fetched(session, response(body, headers=b"Content-Encoding: %b\r\n" % encoding))


@pytest.mark.parametrize(
    "body",
    [gzipped(bytes(50_000_000)), gzipped(b"") * 60_000],
    ids=["zeros", "nothing"],
)
async def test_the_limit_is_that_of_the_decoded_file_and_of_what_is_sent(
    session: aiohttp.ClientSession, body: bytes
) -> None:
    with pytest.raises(DownloadRefusedError, match="larger than"):
        await fetched(session, response(body, headers=b"Content-Encoding: gzip\r\n"))


async def test_a_file_of_the_largest_size_is_accepted(session: aiohttp.ClientSession) -> None:
    body = gzipped(bytes(MOST_BYTES))

    assert len(await fetched(session, response(body, headers=b"Content-Encoding: gzip\r\n"))) == MOST_BYTES


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(FILE) + 1),
        b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(FILE) + 1),
    ],
)
async def test_a_file_that_is_shorter_than_its_length_is_not_whole(session: aiohttp.ClientSession, head: bytes) -> None:
    with pytest.raises(DownloadInterruptedError):
        await fetched(session, head, FILE)


@pytest.mark.parametrize("end", [b"", b"0\r\n"], ids=["no last chunk", "half of it"])
async def test_a_chunked_file_without_its_end_is_not_whole(session: aiohttp.ClientSession, end: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(DownloadInterruptedError):
        await fetched(session, head, chunk(FILE), end)


_HASHES = [
    b"Content-MD5: " + base64_of("md5", FILE),
    b"x-goog-hash: crc32c=n03x6A==\r\nx-goog-hash: md5=" + base64_of("md5", FILE),
    b"x-goog-hash: crc32c=n03x6A==,md5=" + base64_of("md5", FILE),
    b"Digest: SHA-256=" + base64_of("sha256", FILE) + b",UNIXsum=30637",
    b"Repr-Digest: sha-512=:" + base64_of("sha512", FILE) + b":",
    b"Content-Digest: sha-256=:" + base64_of("sha256", FILE) + b":",
]
_NAMES = ["Content-MD5", "two of Google's", "Google's", "Digest", "Repr-Digest", "Content-Digest"]
_UNBOUNDED = b"HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n%b\r\n\r\n"


@pytest.mark.parametrize("header", _HASHES, ids=_NAMES)
async def test_a_hash_tells_whether_a_body_without_a_length_is_whole(
    session: aiohttp.ClientSession, header: bytes
) -> None:
    assert await fetched(session, _UNBOUNDED % header, FILE) == FILE
    with pytest.raises(DownloadInterruptedError, match="hash"):
        await fetched(session, _UNBOUNDED % header, FILE[:1000])


@pytest.mark.parametrize("header", _HASHES, ids=_NAMES)
async def test_a_hash_may_be_that_of_the_encoded_body_or_of_the_file(
    session: aiohttp.ClientSession, header: bytes
) -> None:
    head = _UNBOUNDED % (header + b"\r\nContent-Encoding: gzip")
    if b"x-goog" not in header:  # there it is always that of the encoded object
        assert await fetched(session, head, gzipped(FILE)) == FILE
    encoded = gzipped(FILE)
    of_encoded = _UNBOUNDED % (b"Content-Encoding: gzip\r\nContent-MD5: " + base64_of("md5", encoded))
    assert await fetched(session, of_encoded, encoded) == FILE


async def test_googles_hash_of_a_file_that_it_has_decoded_is_ignored(session: aiohttp.ClientSession) -> None:
    header = b"x-goog-stored-content-encoding: gzip\r\nx-goog-hash: md5=" + base64_of("md5", gzipped(FILE))

    assert await fetched(session, _UNBOUNDED % header, FILE) == FILE


@pytest.mark.parametrize(
    "header",
    [b"X-None: 1", b"Content-MD5: nonsense", b"Content-MD5: QUJD", b'ETag: "0123"', b"Digest: crc32c=AAAAAA=="],
)
async def test_a_body_without_length_and_hash_ends_with_its_connection(
    session: aiohttp.ClientSession, header: bytes
) -> None:
    assert await fetched(session, _UNBOUNDED % header, FILE) == FILE


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.com%2f.replicate.delivery/a",
        "https://127.0.0.1%23.replicate.delivery/a",
        "https://user:password@x.replicate.delivery/a",
        "https://[::1/a",
    ],
)
async def test_a_host_that_cannot_be_reached_is_refused_for_good(session: aiohttp.ClientSession, url: str) -> None:
    downloader = Downloader(session, frozenset(), MOST_BYTES)

    with pytest.raises(DownloadRefusedError):
        await anext(downloader.fetch(url))


@pytest.mark.parametrize(
    "location", [b"https://[::1/a", b"http://169.254.169.254/latest", b"https://a%2f.replicate.delivery/"]
)
async def test_a_redirect_to_such_a_host_is_refused_for_good(session: aiohttp.ClientSession, location: bytes) -> None:
    with pytest.raises(DownloadRefusedError):
        await fetched(session, response(b"", status="302 Found", headers=b"Location: %b\r\n" % location))
