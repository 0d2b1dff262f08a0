"""When a delivery is tried again."""

import random
from datetime import timedelta
from typing import Final

# From each failed try to the next one. After the last one a delivery is given up.
PAUSES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
# How much longer a pause may be, so that what failed together does not come again together.
_JITTER: Final = 0.2
# A receiver may ask for more time than the schedule gives it, but not for ever.
_LONGEST_ASKED: Final = timedelta(hours=24)


def next_pause(failures: int, asked: timedelta | None) -> timedelta | None:
    """How long to wait for the next try; None if there is none.

    Args:
        failures: how many tries have failed, with this one.
        asked: what the receiver has asked for, if it has.
    """
    if failures > len(PAUSES):
        return None
    pause = PAUSES[failures - 1] * random.uniform(1, 1 + _JITTER)
    return max(pause, min(asked, _LONGEST_ASKED)) if asked is not None else pause
