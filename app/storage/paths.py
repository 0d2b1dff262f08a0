import re

# S3's limit for a key; a name on a disk is limited to 255 bytes by the file system itself.
MAX_PATH_BYTES = 1024

# A leading dot is refused too: it covers `.` and `..`, and keeps the local store's own folder out of reach.
_SEGMENT = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*")


def check_path(path: str) -> str:
    """Return `path` if it may name an object in any store.

    Raises:
        ValueError: it is absolute, empty, too long, not encodable as UTF-8, or one of its segments is empty,
            begins with a dot or holds a backslash or a control character.
    """
    if len(path.encode()) > MAX_PATH_BYTES or not all(_SEGMENT.fullmatch(name) for name in path.split("/")):
        raise ValueError(f"Not a path of an object: {path!r}")
    return path
