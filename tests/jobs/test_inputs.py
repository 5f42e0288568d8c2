"""Parquet, HTML, PDF, gzip, DuckDB; what is broken in them is the record's error alone."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmprog.jobs import Document, Fields, JobError
from lmprog.jobs.documents import source


def rows(docs: Any, *args: Any, **options: Any) -> list[Document]:
    return list(source(docs, *args or (Fields(),), **options).read())


def found(docs: Any, *args: Any, **options: Any) -> list[Any]:
    return [doc.problem or (doc.id, doc.text) for doc in rows(docs, *args, **options)]


def test_parquet_in_several_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"text {n}" if n != 5 else None for n in range(1000)]
    truth = [{"n": n} for n in range(1000)]
    pq.write_table(
        pa.table({"id": range(1000), "text": texts, "truth": truth, "more": texts}), path, row_group_size=300
    )
    docs = rows(path)

    assert [(n, f"text {n}") for n in range(1000) if n != 5] == [(d.id, d.text) for d in docs if d.problem is None]
    assert f"{path}, row 6: the field 'text' is missing" == docs[5].problem
    assert {"n": 999} == docs[999].truth


def test_a_bad_row_group_is_the_error_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"text {n} {n * 7919}" for n in range(300)]})
    pq.write_table(table, path, row_group_size=100, compression="snappy", use_dictionary=False)
    meta = pq.ParquetFile(path).metadata
    column = meta.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    docs = rows(path)

    assert list(range(101, 201)) == [doc.id for doc in docs if doc.problem is not None]
    assert "row 101: row group 1 cannot be read" in (docs[100].problem or "")
    assert "text 299 2367781" == docs[299].text


def test_parquet_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("text")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(JobError, match=r"cannot read .*a\.parquet"):
        source(tmp_path / "a.parquet", Fields())
    with pytest.raises(JobError, match="has no column 'text', only body"):
        source(tmp_path / "b.parquet", Fields())


def test_gzip(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": f"text {n} {n * 7919}"}) + "\n" for n in range(1000)).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"text\none\ntwo\n"))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines)[:2000])
    cut = found(tmp_path / "c.jsonl.gz")

    assert [(n + 1, f"text {n} {n * 7919}") for n in range(1000)] == found(tmp_path / "a.jsonl.gz")
    assert [(2, "one"), (3, "two")] == found(tmp_path / "b.csv.gz")
    assert 0 < len(cut) < 1000
    assert cut[-1].startswith(f"{tmp_path / 'c.jsonl.gz'} breaks off behind record {len(cut) - 1}: ")


PAGE = """<!doctype html><html><head><title>no</title><style>p {}</style></head><body><script>no()</script>
<h1>Invoice   7</h1><p>From <b>Acme</b> &amp; Co.<br>Total: <i>3.50</i></p>
<table><tr><th>item</th><th>price</th></tr><tr><td>tea</td><td>3.50</td></tr></table><ul><li>a</li><li>b</li></ul></body>"""


def test_html_is_read_as_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE)
    (tmp_path / "b.htm").write_bytes("<meta charset=iso-8859-1><p>café".encode("iso-8859-1"))

    text, latin = found(tmp_path)
    assert ("b.htm", "café\n") == latin
    assert ["Invoice 7", "From Acme & Co.", "Total: 3.50"] == [line for line in text[1].splitlines() if line][:3]
    assert ["item\tprice", "tea\t3.50", "a", "b"] == [line for line in text[1].splitlines() if line][3:]


def pdf(*pages: str) -> bytes:
    """A PDF of these lines, with a table of its objects."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(200, 200)
        font = {"/Type": NameObject("/Font"), "/Subtype": NameObject("/Type1"), "/BaseFont": NameObject("/Helvetica")}
        fonts = DictionaryObject({NameObject("/F1"): DictionaryObject({NameObject(k): v for k, v in font.items()})})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pdf_is_read_as_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Invoice from Acme", "Total 3.50"))

    assert [("a.pdf", "Invoice from Acme\n\nTotal 3.50")] == found(tmp_path / "a.pdf")


