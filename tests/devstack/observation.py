"""Reads the state of other processes from /proc."""

from pathlib import Path


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or is a zombie that init has not reaped yet."""
    status = _status(pid)
    return not status or status[0] == "Z"


def children_of(pid: int) -> list[int]:
    """The children of a process that have not ended."""
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [child for child in pids if _status(child)[1:2] == [str(pid)] and not has_ended(child)]


def user_of(pid: int) -> int:
    """The user id a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


def _status(pid: int) -> list[str]:
    """The state, parent and further fields of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
