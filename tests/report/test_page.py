"""The page: one file that needs nothing else, says the facts, and holds whatever names people bring."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from builders import weight_facts_of

from pipeline.facts import (
    Advice,
    Band,
    Curves,
    FoldRow,
    Headline,
    LargeError,
    ModelRow,
    ReportFacts,
    RowErrors,
    Run,
    StageNotice,
    Upload,
    Verdict,
)
from pipeline.fits import Network
from pipeline.report.drawing import log_ticks, tick_label
from pipeline.report.page import render_report
from pipeline.report.tables import notice_table
from pipeline.report.text import clean, column, duration, number
from pipeline.tables import Compute, Notice

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
BUDGET = 5_000_000
LINEAR = Network(inputs=3, hidden=(), activation="relu", init="pytorch", init_scale=0.01)
WEIGHT_PICTURES = 2  # of a linear model: a histogram, the largest columns
SEEN = (("Lot", 486), ("Area", 23))


def rows_of(count, *, spread=0.1):
    """Rows around 100 with errors of their logarithms; no fold scores the last one."""
    actual = 100.0 * np.exp(np.sin(np.arange(count)))
    errors = spread * np.cos(7.0 * np.arange(count))
    errors[-1] = np.nan
    return RowErrors(np.where(np.isnan(errors), 0, 1), actual, actual * np.exp(errors), errors, in_logs=True)


def band_of(*mean):
    mean = np.array(mean)
    return Band(np.arange(1, len(mean) + 1), mean, 0.9 * mean, 1.1 * mean)


@pytest.fixture
def facts():
    """Two folds, a model and two baselines, forty rows."""
    pooled = {"log_rmse": 0.2, "rmse": 24265.5, "mse": 5.888e8, "mae": 14443.3, "r2": 0.90664}
    models = [("mlp", False, 0.2), ("ridge", True, 0.25), ("mean", True, 0.4)]
    return ReportFacts(
        headline=Headline(
            model="mlp", metric="log_rmse", greater_is_better=False, score=0.2, fold_mean=0.2, fold_std=0.1414,
            train_mean=0.15, pooled=pooled,
            baseline=Verdict("20 % below ridge", "Better in 1 of 2 folds.", is_good=True),
            fit=Verdict("Overfits somewhat", "The error is 1.33 times as large.", is_good=True),
            advice=(Advice("One seed.", "Average several.", 'make train SET="train.seeds=8"'),),
            honesty="Slightly optimistic.",
        ),
        upload=Upload(("Id", "SalePrice"), 1459, SHA),
        folds=tuple(FoldRow(k, 20, {"log_rmse": 0.1 * k}, {"log_rmse": 0.05}, 0.1 * k - 0.05) for k in (1, 2)),
        models=tuple(
            ModelRow(name, base, pooled | {"log_rmse": value}, (value - 0.1, value + 0.1), value, 0.1414, 1.5)
            for name, base, value in models
        ),
        seed_scores=(0.21, 0.22),
        curves=Curves(band_of(0.9, 0.3, 0.2, 0.2), band_of(0.8, 0.2, 0.1, 0.05), (3, 4), 2),
        rows=rows_of(40),
        largest=(LargeError("row-17", 1, 100.0, 272.0, 1.0, 0.5),),
        weights=weight_facts_of(LINEAR),
        validation_looks=8,
        notices=tuple(StageNotice("ingest", Notice(name, "filled with 0", n)) for name, n in SEEN),
        run=Run(Compute("cpu", 2, "fp32"), 4, 0, 2, 2, 40, 1459, 1, 332, 75.0),
    )  # fmt: skip


def page_of(facts, competition="house-prices", **provenance):
    return render_report(facts, competition=competition, provenance=provenance).decode()


class Skeleton(HTMLParser):
    """The tags of a page with their attributes' names, and its visible text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.links, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs if name != "title")))
        self.links += [(name, value) for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_data(self, data):
        self.text += data


def test_the_page_needs_nothing_but_itself(facts):
    """No address, script, frame or imported style; pictures are in the page; the policy forbids the rest."""
    page = page_of(replace(facts, rows=rows_of(3000), weights=weight_facts_of()))
    skeleton = Skeleton(page)
    assert "://" not in page
    assert "@import" not in page
    assert {tag for tag, *_ in skeleton.tags}.isdisjoint({"script", "link", "iframe", "object", "base", "form"})
    assert skeleton.links
    assert all(value.startswith(("#", "data:image/png;base64,")) for _, value in skeleton.links)
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    assert "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"" in page


def test_the_headline_comes_first_and_says_it_all(facts):
    """Score, baseline, overfitting, the checked file and the next step stand before the first picture."""
    page = page_of(facts)
    top = Skeleton(page[page.index("<main>") : page.index("<figure")]).text
    for said in (
        "0.20000",
        "20 % below ridge",
        "Overfits somewhat",
        "1,459 rows, checked",
        SHA,
        "One seed.",
        'make train SET="train.seeds=8" NAME=house-prices',
        "R² 0.9066",
        "0.2000 ± 0.141",
        "Slightly optimistic",
    ):
        assert said in top, said


def test_every_table_is_there(facts):
    """Folds, models, seeds, largest errors, notices and how it was computed, with the caller's lines."""
    text = Skeleton(page_of(facts, torch="2.13.0")).text
    for said in (
        "Folds",
        "Model and baselines",
        "Seeds",
        "Largest errors",
        "Notices (2)",
        "How it was computed",
        "row-17",
        "50.0 %",
        "1 min 15 s",
        "2.13.0",
        "332 matrix columns",
        "rows no fold scores",
        "Weights",
        "Layers before and after training",
    ):
        assert said in text, said


def test_the_same_facts_give_the_same_bytes(facts):
    """Twice, and whatever a matplotlibrc says; pictures of many rows included."""
    many = replace(facts, rows=rows_of(3000))
    first = [page_of(facts), page_of(many)]
    with mpl.rc_context({"xtick.major.size": 9.0, "svg.hashsalt": None, "font.size": 30.0, "savefig.dpi": 33}):
        assert [page_of(facts), page_of(many)] == first


def test_drawing_leaves_matplotlibs_settings_alone(facts):
    """The user's own program may draw too."""
    before = dict(mpl.rcParams)
    page_of(facts)
    assert dict(mpl.rcParams) == before


HOSTILE = [
    "</script><script>alert(1)</script>",
    "\"' onload=alert(1) x='",
    "</style></svg></title><img src=x onerror=alert(1)>",
    "--><!-- {{ 7*7 }} {% raw %} <!--",
    "$\\frac{1}$ 50% &amp; &lt;",
    "\x00\x1b[31m\u202egnp.exe\ud800",
    "日本語 😀",
]


def with_name(facts, name):
    """The name wherever a person's text can get to."""
    headline = replace(
        facts.headline,
        model=name,
        metric=name,
        baseline=Verdict(name, name, is_good=True),
        pooled=dict(facts.headline.pooled) | {name: 0.2},
    )
    return replace(
        facts,
        headline=headline,
        upload=replace(facts.upload, header=(name, name)),
        models=tuple(replace(row, name=name, pooled=dict(row.pooled) | {name: 0.3}) for row in facts.models),
        folds=tuple(replace(fold, valid={name: 0.1}, train={name: 0.1}) for fold in facts.folds),
        largest=tuple(replace(row, id=name) for row in facts.largest),
        weights=weight_facts_of(LINEAR, names=(name,) * 3),
        notices=(StageNotice(name, Notice(name, name, 1)),),
        run=replace(facts.run, compute=Compute(name, 2, name)),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_ever_text(facts, name):
    """The page has the same tags and attributes as with a harmless name."""
    harmless = Skeleton(page_of(with_name(facts, "name"), "name", name="name"))
    hostile = Skeleton(render_report(with_name(facts, name), competition=name, provenance={name: name}).decode())
    assert hostile.tags == harmless.tags
    assert clean(name)[:20] in hostile.text


def test_an_empty_name_is_no_fault(facts):
    """A column without a header has no name."""
    assert page_of(with_name(facts, ""), "").endswith("</html>")


def test_a_name_of_a_megabyte_is_cut_and_the_page_stays_small(facts):
    """It costs a few kilobytes, not megabytes; the beginning can still be read."""
    name = "<very long>" * 100_000
    page = page_of(with_name(facts, name), name, **{name: name})
    assert len(page) < len(page_of(facts)) + 50_000
    assert "&lt;very long&gt;" in page


def test_a_name_that_a_shell_would_not_take_is_not_put_into_a_command(facts):
    """`NAME=x; rm -rf ~` is nothing to copy and paste."""
    assert "NAME=" not in page_of(facts, "x; rm -rf ~")


def test_a_hundred_thousand_rows_fit_the_budget(facts):
    """Hexagons in an image stand for the points."""
    page = page_of(replace(facts, rows=rows_of(100_000)))
    assert len(page) < BUDGET
    assert page.count('<img alt="') == page.count(' src="data:image/png;base64,') == 2


def test_few_rows_are_drawn_as_vectors(facts):
    """Every scored row is a mark: one of the forty is not scored."""
    page = page_of(facts)
    assert "<img" not in page
    assert page.count("<svg") == 5 + WEIGHT_PICTURES
    predictions = page[page.index("Predicted and actual") : page.index("Errors over predictions")]
    assert len(re.findall(r"<use[^>]*fill-opacity: 0.4", predictions)) == 39


def test_where_no_row_is_scored_the_page_still_stands(facts):
    """Pictures of rows are left out."""
    empty = RowErrors(np.zeros(3, int), np.ones(3), np.full(3, np.nan), np.full(3, np.nan), in_logs=True)
    page = page_of(replace(facts, rows=empty, largest=()))
    assert page.count("<svg") == 2 + WEIGHT_PICTURES
    assert "Largest errors" not in page


def constant_rows(actual, predicted, *, in_logs=False):
    actual, predicted = np.array(actual), np.array(predicted)
    return RowErrors(np.ones(len(actual), int), actual, predicted, predicted - actual, in_logs=in_logs)


@pytest.mark.parametrize(
    "rows",
    [
        constant_rows([5.0], [5.0], in_logs=True),
        constant_rows([0.0] * 5, [0.0] * 5),
        constant_rows([1.0, 2.0, 3.0], [-1e300, 2.0, 1e300]),
        constant_rows([1e-300, 1.0, 1e300], [1e-300, 1.0, 1e300], in_logs=True),
        constant_rows([0.0, 1.0], [-1.0, 2.0], in_logs=True),
        constant_rows([1.0] * 3000, [1.0] * 3000),
        constant_rows([1.0, 2.0] * 1500, [1.0, 1e9] * 1500),
    ],
)
def test_any_rows_can_be_drawn(facts, rows):
    """One row, constant targets, wild predictions, zeros under a log metric: five pictures, and no warning."""
    assert page_of(replace(facts, rows=rows)).count("<figure") == 5 + WEIGHT_PICTURES


def test_a_wild_prediction_does_not_shrink_the_others_to_a_dot(facts):
    """Beside targets of 1 to 3, one of 1e300 is drawn at the edge, and said so."""
    page = page_of(replace(facts, rows=constant_rows([1.0, 2.0, 3.0], [1.0, 2.0, 1e300])))
    predictions = page[page.index("Predicted and actual") : page.index("Errors over predictions")]
    assert "e+" not in predictions
    assert "1 row further out" in predictions


@pytest.mark.parametrize(
    ("valid", "train"),
    [
        (band_of(0.3), band_of()),
        (band_of(-30.0, 0.5, 0.9), band_of(0.9)),
        (band_of(0.0, 0.0), band_of(0.0)),
        (band_of(*np.geomspace(1e4, 1e-4, 500)), band_of(1.0)),
    ],
)
def test_any_curves_can_be_drawn(facts, valid, train):
    """One epoch, r2 below 0, a perfect fit, eight orders of magnitude."""
    assert "Learning curves" in page_of(replace(facts, curves=Curves(valid, train, (1,), 1)))


def test_scores_that_are_not_finite_are_dashes(facts):
    """A diverged model and a single fold's missing deviation are shown as such."""
    diverged = replace(facts.models[1], pooled={"log_rmse": np.inf}, by_fold=(np.inf, np.nan), fold_std=np.nan)
    headline = replace(facts.headline, fold_std=np.nan)
    page = page_of(replace(facts, headline=headline, models=(facts.models[0], diverged)))
    assert "0.2000 ± –" in page  # noqa: RUF001
    assert "nan" not in Skeleton(page).text
    assert "inf" not in Skeleton(page).text


def test_notices_of_one_text_are_one_line_with_their_sum(facts):
    """486 + 23 cells in two columns; more columns than fit are counted."""
    (row,) = notice_table(facts).rows
    assert [cell.text for cell in row] == ["reading", "509", "filled with 0", "Lot (486), Area (23)"]
    uncounted = (StageNotice("train", Notice("training", "It still falls. Set [train] epochs = 20", 0)),)
    (row,) = notice_table(replace(facts, notices=uncounted)).rows
    assert [cell.text for cell in row[1:]] == ["", "It still falls. Set [train] epochs = 20", "training"]
    many = tuple(StageNotice("ingest", Notice(f"c{i}", "filled", 1)) for i in range(500))
    assert notice_table(replace(facts, notices=many)).rows[0][3].text.endswith("c11 (1) and 488 more")


def test_a_table_too_long_for_a_page_says_how_much_is_left_out(facts):
    """Two hundred lines of 450 are shown."""
    many = tuple(StageNotice("ingest", Notice("c", f"text {i}", 1)) for i in range(450))
    assert "250 more lines not shown" in page_of(replace(facts, notices=many))


def test_numbers_are_right_aligned_and_texts_are_not(facts):
    """A fold's score is a number, a model's name is none."""
    page = page_of(facts)
    assert re.search(r'<td class="number">0\.10000</td>', page)
    assert re.search(r"<td>ridge</td>", page)


def test_the_machines_paths_stay_out_of_the_page(facts):
    """A report can be sent to anybody."""
    page = page_of(facts)
    for path in (Path(__file__).parents[2], Path.home(), Path.cwd()):
        assert f"{path}/" not in page


def test_numbers_of_a_column_have_the_same_decimals():
    """As many as the largest needs for five digits; dashes where there is none; signs and separators."""
    assert column([0.15020, 0.098765]) == ["0.15020", "0.09877"]
    assert column([43861.27, 184.75]) == ["43,861", "185"]
    assert column([float("nan"), -1.5, 2.0], 3) == ["–", "\u22121.50", "2.00"]  # noqa: RUF001
    assert column([1.923e9, 1.0], 4) == ["1.923e+09", "1.000e+00"]
    assert [number(0.0), number(1234.5678, 6), number(float("inf"))] == ["0.0000", "1,234.57", "–"]  # noqa: RUF001


def test_seconds_are_said_as_people_say_them():
    """Seconds, minutes, hours."""
    assert [duration(9.96), duration(75), duration(7260)] == ["10.0 s", "1 min 15 s", "2 h 01 min"]


def test_what_cannot_be_printed_is_marked_and_what_is_long_is_cut():
    """A control, a direction override and half a character become marks; ten letters of twenty."""
    assert clean("a\x00b\u202ec\ud800") == "a\ufffdb\ufffdc\ufffd"
    assert clean("x" * 20, 10) == "x" * 9 + "…"


def test_logarithmic_axes_have_round_numbers():
    """1, 2 and 5 over two decades; powers of ten alone over four."""
    assert [tick_label(round(10**tick, 9)) for tick in log_ticks((0.0, 2.0))] == [
        "1",
        "2",
        "5",
        "10",
        "20",
        "50",
        "100",
    ]
    assert log_ticks((-0.5, 4.2)) == [0, 1, 2, 3, 4]
    assert [tick_label(1e6), tick_label(2.5e8), tick_label(-0.5)] == ["1,000,000", "2.5e+08", "\u22120.5"]
