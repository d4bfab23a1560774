"""Any bytes: a table or a sentence. Any table that was written: the same table, or the line of its damage."""

from __future__ import annotations

import csv
import io
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.reading import header, kind, table
from pipeline.reading.table import read_table
from pipeline.settings import Files

FUZZ_SECONDS = 120.0  # of processor time
SEPARATORS = ",;\t|"
LETTERS = 'ab1.5é,;\t|"" \n\r\u2028\x1e0'
SEEDS = (
    b'id,a,b\n1,2.5,"x, y"\n2,,"p\nq"\n',
    b"\xef\xbb\xbfid;a\r\n1;2,5\r\n\r\n2;3,5\r\n",
    b'"a","b"\n"1","2"\n"3","4"\n',
    "näme\tb\n1\té\n".encode("utf-16"),
    b"x\n1\n\n2\n",
)


def written(rows, random_source):
    """Rows as csv.writer writes them in a dialect of chance, with it and the line on which each row starts."""
    separator = random_source.choice(SEPARATORS)
    ending = random_source.choice(["\n", "\r\n", "\r"])
    quoting = random_source.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    text, starts = "", []
    for row in rows:
        stream = io.StringIO(newline="")
        # csv.writer quotes only the line ends that it writes itself
        csv.writer(stream, delimiter=separator, lineterminator="\r\n", quoting=quoting).writerow(row)
        starts.append(len(text.encode().splitlines()) + 1)
        text += stream.getvalue().removesuffix("\r\n") + ending
        if random_source.random() < 0.1:
            text += ending
    if random_source.random() < 0.3:
        text = text.rstrip("\r\n")
    return text, separator, starts


def table_of_chance(random_source):
    """A header of harmless names and rows of cells that are anything but."""
    columns = random_source.randint(1, 4)
    names = random_source.sample(["alpha", "beta", "gamma delta", "ε", "zeta,eta", 'the"ta', "io\nta"], columns)
    rows = [
        ["".join(random_source.choices(LETTERS, k=random_source.randint(0, 6))) for _ in range(columns)]
        for _ in range(random_source.randint(1, 30))
    ]
    return names, rows


def read_text(text, folder, separator="auto"):
    file = folder / "t.csv"
    file.write_bytes(text.encode())
    return read_table(file, Files(separator=separator))


def check_round_trip(random_source, folder):
    """What is read is what was written, cell for cell and line for line."""
    names, rows = table_of_chance(random_source)
    text, separator, starts = written([names, *rows], random_source)
    raw = read_text(text, folder, separator)
    assert raw.names == names, text
    assert [list(row.values()) for row in raw.columns.to_pylist()] == rows, text
    assert [raw.line_of(row) for row in range(len(rows))] == starts[1:], text


def check_damage(random_source, folder):
    """A field too many or too few in one row is refused with the line of that row."""
    names, rows = table_of_chance(random_source)
    row = random_source.randrange(len(rows))
    if len(names) > 1 and random_source.random() < 0.5:
        rows[row].pop()
    else:
        rows[row].append("x")
    text, separator, starts = written([names, *rows], random_source)
    with pytest.raises(DataError) as caught:
        read_text(text, folder, separator)
    assert str(caught.value).startswith(f"{folder / 't.csv'}: line {starts[1 + row]}: {len(rows[row])} field"), text


def check_any_bytes(random_source, folder):
    """A table or a DataError, under any settings; every row then has a line of its own."""
    content = bytearray(random_source.choice(SEEDS) if random_source.random() < 0.7 else b"")
    for _ in range(random_source.randint(0, 12)):
        at = random_source.randint(0, len(content))
        piece = random_source.choice([random_source.randbytes(random_source.randint(1, 4)), *SEEDS])
        content[at : at + random_source.randint(0, 2)] = piece
    for letter in random_source.choices(LETTERS.encode(), k=random_source.randint(0, 20)):
        content.insert(random_source.randint(0, len(content)), letter)
    check_bytes(bytes(content), random_source.choice(["auto", "auto", "latin-1", "utf-16", "utf-8", "gb18030"]), folder)


def check_bytes(content, encoding, folder):
    file = folder / "t.csv"
    file.write_bytes(content)
    try:
        raw = read_table(file, Files(encoding=encoding))
    except DataError:
        return
    lines = [raw.line_of(row) for row in range(raw.rows)]
    assert lines == sorted(set(lines)), content
    assert len(set(raw.names)) == len(raw.names), content
    assert all(raw.names), content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reading")


@given(st.randoms(use_true_random=True))
def test_what_was_written_is_read_cell_for_cell(folder, random_source):
    """Four separators, three kinds of quoting and of line ends, blank lines, and no line end at the end."""
    check_round_trip(random_source, folder)


@given(st.randoms(use_true_random=True))
def test_a_damaged_row_is_named_by_its_line(folder, random_source):
    """Nothing shifts in silence."""
    check_damage(random_source, folder)


@given(st.binary(max_size=40), st.sampled_from(["auto", "latin-1", "utf-16", "shift_jis"]))
def test_any_bytes_are_a_table_or_a_sentence(folder, content, encoding):
    """No other exception ever leaves the reader."""
    check_bytes(content, encoding, folder)
    check_bytes(b"a,b\n" + content, encoding, folder)


@pytest.mark.slow
def test_the_reader_survives_two_minutes_of_fuzz(tmp_path, monkeypatch):
    """The three laws over seeds in order, half of them with blocks so small that rows, quotes and letters straddle."""
    seed, started = 0, time.process_time()
    while time.process_time() - started < FUZZ_SECONDS:
        with monkeypatch.context() as patch:
            if seed % 2:
                patch.setattr(table, "BLOCKS", (8 + seed % 29, 1 << 12))
                patch.setattr(kind, "PEEK_BYTES", 64)
                patch.setattr(header, "HEAD_BYTES", (16 + seed % 31, 1 << 16))
            for check in (check_round_trip, check_damage, check_any_bytes):
                try:
                    check(random.Random(seed), tmp_path)
                except BaseException as error:
                    error.add_note(f"seed {seed}, {check.__name__}, file {(Path(tmp_path) / 't.csv').read_bytes()!r}")
                    raise
        seed += 1
    assert seed > 100
