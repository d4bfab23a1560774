"""A first configuration, drafted from the files."""

import tomllib
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tabular.corpus import CORPUS, table

from pipeline.settings import Config, Files
from pipeline.stages.init import draft
from pipeline.tables import RawTable, RawTables
from pipeline.tabular.roles.guesses import guess_roles


def drafted(raw, name="data"):
    return draft(guess_roles(raw, folder_name=name), name)


def loaded(toml):
    return Config.model_validate(tomllib.loads(toml))


def raw_of(train, test=None, sample=None, sides=None):
    return RawTables(
        train=table("train.csv", train),
        test=table("test.csv", test) if test else None,
        sample=table("sample_submission.csv", sample) if sample else None,
        sides={file: table(file, text) for file, text in (sides or {}).items()},
    )


RICH = raw_of(
    """id,patient_id,class,size,seen,dose,words,casual,copy,y
    1,p1,1,low,13/01/2015,1.5,one two three,7,1,1.5 | 2,p1,2,high,01/02/2015,?,four five six,8,2,2.5
    3,p2,3,medium,02/02/2015,3.5,seven eight nine,9,3,4.5 | 4,p2,1,low,03/02/2015,4.5,ten eleven twelve,1,4,2.5
    5,p3,2,low,04/02/2015,5.5,one three five,2,5,0.5 | 6,p4,2,low,05/02/2015,5.5,two four six,2,6,0.5
    7,p5,2,low,05/02/2015,5.5,two four six or so,2,7,3.5 | 8,p5,2,low,05/02/2015,2.5,two four six then,2,8,0.5""",
    "id,patient_id,class,size,seen,dose,words,copy | 9,q1,1,low,01/03/2015,1.5,a b c,9",
    "id,y | 9,0",
    {"side.csv": "class,weight | 1,5 | 2,6 | 3,7"},
)


RICH_TOML = """\
# trial: drafted by `init` from the files. Each line is a guess beside what it rests on: correct it.
# Every key and its default: docs/CONFIG.md
# time stands in 'seen': train 2015-01-13 to 2015-02-05, test 2015-03-01 to 2015-03-01: test lies after train, which s…

recipe = "classic"
metric = "rmse"  # numbers from 0.5 to 4.5, skewness 0.40

[schema]
id = "id"  # first column of the sample submission; 8 of 8 distinct in train.csv; 1 of 1 distinct in test.csv
target = "y"  # a column of the sample submission that test has not
categorical = ["class"]  # 3 distinct whole numbers on 8 rows, and the name of a class
text = ["words"]  # 8 distinct texts on 8 rows, 3.3 words on average
drop = [
  "patient_id",  # only [folds] reads it: none of its values in test is in train
  "casual",  # in train.csv, not in test.csv
  "copy",  # every cell equals that of 'id'
]

[schema.ordinal]
size = ["low", "medium", "high"]  # 3 levels of a known scale, lowest first

[schema.dates]
seen = ["%d/%m/%Y"]  # 7 of 7 distinct texts are dates like '13/01/2015'; day first: the first parts reach 13, the sec…

[schema.missing_in]
dose = ["", "NA", "N/A", "NaN", "nan", "null", "?"]  # '?' (1 of 9 cells) is all that is no number

[folds]
kind = "grouped"
column = "patient_id"  # none of the 1 values in test is among the 5 in train

[[join]]
file = "side.csv"
on = ["class"]  # each key once on 3 rows, 100% of train's 3 keys are there
"""


def test_a_draft_holds_what_differs_from_the_defaults_each_line_with_its_evidence():
    """The whole text: short enough to read, and to correct by hand."""
    assert drafted(RICH, "trial").toml == RICH_TOML


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: f"{case.name}-{case.target}")
def test_the_draft_of_every_table_in_the_corpus_is_a_configuration(case):
    """What was guessed is what a run would take; no line is wider than 120."""
    guesses = guess_roles(case.raw, folder_name=case.name, target=case.asked)
    toml = draft(guesses, case.name).toml
    config = loaded(toml)
    roles = {guess.column: guess.role for guess in guesses.columns}
    assert (config.roles.target, config.roles.id, config.metric) == (case.target, case.id, case.metric)
    assert config.roles.dates == case.formats
    assert config.roles.ordinal == case.levels
    assert {name: texts[-len(case.missing[name]) :] for name, texts in config.roles.missing_in.items()} == case.missing
    assert (config.holdout.share, config.holdout.by) == ((0.0, "") if case.holdout is None else (0.2, case.holdout))
    assert {join.file: join.on for join in config.join} == case.joins
    assert config.folds.column == (case.folds or "")
    dropped = {"train_only", "test_only", "constant", "empty", "duplicate"}
    assert {name for name, role in roles.items() if role in dropped} - {case.id} <= set(config.roles.drop)
    listed = (
        *config.roles.numeric,
        *config.roles.categorical,
        *config.roles.text,
        *config.roles.drop,
        *config.roles.ordinal,
    )
    assert len(listed) == len(set(listed))
    assert not {case.target, case.id} & set(listed)
    # of new rows the groups that tell the folds apart say nothing
    assert case.folds is None or case.folds in config.roles.drop
    assert max(map(len, toml.splitlines())) < 120


