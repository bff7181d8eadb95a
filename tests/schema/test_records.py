from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.metrics import METRICS
from edgemoe_appliance.schema.records import (
    EndRecord,
    HeaderRecord,
    PeriodRecord,
    Phase,
    PowerFacts,
    SampleFile,
    Status,
    Window,
    parse_record,
    record_line,
    records_json_schema,
)
from edgemoe_appliance.schema.resources import checkout_root

from .builders import DIGEST, a_header, a_period, a_spec, an_end

RECORDS = [a_period(), a_header(), an_end()]
WHERE = "runs.jsonl:3"


def refusal(line: bytes) -> str:
    with pytest.raises(RecordError) as caught:
        parse_record(line, WHERE)
    assert caught.value.exit_code == 7
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{WHERE}: ")
    return message.removeprefix(f"{WHERE}: ")


def changed(**changes: Any) -> bytes:
    return json.dumps({**an_end().model_dump(mode="json"), **changes}).encode()


def with_power(primary: str) -> bytes:
    """Return a period whose primary source of power is the one named."""
    facts = PowerFacts(
        primary=None,
        scope=None,
        rails=(),
        cross_check=None,
        beside=(),
        absent={},
        reason="none",
    )
    power = facts.model_dump(mode="json") | {"primary": primary}
    return json.dumps(a_period().model_dump(mode="json") | {"power": power}).encode()


def as_before(record: PeriodRecord | HeaderRecord | EndRecord, **changes: Any) -> bytes:
    """Return the line of a record as version 1 wrote it."""
    data = record.model_dump(mode="json") | {"schema_version": 1}
    if "caveats" in data:
        data["doubts"] = data.pop("caveats")
    if data["kind"] == "period":
        data["kind"] = "sitting"
        del data["study"]
    return json.dumps(data | changes).encode()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.kind)