def test_broken_files_are_errors_of_their_own(tmp_path: Path) -> None:
    whole = pdf("Invoice from Acme")
    (tmp_path / "a.md").write_text("# Title\n")
    (tmp_path / "b.html").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "c.pdf").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "d.pdf").write_bytes(b"\0\1\2" * 1000)
    (tmp_path / "e.pdf").write_bytes(pdf(""))
    (tmp_path / "f.txt").write_bytes(b"\xff")
    (tmp_path / "g.pdf").write_bytes(b"")
    (tmp_path / "z.txt").write_text("last")
    first, *broken, last = found(tmp_path)

    assert [("a.md", "# Title\n"), ("z.txt", "last")] == [first, last]
    assert f"{tmp_path / 'b.html'}: not HTML: it holds NUL bytes" == broken[0]
    assert broken[1].startswith(f"{tmp_path / 'c.pdf'}: not a readable PDF: ")
    assert broken[2].startswith(f"{tmp_path / 'd.pdf'}: not a readable PDF: ")
    assert broken[3].endswith("no text in the PDF: are its pages pictures?")
    assert broken[4].endswith("not UTF-8: byte 0xff at offset 0")
    assert "not a readable PDF" in broken[5]


@pytest.mark.parametrize("cut", range(20, 700, 45))
def test_a_pdf_cut_anywhere_is_text_or_an_error(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Invoice from Acme")[:cut])
    (doc,) = rows(tmp_path / "a.pdf")

    assert (doc.problem is None) == ("Invoice" in doc.text)


def test_the_digest_of_a_folder_is_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("one"))
    first = source(tmp_path, Fields()).digest
    assert first == source(tmp_path, Fields()).digest
    (tmp_path / "a.pdf").write_bytes(pdf("two"))

    assert first != source(tmp_path, Fields()).digest


def test_a_query(tmp_path: Path) -> None:
    base = tmp_path / "shop.duckdb"
    with duckdb.connect(str(base)) as connection:
        connection.execute(
            "CREATE TABLE mails AS SELECT i AS nr, 'mail ' || i AS body, DATE '2020-01-01' AS day FROM range(600) t(i)"
        )
    query = "SELECT nr AS id, body AS text, {'day': day, 'n': nr} AS truth FROM mails WHERE nr % 2 = 0"
    docs = rows(str(base), query=query)

    assert [(n, f"mail {n}") for n in range(0, 600, 2)] == [(doc.id, doc.text) for doc in docs]
    assert {"day": "2020-01-01", "n": 4} == docs[2].truth
    assert source(base, Fields(), query=query).digest == source(base, Fields(), query=query).digest


def test_a_query_over_files(tmp_path: Path) -> None:
    pq.write_table(pa.table({"t": ["a", None]}), tmp_path / "x.parquet")
    query = f"SELECT t AS text FROM '{tmp_path}/*.parquet'"

    assert [(1, "a"), "the query, row 2: the field 'text' is missing"] == found(":memory:", query=query)


QUERIES = [
    (":memory:", "SELECT 1 AS x", "the query has no column 'text', only x"),
    (":memory:", "SELECT text FROM nothing", "the query fails: Catalog Error"),
    ("no.duckdb", "SELECT 1", "there is no database at no.duckdb"),
]


@pytest.mark.parametrize(("base", "query", "message"), QUERIES)
def test_queries_that_fail(base: str, query: str, message: str) -> None:
    with pytest.raises(JobError, match=message):
        source(base, Fields(), query=query)


def test_a_database_without_a_query(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "a.duckdb")).close()
    with pytest.raises(JobError, match="is a database: say what to read from it with a query"):
        source(tmp_path / "a.duckdb", Fields())


def test_only_wanted_records_are_parsed(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"{n}.txt").write_text(f"text {n}")
    docs = source(tmp_path, Fields())
    (tmp_path / "1.txt").write_bytes(b"\xff")  # would be an error if it were read

    assert [(0, "text 0"), (3, "text 3")] == [(n, doc.text) for n, doc in docs.pick(lambda n: n in (0, 3))]
    (tmp_path / "9.txt").write_text("more")
    with pytest.raises(JobError, match="changed while the job ran: 6 records where there were 5"):
        list(docs.pick(lambda n: True))
