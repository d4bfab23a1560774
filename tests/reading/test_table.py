"""Reading one file: every cell as it stands, and every fault with its line."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.errors import DataError
from pipeline.reading import source, table
from pipeline.reading.archive import Limits
from pipeline.reading.lines import LineEnds
from pipeline.reading.table import read_table
from pipeline.settings import Files

AUTO = Files()


def write(tmp_path, content, name="t.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def cells(raw):
    """Column -> cells, as Python values."""
    return raw.columns.to_pydict()


def fault_of(file, files=AUTO):
    """The sentence that the file is refused with, the file written F."""
    with pytest.raises(DataError) as caught:
        read_table(file, files)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    return message.replace(str(file), "F")


def texts(raw):
    """What was noticed, without the file's name."""
    assert {notice.subject for notice in raw.notices} <= {Path(raw.file).name}
    return [(notice.text, notice.count) for notice in raw.notices]


def zipped(members):
    """The bytes of a zip of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in members.items():
            packed.writestr(name, text)
    return content.getvalue()


def test_every_cell_stays_the_text_it_was(tmp_path):
    """Leading zeros, "NA", "None", blanks, long integers, quoted commas and line breaks: nothing is stripped."""
    raw = read_table(
        write(tmp_path, 'id,a\n0012,NA\n007,None\n9,\n1,"x, y"\n2,123456789012345678901234567890\n3,"p\nq"\n 4 , "\n'),
        AUTO,
    )
    assert cells(raw) == {
        "id": ["0012", "007", "9", "1", "2", "3", " 4 "],
        "a": ["NA", "None", "", "x, y", "123456789012345678901234567890", "p\nq", ' "'],
    }
    assert raw.columns.schema.types == [pa.string(), pa.string()]
    assert raw.columns.column("a").null_count == 0
    assert (raw.file, raw.decimal, raw.rows, raw.names) == (str(tmp_path / "t.csv"), ".", 7, ["id", "a"])


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("a,b\n1,2\n3,4\n", [2, 3]),
        ("a,b\r\n1,2\r\n3,4", [2, 3]),
        ("a,b\r1,2\r3,4\r", [2, 3]),
        ("\n\na,b\n1,2\n3,4\n", [4, 5]),
        ("a,b\n1,2\n\n\n3,4\n\n", [2, 5]),
        ('"a\nb",c\n1,2\n3,4\n', [3, 4]),
        ('a,b\n1,"x\r\ny"\r\n\r\n3,4\n5,6', [2, 5, 6]),
        ("a\n1\n\n2\n", [2, 4]),
        ('a\n""\n2\n\n\n\n', [2, 3]),
    ],
)
def test_the_line_of_a_row_counts_blank_lines_and_line_breaks_in_quotes(tmp_path, content, lines):
    """Counted from 1, the header included; a row of several lines stands on its first."""
    raw = read_table(write(tmp_path, content), AUTO)
    assert [raw.line_of(row) for row in range(raw.rows)] == lines


def test_a_line_end_of_two_bytes_is_one_wherever_blocks_end():
    r"""\r at the end of one block and \n at the start of the next; a lone \r and a lone \n are one each."""
    ends = LineEnds()
    for block in (b"a\r", b"\nb\n", b"", b"\r", b"c\r", b"\n"):
        ends.count(block)
    assert ends.total == 4


def test_lines_are_counted_only_when_somebody_asks_and_only_once(tmp_path, monkeypatch):
    """A file of a gigabyte is not read again for a line that no message names."""
    raw = read_table(write(tmp_path, "a,b\n1,2\n\n3,4\n"), AUTO)
    looks = []
    blocks = source.Source.utf8_blocks
    monkeypatch.setattr(source.Source, "utf8_blocks", lambda *args: looks.append(1) or blocks(*args))
    assert (raw.line_of(1), len(looks)) == (4, 2)
    assert (raw.line_of(0), len(looks)) == (2, 2)


def test_a_file_that_changed_since_has_no_lines(tmp_path):
    """A wrong line would be worse than none."""
    file = write(tmp_path, "a,b\n1,2\n\n3,4\n")
    raw = read_table(file, AUTO)
    file.write_text("a,b\n1,2\n")
    with pytest.raises(DataError) as caught:
        raw.line_of(0)
    assert str(caught.value) == f"{file}: 2 rows were read, and now it has 1; run again"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "F: the file is empty; was the download cut short?"),
        (b"\n\r\n", "F: nothing but blank lines, expected a table; was the download cut short?"),
        (b"a,b\n", "F: a header and no rows; was the download cut short?"),
        (b"a,b", "F: a header and no rows; was the download cut short?"),
        (b"a,b\n1,2\n3,\0\n", "F: line 3: a NUL byte, which no text has; download it again"),
        (
            b"a,b\n1,2,3\n4,5\n",
            (
                "F: line 2: 3 fields, the header has 2; correct that line: a comma within a text needs quotes around "
                "the text (1 such row of 2)"
            ),
        ),
        (
            b"a,b\n1,2,\n3,4,\n",
            (
                "F: line 2: every row ends with a comma and the header does not (3 fields, the header has 2); remove "
                "it from the rows, or add one to the header"
            ),
        ),
        (
            b"a,b\n1,2,3\n4,5,6\n",
            "F: line 2: 3 fields, as in every row, the header has 2; name the missing column in the header",
        ),
        (
            b"a,b\n1,2\n\n3\n4,5\n6\n",
            (
                "F: line 4: 1 field, the header has 2; complete that line: a missing cell still has its comma "
                "(2 such rows of 4)"
            ),
        ),
        (
            b"a,b,c\n1,2,3\n4,5",
            (
                "F: line 3: 2 fields, the header has 3; there the file ends: download it again if it was cut short, or "
                "complete that line: a missing cell still has its comma (1 such row of 2)"
            ),
        ),
        (
            b'a,b,c\n1,"2\n3",4\n5,"6\n7"\n8,9,0\n',
            (
                "F: line 4: 2 fields, the header has 3 (quotes make it go on to line 5); correct that line: a comma "
                "within a text needs quotes around the text (1 such row of 3)"
            ),
        ),
        (
            b'a,b\n1,2\n3,"x\n4,"y,z"\n5,6\n',
            (
                "F: line 3: 3 fields, the header has 2 (quotes make it go on to line 4); correct that line: a comma "
                "within a text needs quotes around the text (1 such row of 3)"
            ),
        ),
        (
            b'a,b\n1,"2\n3,4\n5,6\n',
            "F: line 2: a quote is opened and never closed; close it, or double it if it is text",
        ),
        (
            b'a,b\n"x\ny",3\n4,"\n5,6',
            "F: line 4: a quote is opened and never closed; close it, or double it if it is text",
        ),
        (b'a\n1\n"', "F: line 3: a quote is opened and never closed; close it, or double it if it is text"),
        (
            b'a,"b\n1,2\n3,4\n',
            "F: line 1: the header has a quote that is never closed; close it, or double it if it is text",
        ),
        (b"a,b,\n1,2,\n3,4,5\n", "F: line 1: column 3 of 3 has no name; name it"),
        (b"a,,c\n1,2,3\n", "F: line 1: column 2 of 3 has no name; name it"),
        (b"\na, ,c\n1,2,3\n", "F: line 2: column 2 of 3 has no name; name it"),
        (b'""\n1\n', "F: line 1: column 1 of 1 has no name; name it"),
        (b"a,b,a\n1,2,3\n", "F: line 1: columns 1 and 3 are both named 'a'; rename one"),
        (b"a, a\n1,2\n", "F: line 1: columns 1 and 2 are both named 'a'; rename one"),
        (
            b"1,2.5,-3e4,7\n1,2,3,4\n",
            "F: line 1: no header line? nothing but numbers (1, 2.5, -3e4, …); add a line with the column names",
        ),
        (
            ",".join(f"c{n}" for n in range(100_001)).encode() + b"\n1\n",
            "F: line 1: 100,001 columns, at most 100,000 are read; is it a table?",
        ),
    ],
)
def test_a_file_that_is_not_a_whole_table_is_refused_with_its_line(tmp_path, content, message):
    """Never shifted, never padded, never guessed."""
    assert fault_of(write(tmp_path, content)) == message


PAGE = "F: line 1: a web page or an error message (HTML or XML), expected a table; download it again"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html>\n<html>", PAGE),
        (b"\xef\xbb\xbf\n <HTML lang='en'>", PAGE),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', PAGE),
        (
            b'{"code":403,"message":"Forbidden"}',
            "F: line 1: JSON, expected a table; is it an error message? download it again, or save it as CSV",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n",
            "F: line 1: a git-lfs pointer and not the data; run git lfs pull",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "F: line 1: an Excel file (.xls); save it as CSV"),
        (
            zipped({"[Content_Types].xml": "<x>", "xl/workbook.xml": "<x>"}),
            "F: a spreadsheet (Excel or OpenDocument); save it as CSV",
        ),
        (b"BZh91AY", "F: line 1: a bzip2 file; unpack it first"),
        (zipped({"a.csv": "1", "b.csv": "2"}), "F: a zip of 2 files ('a.csv', 'b.csv'), expected one; unzip it first"),
        (zipped({}), "F: a zip of 0 files, expected one; unzip it first"),
        (b"PK\x03\x04abc", "F: cannot be unpacked (File is not a zip file); download it again"),
        (
            gzip.compress(b"a,b\n1,2\n" * 100, mtime=0)[:-9],
            (
                "F: cannot be unpacked (Compressed file ended before the end-of-stream marker was reached); download "
                "it again"
            ),
        ),
        (gzip.compress(gzip.compress(b"a", mtime=0), mtime=0), "F: a gzip file inside a gzip file; unpack it first"),
        (gzip.compress(b"<html>", mtime=0), PAGE),
    ],
)
def test_what_is_no_table_is_called_by_its_name(tmp_path, content, message):
    """A web page, a pointer, a spreadsheet, JSON, a damaged or nested archive: none of them "loads"."""
    assert fault_of(write(tmp_path, content)) == message


def test_what_is_no_file_is_refused(tmp_path):
    """A folder, a device and nothing at all."""
    folder = tmp_path / "t.csv"
    folder.mkdir()
    assert fault_of(folder) == "F: is a folder, expected a table"
    assert fault_of(tmp_path / "no.csv") == "F: no such file"
    assert fault_of(Path("/dev/null")) == "F: is not a plain file"


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    """The reason is the system's; root may read everything, so the refusal is played."""
    file = write(tmp_path, "a\n1\n")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert fault_of(file) == "F: cannot be read: Permission denied"


