import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lmprog.jobs import Document, Fields, JobError
from lmprog.jobs.documents import source


def rows(docs: Any, *args: Any) -> list[Document]:
    return list(source(docs, *args or (Fields(),)).read())


def texts(docs: Any, *args: Any) -> list[tuple[str | int, str]]:
    return [(doc.id, doc.text) for doc in rows(docs, *args) if doc.problem is None]


def problems(docs: Any, *args: Any) -> list[tuple[int | None, str, str]]:
    return [(doc.line, doc.text, doc.problem) for doc in rows(docs, *args) if doc.problem is not None]


def test_jsonl_with_and_without_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "x", "text": "one"}\r\n\n{"text": "two"}\n"three"\n{"id": 7, "text": ""}')

    assert [("x", "one"), (3, "two"), (4, "three"), (7, "")] == texts(path)


BROKEN = [
    (b'{"text": "a"', "line 2: not JSON: Expecting ',' delimiter at column 13"),
    (b"\xff\xfe", "line 2: not UTF-8: byte 0xff at offset 0"),
    (b"[1]", "line 2: expected a text or an object with the text in it, not a list"),
    (b'{"txt": "a"}', "line 2: the field 'text' is missing"),
    (b'{"text": 3}', "line 2: the field 'text' is a number, not text"),
    (b'{"text": "\\ud800"}', "line 2: the text is not valid Unicode"),
    (b"[" * 100_000, "line 2: not JSON: maximum recursion depth exceeded"),
    (b"\x00", "line 2: not JSON: Expecting value at column 1"),
]


@pytest.mark.parametrize(("line", "problem"), BROKEN, ids=[problem[8:40] for _, problem in BROKEN])
def test_a_broken_line_is_reported_and_the_rest_read(tmp_path: Path, line: bytes, problem: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'"before"\n' + line + b'\n"after"\n')
    found = rows(path)

    assert [1, 2, 3] == [doc.id for doc in found]
    assert (found[1].problem or "").startswith(f"{path}, {problem}")
    assert line.decode(errors="backslashreplace") == found[1].text


def test_csv_with_long_and_quoted_fields(tmp_path: Path) -> None:
    path, out = tmp_path / "a.csv", io.StringIO()
    csv.writer(out).writerows([["id", "text"], ["a", 'two\nlines, "quoted"'], ["b", "x" * 200_000]])
    path.write_text(out.getvalue())

    assert [("a", 'two\nlines, "quoted"'), ("b", "x" * 200_000)] == texts(path)


def test_csv_rows_of_another_width(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\na,one\nb\nc,three,more\nd,four\n")

    assert [("a", "one"), ("d", "four")] == texts(path)
    assert [3, 4] == [line for line, _, _ in problems(path)]
    assert problems(path)[1][1:] == ("['c', 'three', 'more']", f"{path}, line 4: 3 columns where the header has 2")


def test_csv_that_ends_inside_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text\none\n"two\nthree\n')

    assert [(2, "one")] == texts(path)
    assert problems(path)[0][2] == f"{path}, lines 3 to 4: not CSV: unexpected end of data"


def test_csv_without_the_text_column_names_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("body,id\nx,1\n")
    with pytest.raises(JobError, match="no column 'text', only body, id"):
        source(path, Fields())

    assert [("1", "x")] == texts(path, Fields(text="body"))


def test_folder_in_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "sub" / "c.txt").write_text("three")
    (tmp_path / "b.md").write_text("two")
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / ".hidden" / "d.txt").write_text("no")

    assert [("b.md", "two"), ("sub/c.txt", "three")] == texts(tmp_path)
    assert [(None, "", f"{tmp_path / 'a.txt'}: not UTF-8: byte 0xe9 at offset 3")] == problems(tmp_path)


def test_one_text_file_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n")

    assert [("a.txt", "one\ntwo\n")] == texts(path)
    assert [(1, "one"), (2, "two")] == texts(path, Fields(), "lines")


def test_standard_input_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'"a"\n"b"\n')))
    found = source("-", Fields())

    assert 2 == found.total
    assert ["a", "b"] == [doc.text for doc in found.read()]
    assert ["a", "b"] == [doc.text for doc in found.read()]


def test_values_in_memory() -> None:
    found = rows([{"text": "a", "truth": {"x": 1}}, "b", Document("k", "c"), 5])

    assert [(1, "a"), (2, "b"), ("k", "c")] == texts(["a", "b", Document("k", "c")])
    assert {"x": 1} == found[0].truth
    assert "expected a text or an object with the text in it, not a number" == found[3].problem


def test_missing_input() -> None:
    with pytest.raises(JobError, match=r"there is no input at no/such\.jsonl"):
        source("no/such.jsonl", Fields())


def test_digest_is_of_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": 1, "text": "one"}))

    assert source([{"id": 1, "text": "one"}], Fields()).digest == source(path, Fields()).digest
    assert source(["one."], Fields()).digest != source(path, Fields()).digest
