"""Separator, decimal mark and encoding: found, said, or asked for."""

from __future__ import annotations

import pytest

from pipeline.errors import DataError
from pipeline.reading.dialect import find_dialect
from pipeline.reading.table import read_table
from pipeline.settings import Files

ALL = "[files] encoding is that of every file: correct it, or save all of them as UTF-8"


def read(tmp_path, content, *, name="t.csv", **settings):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(file, Files(**settings))


def texts(raw):
    return [notice.text for notice in raw.notices]


def fault_of(tmp_path, content, **settings):
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, **settings)
    return str(caught.value).replace(str(tmp_path / "t.csv"), "F")


@pytest.mark.parametrize(("separator", "said"), [(",", []), (";", ["semicolons"]), ("\t", ["tabs"]), ("|", ["bars"])])
def test_the_separator_is_found_and_said_unless_it_is_a_comma(tmp_path, separator, said):
    """Whatever other separators the quoted texts hold."""
    raw = read(tmp_path, f'a{separator}"b, c; d| e"\n1{separator}"x, y; z"\n')
    assert raw.columns.to_pydict() == {"a": ["1"], "b, c; d| e": ["x, y; z"]}
    assert texts(raw) == [f"cells are separated by {each}" for each in said]


def test_tabs_in_a_tsv_file_are_not_worth_a_word(tmp_path):
    """They are what the name promises."""
    assert texts(read(tmp_path, "a\tb\n1\t2\n", name="t.tsv")) == []


def test_the_header_decides_about_the_separator(tmp_path):
    """Semicolons in every row are text, as the header has none; and one column stays one column."""
    raw = read(tmp_path, "id,text\n1,a;b\n2,c;d\n")
    assert raw.columns.to_pydict() == {"id": ["1", "2"], "text": ["a;b", "c;d"]}
    assert read(tmp_path, "text\na;b\nc;d\n").columns.to_pydict() == {"text": ["a;b", "c;d"]}


def test_a_comma_in_one_name_loses_against_semicolons_in_every_line(tmp_path):
    """Line 1 reads as two cells either way; the rows agree with the semicolon."""
    raw = read(tmp_path, "a;b, in m\n1;2\n3;4\n")
    assert raw.columns.to_pydict() == {"a": ["1", "3"], "b, in m": ["2", "4"]}


def test_a_doubled_quote_in_a_name_is_text(tmp_path):
    """The bar is not taken for torn by it, and the comma that fits as well is asked about."""
    assert fault_of(tmp_path, 'a,b|"5""2"\n1|,\n').startswith("F: every line reads as 2 cells between commas and 2")


def test_two_separators_that_both_fit_every_line_are_asked_about(tmp_path):
    """1,5;2,5 under a header that reads both ways; a declared separator ends the doubt."""
    content = "Temp, C;Wind, m\n1,5;2,5\n"
    assert fault_of(tmp_path, content) == (
        "F: every line reads as 3 cells between commas and 2 cells between semicolons; say which with [files] separator"
    )
    raw = read(tmp_path, content, separator=";")
    assert (raw.names, raw.decimal) == (["Temp, C", "Wind, m"], ",")
    assert texts(raw) == ["the decimal mark is a comma, as in '1,5'"]


@pytest.mark.parametrize(
    ("rows", "decimal", "said"),
    [
        ("1,5;x\n-2,25;y", ",", ["the decimal mark is a comma, as in '1,5'"]),
        ("1.234,5;x", ",", ["the decimal mark is a comma, as in '1.234,5'"]),
        ("1.5;x", ".", []),
        ("1;2", ".", []),
        ("1,5;2.5", ".", ["'1,5' and '2.5': the decimal mark was taken to be the point; [files] decimal can tell"]),
        (
            "1,500;2",
            ",",
            ["the decimal mark is a comma, as in '1,500' (or are they thousands? [files] decimal can tell)"],
        ),
        ("1,2,3;x", ".", []),
        ("01.02.2020;x\n1,5;y", ",", ["the decimal mark is a comma, as in '1,5'"]),
    ],
)
def test_the_decimal_mark_is_a_comma_only_where_no_number_has_a_point(tmp_path, rows, decimal, said):
    """And only where the comma separates nothing; the cells themselves stay as they are."""
    raw = read(tmp_path, f"a;b\n{rows}\n")
    assert raw.decimal == decimal
    assert texts(raw) == ["cells are separated by semicolons", *said]
    assert raw.columns.column("a")[0].as_py() == rows.split(";")[0]


def test_a_comma_that_separates_is_no_decimal_mark_unless_declared(tmp_path):
    """Quoted numbers such as "1,5" are left to [files] decimal."""
    assert read(tmp_path, 'a,b\n"1,5","2,5"\n').decimal == "."
    raw = read(tmp_path, 'a,b\n"1,5","2,5"\n', decimal=",")
    assert (raw.decimal, texts(raw)) == (",", [])


