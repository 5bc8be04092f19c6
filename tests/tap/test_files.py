"""The files source: what is read, what is set aside, and what a later run still has to read."""

from __future__ import annotations

import gzip
import json
import logging
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tap_journeys.sources import files_parquet
from tap_journeys.sources.files_stream import FileStream
from tap_journeys.tap import TapJourneys
from tests.tap.running import last_state, records, run, settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def csv_stream(path: str = "*.csv", **others: Any) -> dict[str, Any]:
    return settings({"name": "visits", "path": path, **others})


def without_hash(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: record[key] for key in record if key != "_record_hash"} for record in found]


def write(path: str, content: str | bytes) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def append(path: str, content: str) -> None:
    with Path(path).open("ab") as file:
        file.write(content.encode())


# What is read


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("a,b\r\n1,2\r\n", [{"a": "1", "b": "2"}]),
        ("a,b\n1,2", [{"a": "1", "b": "2"}]),
        ("a,b\n1,\n", [{"a": "1", "b": ""}]),
        ("\ufeffa,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("\n\na,b\n\n1,2\n\r\n3,4\n\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ('a,b\n"x\ny",2\n3,4\n', [{"a": "x\ny", "b": "2"}, {"a": "3", "b": "4"}]),
        ('a,b\r\n"x\r\ny",2\r\n', [{"a": "x\r\ny", "b": "2"}]),
        ('a,b\n"say ""hi""",2\n', [{"a": 'say "hi"', "b": "2"}]),
        ('a,b\n5" screen,2\n', [{"a": '5" screen', "b": "2"}]),
        ('a,b\n"5" screen",2\n3,4\n', [{"a": '5 screen"', "b": "2"}, {"a": "3", "b": "4"}]),
        ("a,b\n1\0x,2\n", [{"a": "1\0x", "b": "2"}]),
        ('"a\nb",c\n1,2\n', [{"a\nb": "1", "c": "2"}]),
        ("a,,a,\n1,2,3,4\n", [{"a": "1", "column_2": "2", "a_2": "3", "column_4": "4"}]),
        ("a,a,a_2\n1,2,3\n", [{"a": "1", "a_3": "2", "a_2": "3"}]),
        ("a,b\n", []),
        ("a,b", []),
        ("", []),
        ("\n\n", []),
    ],
)
def test_csv_values_pass_through_unchanged(content, expected):
    write("a.csv", content)
    assert without_hash(records(run(csv_stream()))) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a":1}\n{"b":[2]}\n', [{"a": 1}, {"b": [2]}]),
        ('\ufeff{"a":1}\r\n\r\n{"a":2}', [{"a": 1}, {"a": 2}]),
        ('{"a":"\\u0000"}\n  \n', [{"a": "\0"}]),
        ('{"a":18446744073709551617}\n', [{"a": 18446744073709551617}]),
        ('{"a":null,"b":{"c":{}}}\n', [{"a": None, "b": {"c": {}}}]),
        ("", []),
        ("\n", []),
    ],
)
def test_json_lines_pass_through_unchanged(content, expected):
    write("a.jsonl", content)
    assert without_hash(records(run(csv_stream("a.jsonl")))) == expected


def test_decimals_keep_their_digits(capsys):
    write("a.jsonl", '{"price":19.90,"share":0.12345678901234567890123}\n')
    TapJourneys(config=csv_stream("a.jsonl", primary_keys=["price"])).sync_all()
    assert '{"price":19.90,"share":0.12345678901234567890123}' in capsys.readouterr().out


def test_delimiter_and_encoding_are_settings():
    write("a.csv", "naïve;b\né;2\n".encode("latin-1"))
    config = csv_stream(delimiter=";", encoding="latin-1")
    assert without_hash(records(run(config))) == [{"naïve": "é", "b": "2"}]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "UTF_8"])
