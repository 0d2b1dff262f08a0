"""The state of a prediction as a function of time, for any plan and any events."""

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.replicate.lifecycle import Interventions, Plan, Status, end_of, progress_at

seconds = st.floats(min_value=0.001, max_value=2000)
plans = st.builds(
    Plan,
    starting=seconds,
    running=seconds,
    outcome=st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.CANCELED]),
)
interventions = st.builds(Interventions, canceled=st.none() | seconds, deadline=st.none() | seconds)
moments = st.lists(st.floats(min_value=0, max_value=5000), min_size=2, max_size=6).map(sorted)

ORDER = {Status.STARTING: 0, Status.PROCESSING: 1}


@settings(deadline=None)
@given(plans, interventions, moments)
def test_states_only_advance_and_the_last_one_is_final(plan: Plan, between: Interventions, times: list[float]) -> None:
    seen = [progress_at(plan, between, elapsed) for elapsed in times]

    places = [ORDER.get(progress.status, 2) for progress in seen]
    assert places == sorted(places)
    assert len({progress for progress in seen if progress.is_terminal}) <= 1
    assert [progress.share for progress in seen] == sorted(progress.share for progress in seen)


@settings(deadline=None)
@given(plans, interventions)
def test_it_ends_at_the_earliest_reason_to_end(plan: Plan, between: Interventions) -> None:
    end = end_of(plan, between)
    ended = progress_at(plan, between, end)

    reasons = [plan.ends, between.canceled, between.deadline]
    assert end == min(reason for reason in reasons if reason is not None)
    assert ended.completed == end
    assert not progress_at(plan, between, end * 0.999).is_terminal
    assert (ended.status is Status.ABORTED) == (ended.started is None and end != between.canceled)