def test_a_record_comes_back_from_its_line(
    record: PeriodRecord | HeaderRecord | EndRecord,
) -> None:
    line = record_line(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse_record(line, WHERE) == record
    assert record_line(parse_record(line, WHERE)) == line


def test_a_period_of_before_facts_were_kept_is_still_read() -> None:
    data = a_period().model_dump(mode="json")
    for later in ("power", "heat", "cgroup", "hardware", "study"):
        del data[later]
    record = parse_record(json.dumps(data).encode(), WHERE)
    assert isinstance(record, PeriodRecord)
    assert record.hardware is None


@given(st.text())
def test_any_text_fits_a_line(text: str) -> None:
    line = record_line(an_end(stderr_tail=text))
    assert line.count(b"\n") == 1
    record = parse_record(line, WHERE)
    assert isinstance(record, EndRecord)
    assert record.stderr_tail == text


def test_half_a_surrogate_pair_does_not_stop_the_journal() -> None:
    record = parse_record(record_line(an_end(stderr_tail="a\udce4b")), WHERE)
    assert isinstance(record, EndRecord)
    assert record.stderr_tail == "a?b"


def test_every_line_torn_short_is_refused() -> None:
    for record in RECORDS:
        line = record_line(record).rstrip(b"\n")
        for length in range(len(line)):
            refusal(line[:length])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{",
        b"\xff\xff",
        b'"\xed\xa0\x80"',
        b"1" * 5000 + b"x",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        changed(stderr_tail="\ud800"),
    ],
)
def test_what_is_no_json(line: bytes) -> None:
    assert refusal(line) == "not a line of JSON; restore the file"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"null", "record: Input should be an object"),
        (b"[]", "record: Input should be an object"),
        (b"{}", "record: Unable to extract tag using discriminator 'kind'"),
        (changed(attempt=0), "end.attempt: Input should be greater than or equal to 1"),
        (changed(attempt="1"), "end.attempt: Input should be a valid integer"),
        (changed(attempt=2**63), "end.attempt: Input should be less than or equal to"),
        (changed(text_bytes=-1), "end.text_bytes: Input should be greater than or equal to 0"),
        (changed(text_sha256="0"), "end.text_sha256: String should match pattern"),
        (changed(run_id="../a"), "end.run_id: String should match pattern"),
        (changed(metrics={"wall_s": "0.5"}), "end.metrics.wall_s: Input should be a valid number"),
        (changed(metrics={"wall_s": None}), "end.metrics.wall_s: Input should be a valid number"),
        (changed(metrics={"wall_s": 1e999}), "end.metrics.wall_s: Input should be a finite number"),
        (changed(metrics={"wall_s": 10**400}), "end.metrics.wall_s: Input should be a"),
        (changed(absent={"wall_s": "why"}), "end: Value error, both measured and absent: wall_s"),
        (changed(**{"a\nb": 1}), "end.a\\nb: Extra inputs are not permitted"),
        (
            changed(windows=[{"phase": "generate", "start_ns": 2, "end_ns": 1}]),
            "end.windows.0: Value error, a window must not end before it starts",
        ),
        (
            changed(windows=[{"phase": "generate", "start_ns": 0, "end_ns": 10**400}]),
            "end.windows.0.end_ns: Input should be less than or equal to",
        ),
        (
            changed(samples={"name": "../../x", "sha256": DIGEST, "bytes": 1}),
            "end.samples.name: String should match pattern",
        ),
        (changed(schema_version="2"), "end.schema_version: Input should be 2"),
        (changed(schema_version=0), "end.schema_version: Input should be 2"),
        (as_before(an_end(), caveats=[]), "end.doubts: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_record_of_ours(line: bytes, message: str) -> None:
    shown = refusal(line)
    assert shown.startswith(message)
    assert shown.endswith("; not a journal of ours?")
    assert len(shown) < 400


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (changed(kind="middle"), "record: Input tag 'middle' found using 'kind' does not match"),
        (changed(kind="a\nb\x1b"), "record: Input tag 'a\\nb\\x1b' found using 'kind'"),
        (changed(status="fine"), "end.status: Input should be 'ok', 'oom'"),
        (changed(metrics={"speed": 1}), "end.metrics: not in the metric registry: speed"),
        (changed(absent={"speed": ""}), "end.absent: not in the metric registry: speed"),
        (as_before(an_end(), status="fine"), "end.status: Input should be 'ok', 'oom'"),
        (as_before(a_period(), kind="period"), "record: Input tag 'sitting' found"),
        (with_power("fusion"), "period.power.primary: Input should be 'ina3221'"),
    ],
)
def test_a_name_that_is_not_known_here_is_a_newer_appliance_s(line: bytes, message: str) -> None:
    shown = refusal(line)
    assert shown.startswith(message)
    assert shown.endswith("; the record is newer; use a newer edgemoe-appliance")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        (b'{"absent"', b'{"attempt":1,"absent"', "attempt"),
        (b'"run_id"', b'"status":"crashed","run_id"', "status"),
        (b'"metrics":{', b'"metrics":{"wall_s":1,"wall_s":2,', "wall_s"),
        (b'"run_id"', b'"st\\u0061tus":"ok","run_id"', "status"),
    ],
)
def test_a_key_that_stands_twice_is_refused(old: bytes, new: bytes, key: str) -> None:
    line = record_line(an_end())
    assert refusal(line.replace(old, new, 1)).startswith(f"the key {key} is named twice; ")


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.kind)
def test_a_record_of_version_1_is_the_same_record(
    record: PeriodRecord | HeaderRecord | EndRecord,
) -> None:
    assert parse_record(as_before(record), WHERE) == record


def test_a_record_without_a_version_is_foreign() -> None:
    data = an_end().model_dump(mode="json")
    del data["schema_version"]
    assert refusal(json.dumps(data).encode()) == "no schema_version; not a journal of ours?"