def test_every_encoding_is_read(encoding):
    write("a.csv", 'a,b\r\n"x\ny",é\r\n1,ਊ\r\n'.encode(encoding))
    expected = [{"a": "x\ny", "b": "é"}, {"a": "1", "b": "ਊ"}]
    assert without_hash(records(run(csv_stream(encoding=encoding)))) == expected


def test_a_line_of_20_megabytes_is_read():
    value = "x" * 20_000_000
    write("a.csv", f"a,b\n{value},1\n")
    write("b.jsonl", json.dumps({"a": value}) + "\n")
    assert len(records(run(csv_stream()))[0]["a"]) == 20_000_000
    assert len(records(run(csv_stream("b.jsonl")))[0]["a"]) == 20_000_000


def test_gzip_is_unpacked():
    write("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0))
    write("b.JSONL.GZ", gzip.compress(b'{"a":1}\n{"a":2}', mtime=0))
    assert without_hash(records(run(csv_stream("a.csv.gz")))) == [{"a": "1", "b": "2"}]
    assert without_hash(records(run(csv_stream("b.*")))) == [{"a": 1}, {"a": 2}]


def test_every_file_is_read_by_its_own_header_in_order_of_name():
    write("in/2.csv", "b,a\n1,2\n")
    write("in/deep/er/1.csv", "c\n3\n")
    write("in/1.csv", "a,b\n1,2\n")
    messages = run(csv_stream("in/**/*.csv"))
    assert without_hash(records(messages)) == [
        {"a": "1", "b": "2"},
        {"b": "1", "a": "2"},
        {"c": "3"},
    ]
    schema = messages[0]["schema"]["properties"]
    assert schema == {
        "a": {"type": ["string", "null"]},
        "b": {"type": ["string", "null"]},
        "c": {"type": ["string", "null"]},
        "_record_hash": {"type": "string"},
    }


def test_an_exact_duplicate_has_the_same_hash():
    write("a.csv", "a,b\n1,2\n1,2\n2,1\n")
    write("b.csv", "b,a\n2,1\n")
    first, second, third, fourth = (each["_record_hash"] for each in records(run(csv_stream())))
    assert first == second == fourth != third


def test_primary_keys_replace_the_hash():
    write("a.csv", "id,b\n1,2\n")
    messages = run(csv_stream(primary_keys=["id"]))
    assert messages[0]["key_properties"] == ["id"]
    assert records(messages) == [{"id": "1", "b": "2"}]


def test_keys_beyond_the_first_records_pass_through():
    lines = [json.dumps({"a": number}) for number in range(200)] + ['{"a":1,"late":2}']
    write("a.jsonl", "\n".join(lines) + "\n")
    messages = run(csv_stream("a.jsonl"))
    assert "late" not in messages[0]["schema"]["properties"]
    assert records(messages)[-1]["late"] == 2


def test_parquet_values_become_json():
    berlin = pa.timestamp("ns", tz="Europe/Berlin")
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    table = pa.table(
        {
            "n": [1, None],
            "text": ["é", None],
            "at": pa.array([moment, None], berlin),
            "naive": pa.array([datetime(2026, 1, 2), None], pa.timestamp("ms")),  # noqa: DTZ001
            "day": [date(2026, 1, 2), None],
            "price": [Decimal("19.90"), None],
            "raw": [b"\xff\x00", None],
            "nested": pa.array(
                [{"when": [moment], "ok": True}, None],
                pa.struct([("when", pa.list_(pa.timestamp("ns", tz="UTC"))), ("ok", pa.bool_())]),
            ),
            "kind": pa.array(["a", "a"]).dictionary_encode(),
        }
    )
    pq.write_table(table, "a.parquet")
    messages = run(csv_stream("a.parquet", primary_keys=["kind"]))
    first, second = records(messages)
    assert first == {
        "n": 1,
        "text": "é",
        "at": "2026-01-02T04:04:05.678901+01:00",
        "naive": "2026-01-02T00:00:00",
        "day": "2026-01-02",
        "price": "19.90",
        "raw": "/wA=",
        "nested": {"when": ["2026-01-02T03:04:05.678901+00:00"], "ok": True},
        "kind": "a",
    }
    assert {value for key, value in second.items() if key != "kind"} == {None}
    assert messages[0]["schema"]["properties"]["at"] == {
        "type": ["string", "null"],
        "format": "date-time",
    }


def test_parquet_names_the_extra_that_is_missing(monkeypatch):
    monkeypatch.setattr(files_parquet, "is_installed", lambda: False)
    with pytest.raises(Exception, match=r"pip install 'product-journeys\[parquet\]'"):
        TapJourneys(config=csv_stream("*.parquet"))


def test_stream_maps_and_deselected_columns_still_work():
    write("a.csv", "a,b\n1,2\n")
    config = csv_stream() | {"stream_maps": {"visits": {"c": "a + b"}}}
    assert without_hash(records(run(config))) == [{"a": "1", "b": "2", "c": "12"}]

    catalog = TapJourneys(config=csv_stream()).catalog_dict
    for entry in catalog["streams"][0]["metadata"]:
        if entry["breadcrumb"] == ["properties", "b"]:
            entry["metadata"]["selected"] = False
    messages = run(csv_stream(), catalog=catalog)
    assert without_hash(records(messages)) == [{"a": "1"}]


def test_a_pattern_without_files_is_a_warning(caplog):
    assert records(run(csv_stream("none/*.csv"))) == []
    (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "visits" in warning.message
    assert "none/*.csv" in warning.message


# What is set aside

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("path", "content", "good", "faults"),
    [
        ("a.csv", b"a,b\nhunter2\n1,2\n", 1, ["line 2: 1 fields where the header has 2"]),
        ("a.csv", b"a,b\n1,2,hunter2\n1,2\n", 1, ["line 2: 3 fields where the header has 2"]),
        ("a.csv", b"a,b\n\xff,hunter2\n1,2\n", 1, ["line 2: bytes that do not fit"]),
        ("a.csv", b"a,b\n1,hun\rter2\n1,2\n", 1, ["line 2: a carriage return"]),
        ("a.csv", b'a,b\n1,"hunter2\n1,2\n3,4\n', 2, ["line 2: a quote that is never closed"]),
        (
            "a.csv",
            b'a,b\n1,"hunter2\n1,2\n3,"4"\n',
            2,
            ["line 2: a quote where none"],
        ),
        ("a.csv", b'a,b\n1,2\n"hunter2,3\n' + b"4,5\n" * 1500, 1501, ["line 3: a quote"]),
        ("a.csv", b'a,b\n1,"x\ny",3,4\n1,2\n', 1, ["line 2: 4 fields", "line 3: 3 fields"]),
        ("a.csv", b'a,b\n1,"x\n\xff\n5,"6"\n1,2\n', 2, ["line 2: bytes", "line 3: bytes"]),
        ("a.csv", b'a,b\n1,"x\ny"\nhunter2\n1,2\n', 2, ["line 4: 1 fields"]),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\nhunter2", mtime=0), 1, ["line 3: 1 fields"]),
        ("a.jsonl", b'{"a":1}\n{"a":hunter2}\n{"a":2}\n', 2, ["line 2: not valid JSON"]),
        (
            "a.jsonl",
            b'["hunter2"]\n"hunter2"\n{"a":2}\n',
            1,
            ["line 1: not a JSON object", "line 2"],
        ),
        ("a.jsonl", b'{"a":"\xffhunter2"}\n{"a":2}\n', 1, ["line 1: bytes that do not fit"]),
        ("a.jsonl", b'{"a":"\\ud800hunter2"}\n{"a":2}\n', 1, ["line 1: not valid JSON"]),
        ("a.jsonl", b'{"a":"\0hunter2"}\n{"a":2}\n', 1, ["line 1: not valid JSON"]),
        ("a.jsonl", b'{"a":NaN}\n{"a":2}\n', 1, ["line 1: not valid JSON"]),
        ("a.jsonl", b"[" * 100_000 + b'\n{"a":2}\n', 1, ["line 1: JSON that is nested too deeply"]),
        (
            "a.jsonl",
            b'{"a":' * 300 + b"1" + b"}" * 300 + b'\n{"a":[' + b"[]," * 300 + b"1]}\n",
            1,
            ["line 1: JSON that is nested too deeply"],
        ),
        ("a.jsonl.gz", gzip.compress(b'{"a":1}\n{"a":', mtime=0), 1, ["line 2: not valid JSON"]),
    ],
)
def test_a_broken_line_is_set_aside_and_named(path, content, good, faults, caplog):
    write(path, content)
    tap = TapJourneys(config=csv_stream(path))
    found = list(tap.streams["visits"].get_records(None))
    assert len(found) == good
    warnings = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == len(faults) == tap.streams["visits"].set_aside
    for warning, fault in zip(warnings, faults, strict=True):
        assert warning.startswith(f"{path}, ")
        assert any(each in warning for each in fault.split("|"))
        assert SECRET not in warning


def test_bytes_that_are_no_utf_16_are_set_aside(caplog):
    content = (
        "a,b\n1,2\n".encode("utf-16-le") + b"\x00\xdc,\x00x\x00\n\x00" + "3,4\n".encode("utf-16-le")
    )
    write("a.csv", content)
    assert len(records(run(csv_stream(encoding="utf-16-le")))) == 2
    assert "line 3: bytes that do not fit the encoding" in caplog.text


def test_a_record_without_its_primary_key_is_set_aside(caplog):
    write("a.jsonl", '{"id":1}\n{"id":null}\n{"x":1}\n{"id":2}\n')
    assert records(run(csv_stream("a.jsonl", primary_keys=["id"]))) == [{"id": 1}, {"id": 2}]
    assert "line 2: no value for a primary key" in caplog.text
    assert "line 3: no value for a primary key" in caplog.text


def test_only_the_first_warnings_of_a_file_are_printed(caplog):
    write("a.csv", "a,b\n" + "broken\n" * 1234)
    run(csv_stream())
    warnings = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 11
    assert warnings[-1] == "a.csv: 1,224 more lines set aside"


def test_line_numbers_go_on_in_a_file_that_grew(caplog):
    write("a.csv", "a,b\n1,2\nbroken\n")
    state = last_state(run(csv_stream()))
    caplog.clear()
    append("a.csv", "3,4\nbroken\n")
    run(csv_stream(), state)
    warnings = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "a.csv, line 5: " in warnings[0]


def test_what_was_set_aside_is_not_reported_again(caplog):
    write("a.csv", "a,b\nbroken\n")
    state = last_state(run(csv_stream()))
    caplog.clear()
    run(csv_stream(), state)
    os.utime("a.csv", (1, 1))
    run(csv_stream(), state)
    assert not [each for each in caplog.records if each.levelno == logging.WARNING]


# What a later run still has to read


def test_an_unchanged_file_is_not_opened(monkeypatch):
    write("a.csv", "a,b\n1,2\n")
    state = last_state(run(csv_stream()))
    monkeypatch.setattr(FileStream, "_read_lines", None)
    assert records(run(csv_stream(), state)) == []


@pytest.mark.parametrize(
    ("path", "before", "after", "expected"),
    [
        ("a.csv", "a\n1\n", "a\n1\n2\n", [{"a": "2"}]),
        ("a.csv", "\ufeffa\n1\n", "\ufeffa\n1\n2\n", [{"a": "2"}]),
        ("a.csv", "a\n1\n", "a\n1\n2", [{"a": "2"}]),
        ("a.csv", "a\n1\n2", "a\n1\n23\n4\n", [{"a": "23"}, {"a": "4"}]),
        ("a.csv", "a", "a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("a.csv", "", "a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("a.csv", "a,b\n", "a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        (
            "a.csv",
            'a,b\n1,"x\ny"',
            'a,b\n1,"x\ny"\n2,3\n',
            [{"a": "1", "b": "x\ny"}, {"a": "2", "b": "3"}],
        ),
        ("a.csv", "a\n1\n2\n", "a\n7\n8\n", [{"a": "7"}, {"a": "8"}]),
        ("a.csv", "a\n1\n2\n", "a\n1\n", [{"a": "1"}]),
        ("a.csv", "a\n1\n", "b\n1\n2\n", [{"b": "1"}, {"b": "2"}]),
        ("a.csv", "a\n1\n2", "a\n1\n3", [{"a": "3"}]),
        ("a.csv", "a,b\n1,2\n3", "a,b\n1,2\n3,4\n", [{"a": "3", "b": "4"}]),
        ("a.jsonl", '{"a":1}\n', '{"a":1}\n{"a":2}\n', [{"a": 2}]),
        ("a.jsonl", '{"a":1}\n{"a"', '{"a":1}\n{"a":2}\n', [{"a": 2}]),
        ("a.jsonl", '{"a":1}\n', '{"b":1}\n', [{"b": 1}]),
    ],
)  # fmt: skip
def test_only_what_is_new_is_read(path, before, after, expected, caplog):
    write(path, before)
    state = last_state(run(csv_stream(path)))
    write(path, after)
    os.utime(path, (1, 1))
    assert without_hash(records(run(csv_stream(path), state))) == expected
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_touched_file_is_not_read_again():
    write("a.csv", "a\n1\n")
    state = last_state(run(csv_stream()))
    os.utime("a.csv", (1, 1))
    messages = run(csv_stream(), state)
    assert records(messages) == []
    entry = last_state(messages)["bookmarks"]["visits"]["files"]["a.csv"]
    assert entry["mtime_ns"] == 1_000_000_000


def test_packed_and_recoded_files_are_read_again_as_a_whole_when_they_change():
    for path, pack in {"a.csv.gz": gzip.compress, "b.csv": lambda text: text}.items():
        encoding = "utf-8" if path == "a.csv.gz" else "utf-16"
        config = csv_stream(path, encoding=encoding)
        write(path, pack("a\n1\n".encode(encoding)))
        state = last_state(run(config))
        assert records(run(config, state)) == []
        write(path, pack("a\n1\n2\n".encode(encoding)))
        assert without_hash(records(run(config, state))) == [{"a": "1"}, {"a": "2"}]


def test_parquet_is_read_again_when_it_changes():
    pq.write_table(pa.table({"a": [1]}), "a.parquet")
    state = last_state(run(csv_stream("a.parquet")))
    assert records(run(csv_stream("a.parquet"), state)) == []
    pq.write_table(pa.table({"a": [1, 2]}), "a.parquet")
    assert without_hash(records(run(csv_stream("a.parquet"), state))) == [{"a": 1}, {"a": 2}]


def test_a_file_that_vanished_is_forgotten():
    write("a.csv", "a\n1\n")
    write("b.csv", "a\n2\n")
    state = last_state(run(csv_stream()))
    Path("a.csv").unlink()
    state = last_state(run(csv_stream(), state))
    assert set(state["bookmarks"]["visits"]["files"]) == {"b.csv"}
    write("a.csv", "a\n1\n")
    assert without_hash(records(run(csv_stream(), state))) == [{"a": "1"}]


def test_a_bookmark_of_another_making_is_no_obstacle():
    write("a.csv", "a\n1\n")
    for files in (None, [], {"a.csv": None}, {"a.csv": {"offset": "x", "digest": 1}}, {"a.csv": 7}):
        state = {"bookmarks": {"visits": {"files": files}}}
        assert len(records(run(csv_stream(), state))) == 1


@pytest.mark.parametrize("frequency", [1, 2, 3, 7])
def test_a_run_that_was_killed_after_any_state_loses_nothing(frequency, monkeypatch):
    monkeypatch.setattr(FileStream, "STATE_MSG_FREQUENCY", frequency)
    rows = "".join(f'{number},"line\n{number}"\n' for number in range(5))
    write("a.csv", f"a,b\n{rows}\nbroken\n5,x\n6,y")
    write("b.jsonl", "".join(f'{{"a":{number}}}\n' for number in range(6)) + "{broken\n{}\n")
    write("c.csv.gz", gzip.compress(b"a,b\n7,8\n8,9\n", mtime=0))
    pq.write_table(pa.table({"a": [10, 11, 12]}), "d.parquet")
    config = csv_stream("*.*")
    messages = run(config)
    whole = [each["_record_hash"] for each in records(messages)]
    assert len(whole) == len(set(whole)) == 19
    states = [number for number, each in enumerate(messages) if each["type"] == "STATE"]
    assert len(states) >= 14 // frequency
    sizes = set()
    for number in states:
        before = {each["_record_hash"] for each in records(messages[:number])}
        after = {each["_record_hash"] for each in records(run(config, messages[number]["value"]))}
        assert before | after == set(whole)
        sizes.add(len(after))
    assert len(sizes) > 2  # it goes on inside of the files
    assert records(run(config, messages[-1]["value"])) == []


def test_a_state_never_covers_a_record_that_comes_after_it(monkeypatch):
    monkeypatch.setattr(FileStream, "STATE_MSG_FREQUENCY", 1)
    write("a.jsonl", "".join(f'{{"a":{number}}}\n' for number in range(20)))
    written = 0
    for message in run(csv_stream("a.jsonl")):
        if message["type"] == "RECORD":
            written += len(f'{{"a":{message["record"]["a"]}}}\n')
        elif message["type"] == "STATE":
            entry = message["value"]["bookmarks"]["visits"]["files"].get("a.jsonl", {})
            assert entry.get("offset", 0) <= written


def test_a_file_may_grow_at_any_byte():
    content = 'a,b\n1,"x\ny"\n\n2,é\r\n3,"4"\n'.encode()
    for cut in range(len(content) + 1):
        write("a.csv", content[:cut])
        first = run(csv_stream())
        write("a.csv", content)
        second = run(csv_stream(), last_state(first))
        found = {(each["a"], each.get("b")) for each in records(first) + records(second)}
        inside_quotes = content[:cut].endswith(b'"x\n')  # cut off between the two lines of a row
        if not inside_quotes:
            assert found >= {("1", "x\ny"), ("2", "é"), ("3", "4")}, cut


# What cannot be read at all


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("a.parquet", b"not parquet", "not a Parquet file"),
        ("a.csv.gz", b"not gzip", "not a whole gzip file"),
        ("a.csv.gz", gzip.compress(b"a\n1\n" * 9999, mtime=0)[:-20], "not a whole gzip file"),
        ("a.txt", b"a\n1\n", "its suffix names no format"),
        ("a.csv", b"\xff\xfe\n1\n", "its header has bytes that do not fit the encoding"),
        ("a.csv", b'"a\n1\n', "its header has a quote that is never closed"),
        ("a.csv", b"other\n1\n", "its header lacks a column that `primary_keys` names"),
    ],
)
def test_an_unreadable_file_is_named_and_the_others_are_read(path, content, reason, caplog):
    write(path, content)
    write("z.csv", "id\n1\n")
    config = settings(
        {"name": "bad", "path": path, "primary_keys": ["id"]},
        {"name": "good", "path": "z.csv", "primary_keys": ["id"]},
    )
    state = {"bookmarks": {"bad": {"files": {path: {"size": 1, "mtime_ns": 1}}}}}
    messages = run(config, state)
    assert records(messages, "good") == [{"id": "1"}]
    assert last_state(messages)["bookmarks"]["bad"] == state["bookmarks"]["bad"]
    (line,) = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert "Stream 'bad'" in line
    assert path in line
    assert reason in line


def test_a_folder_is_not_a_file():
    Path("folder.csv").mkdir()
    write("a.csv", "a\n1\n")
    assert len(records(run(csv_stream()))) == 1
