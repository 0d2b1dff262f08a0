import logging

import pytest
from arq.jobs import serialize_result
from arq.worker import JobExecutionFailed

from app.queue.arq import deserialize, queue_of, serialize
from app.queue.protocol import WakeKind


def test_a_job_whose_description_is_lost_ends_without_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """If a flush of Redis has deleted a job's description, arq ends the job in this way."""
    with caplog.at_level(logging.WARNING):
        failed = JobExecutionFailed("job expired")
        queue = queue_of(WakeKind.START)
        ended = serialize_result(
            WakeKind.START, (), {}, 1, 0, False, failed, 0, 0, "ref", queue, "id", serializer=serialize
        )

    assert caplog.messages == []
    assert ended is not None
    assert "job expired" in deserialize(ended)["r"]