def test_without_a_test_file_rows_are_held_out():
    """At random, or by the only date."""
    plain = drafted(raw_of("a,y | 1.5,0.5 | 2.5,1.5 | 3.5,2.5")).toml
    dated = drafted(raw_of("a,y | 2015-01-01,0.5 | 2015-01-02,1.5 | 2015-01-03,2.5")).toml
    assert plain.endswith("[holdout]\nshare = 0.2  # no test file; rows drawn at random\n")
    assert '[holdout]\nshare = 0.2\nby = "a"  # no test file; ' in dated


def test_how_the_files_were_read_is_said_again():
    """What init was told beside what their names do not tell; one section, valid whatever the names hold."""
    raw = raw_of("a,y | 1.5,0.5 | 2.5,1.5 | 3.5,2.5", "a | 1.5")
    guesses = replace(guess_roles(raw, folder_name="data"), files={"train": "a.csv", "test": "b.csv"})
    toml = draft(guesses, "data", Files(train='größe "🦀".csv', separator="\t", encoding="latin-1")).toml
    assert toml.count("[files]") == 1
    files = loaded(toml).files
    assert (files.train, files.test, files.separator) == ('größe "🦀".csv', "b.csv", "\t")
    assert 'encoding = "latin-1"  # as it was told to init\n' in toml
    assert 'test = "b.csv"  # its name does not tell\n' in toml
    assert "[files]" not in draft(replace(guesses, files={}), "data", Files()).toml


def test_a_second_target_is_dropped_and_said():
    """One draft trains one target."""
    case = next(case for case in CORPUS if case.name == "energy-efficiency")
    toml = drafted(case.raw).toml
    assert '# to predict "cooling_load": a second file with that target, and this one under drop\n' in toml
    assert loaded(toml).roles.drop == ("cooling_load",)


def test_no_id_is_said():
    """Rows are numbered."""
    toml = drafted(raw_of("a,y | 1.5,0.5 | 2.5,1.5 | 3.5,2.5")).toml
    assert "[schema]\n# no column is unique and named like an id; rows are numbered from 0\ntarget" in toml


def test_the_table_to_print_tells_column_role_rule_and_evidence():
    """And the role that a later rule would have given."""
    lines = drafted(raw_of("Id,class,y | 1,1,0.5 | 2,3,1.5 | 3,2,2.5")).lines
    assert lines == (
        "column  role         rule        evidence",
        "Id      id           the id      3 distinct values on 3 rows, named like an id",
        "class   categorical  code        3 distinct whole numbers on 3 rows, and the name of a class (else numeric)",
        "y       target       the target  named like a target (y)",
    )


NASTY = [
    'a"b', "a'b", "a.b", "a\nb", "a\tb", "[a]", "# a", "a = b", "\\u0041", "\x7f\x00\x1f", "größe 尺寸 🦀", "", " ",
    "a" * 300, "\u2028", "{a}", '"""',
]  # fmt: skip


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_a_name_of_any_characters_comes_back_as_it_was(name):
    """As target, level, ordinal, date, dropped column, side file and key; what stands in a comment stays one line."""
    assert_names_come_back(name)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_any_name_comes_back_as_it_was(name):
    """Whatever a header may hold."""
    assert_names_come_back(name)


def assert_names_come_back(name):
    made = [f"{kind}{name}" for kind in ("a", "b", "c", "d", "y")]
    cells = [
        ["x7", "x8", "x7"],
        ["low", "high", "medium"],
        ["2015-01-01"] * 2 + ["2015-01-02"],
        ["1", "?", "3"],
        ["1", "2", "4"],
    ]
    frame = pa.table({label: pa.array(texts) for label, texts in zip(made, cells, strict=True)})
    train = RawTable("train.csv", frame, line_of=lambda row: row + 2)
    side = RawTable(name, pa.table({made[0]: ["x7", "x8"], "v": ["1", "2"]}), line_of=lambda row: row + 2)
    raw = RawTables(train, None, None, {name: side})
    guesses = guess_roles(raw, folder_name="data", target=made[-1])
    dropped = replace(guesses.columns[0], role="constant", listed=True)
    guesses = replace(guesses, columns=(dropped, *guesses.columns[1:]))
    config = loaded(draft(guesses, "data").toml)
    assert (config.roles.target, config.roles.drop, config.holdout.by) == (made[4], (made[0],), made[2])
    assert config.roles.ordinal == {made[1]: ("low", "medium", "high")}
    assert config.roles.dates == {made[2]: ("%Y-%m-%d",)}
    assert list(config.roles.missing_in) == [made[3]]
    assert [(join.file, join.on) for join in config.join] == [(name, (made[0],))]