def test_what_is_declared_is_not_looked_for(tmp_path):
    """No notice, and no cell decides otherwise."""
    dialect = find_dialect(["a;b\n", "1,5;2\n"], Files(separator=",", decimal="."), tmp_path / "t.csv")
    assert (dialect.separator, dialect.decimal, dialect.notices) == (",", ".", ())


def test_a_byte_order_mark_is_left_out_and_said(tmp_path):
    """The first name does not begin with it; a mark of UTF-8 is stronger than a declared encoding."""
    content = "\ufeffa,b\n1,é\n".encode()
    raw = read(tmp_path, content)
    assert raw.columns.to_pydict() == {"a": ["1"], "b": ["é"]}
    assert texts(raw) == ["starts with the byte order mark of UTF-8: it was left out"]
    raw = read(tmp_path, content, encoding="latin-1")
    assert raw.columns.to_pydict() == {"a": ["1"], "b": ["é"]}
    assert texts(raw) == ["starts with the byte order mark of UTF-8: it was read as that and not as latin-1"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "gb18030", "utf-8-sig"])
def test_a_declared_encoding_is_decoded(tmp_path, encoding):
    """Any that Python knows."""
    raw = read(tmp_path, "näme,b\n1,é\n".encode(encoding), encoding=encoding)
    assert raw.columns.to_pydict() == {"näme": ["1"], "b": ["é"]}


SAVE = "or save it as UTF-8"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a,b\n1,café\n".encode("latin-1"),
            f'F: line 2: not UTF-8: byte 0xe9 at 9, as in latin-1; set [files] encoding = "latin-1", {SAVE}',
        ),
        (
            "é,b\n1,2\n".encode("latin-1"),
            f'F: line 1: not UTF-8: byte 0xe9 at 0, as in latin-1; set [files] encoding = "latin-1", {SAVE}',
        ),
        (
            "a,b\n1,“é”\n".encode("cp1252"),
            f'F: line 2: not UTF-8: byte 0x93 at 6, as in cp1252; set [files] encoding = "cp1252", {SAVE}',
        ),
        (
            b'a,b\r\n"1\r\n2",caf\xe9\r\n',
            f'F: line 3: not UTF-8: byte 0xe9 at 15, as in latin-1; set [files] encoding = "latin-1", {SAVE}',
        ),
        (b"a,b\n1,caf\xc3", "F: line 2: not UTF-8: the last character is cut off (byte 0xc3 at 9); download it again"),
        (
            "a,b\n1,é\n".encode("utf-16"),
            f'F: line 1: not UTF-8: byte 0 starts a text in UTF-16; set [files] encoding = "utf-16", {SAVE}',
        ),
        (
            "a,b\n1,é\n".encode("utf-16-be"),
            f'F: line 1: not UTF-8: byte 0 starts a text in UTF-16-BE; set [files] encoding = "utf-16-be", {SAVE}',
        ),
    ],
)
def test_bytes_that_are_not_utf8_name_what_they_look_like(tmp_path, content, message):
    """With byte, line and the setting that reads them; the remedy works."""
    assert fault_of(tmp_path, content) == message


@pytest.mark.parametrize("rows", [10, 400_000])
def test_the_bad_byte_is_found_wherever_it_stands(tmp_path, rows):
    """Within the head, and 3 MB behind it."""
    content = b"a,b\n" + b"1,23456\n" * rows + b"1,\xe9\n"
    assert fault_of(tmp_path, content) == (
        f"F: line {rows + 2}: not UTF-8: byte 0xe9 at {4 + 8 * rows + 2:,}, as in latin-1; set [files] encoding = "
        f'"latin-1", {SAVE}'
    )
    assert read(tmp_path, content, encoding="latin-1").columns.column("b")[rows].as_py() == "é"


@pytest.mark.parametrize(
    ("encoding", "content", "message"),
    [
        (
            "cp1252",
            b"a,b\n1,\x81\n",
            f"F: line 2: not cp1252: byte 0x81 at 6 (character maps to <undefined>); {ALL}",
        ),
        (
            "utf-16",
            b"a,b\n1,2\n",
            f"F: not utf-16 text (UTF-16 stream does not start with BOM); {ALL}",
        ),
        ("latin-1", b"a\n1\n\0\n", "F: line 3: a NUL byte, which no text has; download it again"),
    ],
)
def test_a_declared_encoding_that_does_not_fit_is_refused(tmp_path, encoding, content, message):
    """Never replaced by question marks."""
    assert fault_of(tmp_path, content, encoding=encoding) == message


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "hex", "idna", "a\0b", ""])
def test_what_is_no_encoding_is_refused(tmp_path, encoding):
    """Neither unknown names nor those of Python's codecs that decode no files."""
    assert fault_of(tmp_path, "a\n1\n", encoding=encoding) == (
        f"F: [files] encoding {encoding!r} is no known encoding; expected auto or a name such as utf-8, latin-1, "
        f"cp1252 or utf-16"
    )