@pytest.mark.parametrize("data", [{}, {"kind": "end"}, {"kind": "new kind", "more": [1]}])
def test_a_newer_record_is_told_apart_from_a_damaged_one(data: dict[str, object]) -> None:
    assert refusal(json.dumps({**data, "schema_version": 3}).encode()) == (
        "record of schema 3, newest known: 2; use a newer edgemoe-appliance"
    )
    assert len(refusal(json.dumps({**data, "schema_version": 10**4000}).encode())) < 200


def _mutations(line: bytes) -> st.SearchStrategy[bytes]:
    """Lines that are nearly records: bytes cut out, put in or turned."""
    cut = st.tuples(st.integers(0, len(line)), st.integers(0, 40), st.binary(max_size=8))
    return cut.map(lambda c: line[: c[0]] + c[2] + line[c[0] + c[1] :])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_KEYS = sorted({key for record in RECORDS for key in record.model_dump()})


@settings(max_examples=200)
@given(
    st.binary(max_size=200)
    | st.sampled_from([record_line(record) for record in RECORDS]).flatmap(_mutations)
    | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=8), _JSON).map(
        lambda data: json.dumps(data).encode(errors="replace")
    )
)
def test_a_hostile_line_is_refused_or_is_a_record(line: bytes) -> None:
    try:
        record = parse_record(line, WHERE)
    except RecordError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert parse_record(record_line(record), WHERE) == record


@settings(max_examples=200)
@given(st.sampled_from(sorted(an_end().model_dump())), _JSON)
def test_a_hostile_value_is_refused_or_kept(key: str, value: object) -> None:
    line = json.dumps({**an_end().model_dump(mode="json"), key: value}).encode(errors="replace")
    try:
        record = parse_record(line, WHERE)
    except RecordError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert parse_record(record_line(record), WHERE) == record


def test_the_schema_in_the_repository_is_that_of_the_code() -> None:
    root = checkout_root()
    assert root is not None
    path = root / "data" / "schema" / "records.v2.json"
    assert json.loads(path.read_text()) == records_json_schema(), (
        "write it anew with: python -c 'import json; "
        "from edgemoe_appliance.schema.records import records_json_schema; "
        f"print(json.dumps(records_json_schema(), indent=2))' > {path.relative_to(root)}"
    )


def test_the_schema_asks_for_the_version_and_knows_no_other_keys() -> None:
    kinds = records_json_schema()["$defs"]
    for name in ("PeriodRecord", "HeaderRecord", "EndRecord"):
        assert kinds[name]["additionalProperties"] is False
        assert {"schema_version", "kind"} <= set(kinds[name]["required"])
        assert kinds[name]["properties"]["schema_version"]["const"] == 2


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        an_end().status = Status.OOM  # type: ignore[misc]


def test_caveats_share_no_numbers() -> None:
    caveats = [type(an_end().caveats[0])(code="a", text="b") for _ in range(2)]
    assert caveats[0].numbers == {}
    assert caveats[0].numbers is not caveats[1].numbers


def test_only_an_interrupted_run_is_made_again() -> None:
    assert {status for status in Status if not status.is_final} == {Status.INTERRUPTED}


def test_a_window_knows_its_length() -> None:
    assert Window(phase=Phase.IDLE, start_ns=0, end_ns=1_500_000_000).duration_s == 1.5
    assert Window(phase=Phase.IDLE, start_ns=0, end_ns=2**63 - 1).duration_s > 0


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\n", "a\x00", "x" * 256])
def test_a_sample_file_lies_in_its_folder(name: str) -> None:
    with pytest.raises(ValidationError):
        SampleFile(name=name, sha256=DIGEST, bytes=1)


def test_every_run_id_of_ours_can_be_recorded() -> None:
    spec = a_spec().model_copy(update={"model": "a" * 64, "prompt": "b" * 64})
    data = {**an_end().model_dump(), "run_id": spec.id}
    assert EndRecord.model_validate(data).run_id == spec.id


def test_every_registered_metric_can_be_recorded() -> None:
    data = {**an_end().model_dump(), "metrics": dict.fromkeys(METRICS, 1.0), "absent": {}}
    assert len(EndRecord.model_validate(data).metrics) == len(METRICS)
