"""What is made of what was measured: tables, the document, comparisons, and where time goes."""

from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from bench.turn_cost.compare import comparison, read_results
from bench.turn_cost.document import DOCUMENT, write_tables
from bench.turn_cost.loads import CALLS, GUARDS, STREAMS
from bench.turn_cost.measure import Measured
from bench.turn_cost.profiling import Profile, tables_of
from bench.turn_cost.stacks import by_group, cumulative, own, read_stacks
from bench.turn_cost.subjects import DIRECT, PRODUCT, PROXY, TWIN
from bench.turn_cost.tables import Results, Table, tables

CALL = CALLS[1]


def measured(subject: str, load: str = CALL.name, *, api_cpu: float = 1.0, p50: float = 1.0) -> Measured:
    return Measured(
        subject=subject,
        load=load,
        requests=10,
        failures=0,
        model_calls=1,
        messages=1,
        rate=100,
        p50=p50,
        p99=2 * p50,
        first_word_p50=p50 / 2,
        api_cpu=api_cpu,
        postgres_cpu=0.5,
        valkey_cpu=0.1,
        statements=9,
        transactions=2,
        wal=5000,
        memory=100,
    )


ROUNDS = [
    *[measured(PRODUCT, api_cpu=cpu, p50=30) for cpu in (8, 30, 9)],
    *[measured(TWIN, api_cpu=cpu, p50=20) for cpu in (2, 10, 3)],
    measured(DIRECT, p50=5),
]


def test_a_table_shows_medians_their_spread_and_what_they_are_compared_with() -> None:
    calls = tables(Results(ROUNDS))[0]

    row = dict(zip(calls.columns, calls.rows[0], strict=True))
    assert row["API, ms"] == "**9.00**"
    assert row["in rounds"] == "8.00 to 30.00"
    # 4, 3 and 3: each round by itself.
    assert row["times twin"] == "3.0"
    assert (row["added p50, ms"], row["added p99, ms"]) == ("25.0", "50.0")


def test_only_what_was_measured_has_rows() -> None:
    streams_and_a_guard = [measured(PRODUCT, STREAMS[0].name), measured(PRODUCT, GUARDS[0].name)]

    made = {table.name: table for table in tables(Results(streams_and_a_guard))}

    assert made.keys() == {"streams", "guards"}
    assert "first word p50" in made["streams"].columns


def test_what_uses_stores_is_shown_however_little_it_asks() -> None:
    rarely = replace(measured(PRODUCT), statements=0.2, transactions=0)

    (table,) = [table for table in tables(Results([rarely, measured(PROXY)])) if table.name == "stores"]

    assert [row[:3] for row in table.rows] == [["the product", "call", "0.2"]]


@pytest.mark.parametrize(("load", "change", "is_good"), [
    (CALL, {}, True),
    (CALL, {"failures": 1}, False),
    (CALL, {"requests": 0}, False),
    (CALL, {"model_calls": 0.9}, False),
    (CALLS[0], {"messages": 0.5}, False),
])  # fmt: skip
def test_a_measurement_counts_if_every_request_did_what_it_should(
    load: object, change: dict[str, float], is_good: bool
) -> None:
    found = Measured(**{**asdict(measured(PRODUCT)), **change})

    assert found.is_good(load) is is_good  # type: ignore[arg-type]


def test_tables_replace_those_before_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(
        "Before.\n<!-- measured: one -->\n| old |\n<!-- end -->\nAfter.\n<!-- measured: two -->\n<!-- end -->\n"
    )
    one = Table("one", ["a"], [[r"C:\1"]])

    write_tables(document, [one])
    write_tables(document, [one])

    assert document.read_text() == (
        "Before.\n<!-- measured: one -->\n\n| a |\n| --- |\n| C:\\1 |\n\n<!-- end -->\nAfter.\n"
        "<!-- measured: two -->\n<!-- end -->\n"
    )


def test_a_table_without_a_place_is_reported(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("<!-- measured: one -->\n<!-- end -->\n")

    with pytest.raises(LookupError, match="two"):
        write_tables(document, [Table("two", ["a"], [["b"]])])


def test_the_document_has_a_place_for_every_table() -> None:
    every_load = [measured(subject, load.name) for subject in (PRODUCT, TWIN) for load in (*CALLS, *STREAMS, *GUARDS)]
    profiles = {load: Profile(read_stacks("main (app/a.py) 1"), 1.0) for load in ("call-10", "stream-10")}
    text = DOCUMENT.read_text(encoding="utf-8")

    for table in [*tables(Results(every_load)), *tables_of(profiles)]:
        assert f"<!-- measured: {table.name} -->" in text


def test_two_runs_are_compared_by_the_ratio_to_the_twin(tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_bytes(orjson.dumps([asdict(found) for found in ROUNDS]))
    after.write_bytes(orjson.dumps([asdict(measured(PRODUCT, api_cpu=6)), asdict(measured(TWIN, api_cpu=4))]))

    table = comparison(read_results(before), read_results(after))

    assert table.rows == [[CALL.about, "10", "9.00", "6.00", "3.00", "1.50"]]


def test_samples_are_added_up_by_function_and_by_the_innermost_group() -> None:
    stacks = read_stacks(
        "main (app/main.py);ask (asyncpg/pool.py);wait (asyncio/tasks.py) 3\nmain (app/main.py) 2\nidle (x.py) 1\n"
    )

    assert own(stacks) == {"wait (asyncio/tasks.py)": 3, "main (app/main.py)": 2, "idle (x.py)": 1}
    assert cumulative(stacks)["main (app/main.py)"] == 5
    groups = {"driver": ("(asyncpg/",), "ours": ("(app/",)}
    assert by_group(stacks, groups, "rest") == {"driver": 3, "ours": 2, "rest": 1}


def test_a_recursive_function_is_counted_once_for_each_sample() -> None:
    assert cumulative(read_stacks("a (x.py);b (x.py);a (x.py) 4"))["a (x.py)"] == 4
