"""The keys of the tests' S3 servers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """A pair of keys."""

    access_key_id: str
    secret_access_key: str


ADMIN = Keys("test-admin", "test-admin-secret")  # may do anything, also make buckets
OWNER = Keys("test-access-key", "test-secret-key")  # what the product needs, and lists
UNLISTING = Keys("test-unlisting", "test-unlisting-secret")  # as OWNER, without lists