def test_packed_tables_are_read_through(tmp_path):
    """.gz and .zip as they are; under another name what was done is said."""
    text, expected = b"a,b\n1,2\n\n3,4\n", {"a": ["1", "3"], "b": ["2", "4"]}
    for name, content in (
        ("t.csv.gz", gzip.compress(text, mtime=0)),
        ("t.csv.zip", zipped({"t.csv": text, "__MACOSX/._t.csv": "x"})),
    ):
        raw = read_table(write(tmp_path, content, name), AUTO)
        assert (cells(raw), raw.line_of(1), texts(raw)) == (expected, 4, [])
        raw = read_table(write(tmp_path, content), AUTO)
        assert cells(raw) == expected
        assert texts(raw) == [(f"is a {'gzip' if name.endswith('gz') else 'zip'} file and was unpacked", 1)]


def test_an_encrypted_zip_is_refused(tmp_path):
    """The first bit of the flags of both headers says so."""
    content = bytearray(zipped({"t.csv": "a\n1\n"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert fault_of(write(tmp_path, bytes(content))) == "F: entry 't.csv' is encrypted; unzip it first"


def test_a_packed_table_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    """Bytes are counted as they come out, and the bomb is stopped."""
    monkeypatch.setattr(source, "Limits", lambda: Limits(ratio=50, ratio_from_bytes=1 << 16))
    file = write(tmp_path, gzip.compress(b"a,b\n" + b"0,0\n" * 100_000), "t.csv.gz")
    assert fault_of(file) == (
        f"F: {file.stat().st_size:,} bytes unpack to more than 50 times as many, as in a zip bomb; if you trust it, "
        f"unpack it yourself"
    )


def test_header_names_are_stripped_and_names_alike_are_told_apart(tmp_path):
    """Both are said; nothing else is changed, not even the order."""
    raw = read_table(write(tmp_path, " x,X ,b c\n1,2,3\n"), AUTO)
    assert raw.names == ["x", "X", "b c"]
    assert texts(raw) == [
        ("blanks around column names were removed, as in ' x'", 2),
        ("x and X are 2 columns, told apart by case only", 2),
    ]


def test_an_empty_column_behind_the_last_separator_is_dropped(tmp_path):
    """Every line ends with a comma: nothing is lost, and it is said."""
    raw = read_table(write(tmp_path, "a,b,\n1,2,\n3,4,\n"), AUTO)
    assert cells(raw) == {"a": ["1", "3"], "b": ["2", "4"]}
    assert texts(raw) == [("every line ends with a separator: the empty last column was dropped", 1)]


def test_line_breaks_within_cells_are_said(tmp_path):
    """Two quotes left open pair up and swallow a row: the table is whole, and only this notice shows it."""
    raw = read_table(write(tmp_path, 'a,b\n1,2\n3,"x\n4,"y\n5,6\n'), AUTO)
    assert cells(raw) == {"a": ["1", "3", "5"], "b": ["2", "x\n4,y", "6"]}
    assert texts(raw) == [("line breaks within cells, first of all in column 'b'; is a quote left open?", 1)]


def test_a_very_long_cell_and_a_very_long_header_are_read(tmp_path):
    """5 MB in one cell, which is no block of its own; 10,000 columns with names of 500 letters in one line."""
    raw = read_table(write(tmp_path, "a,b\n" + "0,0\n" * 10 + "1," + "x" * 5_000_000 + "\n2,y"), AUTO)
    assert [len(cell) for cell in cells(raw)["b"]] == [1] * 10 + [5_000_000, 1]
    names = [f"n{n:0499d}" for n in range(10_000)]
    raw = read_table(write(tmp_path, f"{','.join(names)}\n{'1,' * 9_999}1\n"), AUTO)
    assert (raw.names, raw.rows) == (names, 1)


def test_a_row_longer_than_a_block_makes_the_block_grow(tmp_path, monkeypatch):
    """With blocks of 64 and 4096 bytes; packed, so that the file's size is no limit."""
    monkeypatch.setattr(table, "BLOCKS", (64, 4096))
    raw = read_table(write(tmp_path, gzip.compress(b"a,b\n1,2\n3," + b"x" * 1000 + b"\n4,5\n"), "t.csv.gz"), AUTO)
    assert cells(raw) == {"a": ["1", "3", "4"], "b": ["2", "x" * 1000, "5"]}
    file = write(tmp_path, gzip.compress(b'a,b\n1,2\n3,"' + b"x" * 9000 + b"\n4,5\n"), "t.csv.gz")
    assert fault_of(file) == "F: line 3: a quote is opened and never closed; close it, or double it if it is text"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("block", [20, 21, 22, 23, 24, 25, 1000])
def test_blocks_may_end_anywhere(tmp_path, monkeypatch, block, ending):
    r"""Also within a letter, within the row behind the last, and between \r and \n, where pyarrow would drop the \n."""
    monkeypatch.setattr(table, "BLOCKS", (block, 4096))
    rows = [(f"{n}", f"é,{n}\r\n{n}") for n in range(30)]
    text = "a,b\r\n" + "\r\n".join(f'{a},"{b}"' for a, b in rows) + ending
    for encoding in ("auto", "utf-16", "latin-1"):
        file = write(tmp_path, text.encode("utf-8" if encoding == "auto" else encoding))
        raw = read_table(file, Files(encoding=encoding))
        assert cells(raw) == {"a": [a for a, _ in rows], "b": [b for _, b in rows]}
        assert [raw.line_of(row) for row in (0, 1, 29)] == [2, 4, 60]


def test_a_parquet_file_keeps_its_types_and_nulls(tmp_path):
    """By its first bytes, whatever its name; its rows are counted from 1."""
    columns = pa.table({" x": pa.array([1, None, 3]), "s": pa.array(["p", None, "q"]).dictionary_encode()})
    for name in ("t.parquet", "t.csv"):
        parquet.write_table(columns, tmp_path / name)
        raw = read_table(tmp_path / name, AUTO)
        assert cells(raw) == {"x": [1, None, 3], "s": ["p", None, "q"]}
        assert raw.columns.schema.types == columns.schema.types
        assert (raw.line_of(0), raw.line_of(2)) == (1, 3)
        assert texts(raw) == [("blanks around column names were removed, as in ' x'", 1)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (pa.table({"x": pa.array([], pa.int64())}), "F: 0 rows of 1 columns; was it written whole?"),
        (
            pa.table({"x": [[1, 2]]}),
            "F: column 'x' is of type list<element: int64>; expected one text, number or date",
        ),
        (pa.table({"x": [b"1"]}), "F: column 'x' is of type binary; expected one text, number or date"),
        (pa.table([[1], [2]], names=["x", "x"]), "F: columns 1 and 2 are both named 'x'; rename one"),
        (pa.table([[1], [2]], names=["x", ""]), "F: column 2 of 2 has no name; name it"),
    ],
)
def test_a_parquet_file_that_is_no_table_is_refused(tmp_path, columns, message):
    """Empty, nested, bytes, doubled or empty names."""
    parquet.write_table(columns, tmp_path / "t.parquet")
    assert fault_of(tmp_path / "t.parquet") == message


def test_a_damaged_parquet_file_is_refused(tmp_path):
    """Cut short, or not one at all."""
    file = write(tmp_path, "a,b\n1,2\n", "t.parquet")
    assert fault_of(file) == "F: named .parquet but is no Parquet file; rename it, or download it again"
    parquet.write_table(pa.table({"x": range(1000)}), file)
    file.write_bytes(file.read_bytes()[:-20])
    assert fault_of(file).startswith("F: not a readable Parquet file (")
    assert fault_of(file).endswith("); download it again")
