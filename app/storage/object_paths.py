import re

# S3's limit for a key. On a disk, the file system also limits each name to 255 bytes.
MAX_PATH_BYTES = 1024

# No segment may begin with a dot: that excludes `.`, `..` and the folder that the local store uses itself.
_SEGMENT = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*")


def check_path(path: str) -> str:
    """Return `path` if it can be the path of an object in every store.

    Raises:
        ValueError: it is absolute, empty, too long or not encodable as UTF-8, or one of its segments is empty,
            begins with a dot, or contains a backslash or a control character.
    """
    if len(path.encode()) > MAX_PATH_BYTES or not all(_SEGMENT.fullmatch(name) for name in path.split("/")):
        raise ValueError(f"Not the path of an object: {path!r}")
    return path
