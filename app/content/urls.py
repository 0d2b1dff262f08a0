from dataclasses import dataclass

from app.generations.models import ContentOutput, GeneratedContent
from app.storage.protocol import ObjectStore


@dataclass(frozen=True)
class FileUrls:
    """Permanent URLs of stored files, computed when they are read, so that a new host or secret breaks none."""

    store: ObjectStore
    public_url: str

    def of(self, content: GeneratedContent, output: ContentOutput) -> str:
        """The bucket's own URL where the bucket is public, else this server's."""
        direct = self.store.public_url(output.storage_path)
        name = output.storage_path.rpartition("/")[2]
        return direct or f"{self.public_url}/files/{content.file_token}/{name}"
