"""Where the console's pages load generated files from."""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from app.admin.rendering import has_static, read_static
from app.core.crypto import sha256
from app.core.settings import Settings
from app.generations.models import Generation, Output
from app.storage.protocol import ObjectStore

# The viewer of 3D models among the static files, if `make assets` or the image has put it there.
MODEL_VIEWER: Final = "vendor/model-viewer.min.js"


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


def model_viewer_policy(policy: str) -> str | None:
    """The content policy of pages that show a 3D model; None if the viewer is not among the static files."""
    return viewer_policy(policy, read_static(MODEL_VIEWER)) if has_static(MODEL_VIEWER) else None


def viewer_policy(policy: str, script: str) -> str:
    """The content policy of a page that shows a 3D model: what the viewer needs beyond that of every page.

    It styles its own frame by a `<style>`, which is allowed by its hash, reads compressed meshes by WebAssembly, and
    loads textures that it has unpacked from memory. Its other decoders are on servers of others, and stay refused.

    Args:
        policy: that of every page.
        script: the viewer's source, which the hash is of.
    """
    hashes = [
        f"'sha256-{b64encode(sha256(style)).decode()}'"
        for style in re.findall(r"<style>(.*?)</style>", script, re.DOTALL)
    ]
    added = {"script-src": "'wasm-unsafe-eval'", "style-src": " ".join(hashes), "connect-src": "blob:"}
    parts = [part.split(" ", 1) for part in policy.split("; ")]
    return "; ".join(f"{name} {sources} {added.get(name, '')}".rstrip() for name, sources in parts)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
