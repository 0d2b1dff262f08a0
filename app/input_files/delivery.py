"""How the vendor gets the files that an input names."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from app.core.database import Database
from app.core.settings import Settings
from app.input_files import repository
from app.input_files.file_names import Reference, data_url, references_in, replaced

# Replicate advises against larger data URLs; its own clients send ten megabytes in them, if there is no other way.
_ADVISED_BYTES: Final = 256 * 1024
_MOST_BYTES: Final = 10 * 1024 * 1024


@dataclass(frozen=True)
class InputDelivery:
    """How the vendor gets the files that an input names: in the input itself, or by URLs of this server.

    Attributes:
        database: where they are.
        public_url: where the vendor reaches this server.
        most_inline: how many bytes of files, all together, are sent in the input itself.
    """

    database: Database
    public_url: str
    most_inline: int

    @classmethod
    def of(cls, database: Database, settings: Settings) -> Self:
        """As the settings say. A server that is not known by HTTPS is taken for one that the vendor cannot reach."""
        is_reached = settings.public_url.startswith("https://")
        most = settings.input_inline_bytes
        return cls(
            database, settings.public_url, (_ADVISED_BYTES if is_reached else _MOST_BYTES) if most is None else most
        )

    async def deliver(self, organization_id: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The input as the vendor gets it. Files that are gone have URLs at which nothing is."""
        named = references_in(values)
        if not named:
            return values
        ids, data = [each.id for each in named], dict[uuid.UUID, bytes]()
        async with self.database.transaction() as tx:
            sizes = await repository.find_sizes(tx, organization_id, ids)
            if sum(sizes.values()) <= self.most_inline:
                data = dict(await repository.read(tx, organization_id, ids))

        def given(file: Reference) -> str:
            return data_url(file.media_type, data[file.id]) if file.id in data else self._url_of(file)

        return replaced(values, given)

    def _url_of(self, file: Reference) -> str:
        return f"{self.public_url}/files/inputs/{file.id}/{file.name}"
