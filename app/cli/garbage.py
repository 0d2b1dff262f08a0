"""What the garbage collector looks at: it stops the process meanwhile."""

import gc


def freeze_garbage() -> None:
    """Leave out what the process has loaded, for good: a full collection would visit all of it each time."""
    gc.collect()
    gc.freeze()
