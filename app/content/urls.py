from dataclasses import dataclass

from app.generations.models import Generation, Output
from app.storage.protocol import ObjectStore


@dataclass(frozen=True)
class FileUrls:
    """Permanent URLs of stored files, computed when they are read, so that a new host or secret breaks none."""

    store: ObjectStore
    public_url: str

    def of(self, content: Generation, output: Output) -> str:
        """The bucket's own URL where the bucket is public, else this server's."""
        direct = self.store.public_url(output.storage_path)
        name = output.storage_path.rpartition("/")[2]
        return direct or f"{self.public_url}/files/{content.file_token}/{name}"
