"""Where the console's pages load generated files from."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from app.core.settings import Settings
from app.generations.models import Generation, Output
from app.storage.protocol import ObjectStore


@dataclass(frozen=True)
class MediaUrls:
    """Addresses of stored files for pages of this server: those that the API gives, without the server's own name.

    So a file is of the same origin as the page, under whichever name the server was reached.
    """

    store: ObjectStore

    def of(self, content: Generation, output: Output) -> str:
        """The bucket's own URL if the bucket is public, otherwise a path of this server's."""
        return self.at(content.file_token, output.storage_path)

    def at(self, file_token: str, storage_path: str) -> str:
        """The same, of the content's token and the file's path in the store."""
        name = storage_path.rpartition("/")[2]
        return self.store.public_url(storage_path) or f"/files/{file_token}/{name}"


def media_sources(settings: Settings) -> tuple[str, ...]:
    """The origins, besides the server's own, that pages load generated files from: of a public or a presigning store.

    A presigned URL names the bucket in its path or in its host, by the addressing style and the bucket's name.
    """
    if settings.storage != "s3":
        return ()
    if settings.s3_public_base_url is not None:
        return (_origin(str(settings.s3_public_base_url)),)
    if settings.s3_presign_endpoint_url is None:
        return ()
    origin = _origin(str(settings.s3_presign_endpoint_url))
    scheme, _, host = origin.partition("://")
    return origin, f"{scheme}://{settings.s3_bucket}.{host}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def viewer_policy(policy: str) -> str:
    """The content policy of a page with a 3D model: its textures are loaded from memory."""
    return policy.replace("connect-src ", "connect-src blob: ")
