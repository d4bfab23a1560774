"""Forecasts on the page: for any series, with any name, of any length, and nowhere without time."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from panels import facts_of, panel

from pipeline.forecast_facts import Backtest, ErrorGroup
from pipeline.report.forecast_figures import draw_forecasts
from pipeline.report.page import render_report
from pipeline.report.text import clean

BUDGET = 5_000_000
TIMES = "datetime64[us]"
HOSTILE = (
    "</script><script>alert(1)</script>",
    "\"' onload=alert(1) x='",
    "--><!-- {{ 7*7 }}",
    "$x^2$ \x00\u202e日本 😀",
)


class Skeleton(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs if name != "title")))

    def handle_data(self, data):
        self.text += data


def page_of(facts):
    return render_report(facts, competition="shops", provenance={}).decode()


@pytest.fixture(scope="module")
def facts():
    """Two series of 63 days."""
    return facts_of(panel())[0]


def drawn(facts, **changes):
    return draw_forecasts(facts, replace(facts.forecasts, **changes))


def with_scores(facts, **changes):
    return drawn(facts, scores=replace(facts.forecasts.scores, **changes))


def stretch(values, predicted=None, *, origin=-1, when=None):
    """A stretch of these actual values, all of them scored."""
    values = np.asarray(values, dtype=float)
    predicted = values if predicted is None else np.asarray(predicted, dtype=float)
    return Backtest("a", "", when, np.arange(float(len(values))), values, predicted, values, origin, len(values))


def test_the_page_has_a_section_of_forecasts(facts):
    """Sentences, stretches, errors by age and by day, and the tables, before the folds."""
    text = Skeleton(page_of(facts)).text
    for said in (
        "Forecasts",
        "mae is 71 % below repeating last week (seasonal naive 7): skill 0.714.",
        "MASE 0.286",
        "Actual values and forecasts",
        "Dotted: the origin",
        "Error by steps ahead",
        "Error by day of week",
        "Skill and MASE",
        "Series, worst first",
        "known in the future",
        "test rows are one block after all training rows",
    ):
        assert said in text, said
    assert text.index("Forecasts") < text.index("Folds")


def test_a_table_without_time_has_no_such_section(facts):
    """The page without it is what is left when the section is cut out."""
    page, bare = page_of(facts), page_of(replace(facts, forecasts=None))
    start = page.index('<section class="weights">\n<h2>Forecasts</h2>')
    end = page.index("</section>\n<section", page.index("Columns in time</h3>") + 200)
    end = page.index('<section class="table">\n<h2>', end)
    assert page[:start] + page[end:] == bare
    assert "Forecasts" not in bare
    assert "MASE" not in bare


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_series_is_only_ever_text(name):
    """The page has the same tags and attributes as with harmless names, and the name in its table."""
    harmless = Skeleton(page_of(facts_of(panel(("a", "b")))[0]))
    hostile = Skeleton(page_of(facts_of(panel((name, name + "2")))[0]))
    assert hostile.tags == harmless.tags
    assert clean(name)[:10] in hostile.text


def test_a_series_without_season_is_drawn():
    """Beside its last value; no phase, no day of week, for steps are longer than a day."""
    facts = facts_of(panel(("only",), freq="2D"))[0]
    titles = [picture.title for picture in draw_forecasts(facts, facts.forecasts)]
    assert titles == ["Actual values and forecasts", "Error by steps ahead"]
    assert "grey: last value" in page_of(facts)


@pytest.mark.slow
def test_a_thousand_series_fit_the_budget():
    """Three of them are drawn, 20 in the table, and the others counted."""
    facts = facts_of(panel(tuple(f"shop {place}" for place in range(1000)), days=30))[0]
    page = page_of(facts)
    assert len(page) < BUDGET
    assert "980 further series are not shown" in page
    assert len(facts.forecasts.backtests) <= 3


@pytest.mark.slow
def test_the_same_facts_give_the_same_bytes(facts):
    """Vectors and images."""
    long = [stretch(np.sin(np.arange(900.0)))]
    assert page_of(facts) == page_of(facts)
    assert drawn(facts, backtests=long) == drawn(facts, backtests=long)


def test_few_points_are_vectors_and_many_are_an_image(facts):
    """Three lines of 600 points are 1,800, of 700 are 2,100."""
    for steps, markup in ((600, "<svg"), (700, "<img")):
        picture = drawn(facts, backtests=(stretch(np.sin(np.arange(float(steps)))),))[0]
        assert picture.markup.startswith(markup)


def test_every_picture_can_be_read_aloud(facts):
    """An image with its caption as its name, and no id twice."""
    pictures = drawn(facts)
    for picture in pictures:
        label = re.search(r'role="img" aria-label="([^"]+)"', picture.markup)
        assert label
        assert label[1] == picture.caption
    ids = [one for picture in pictures for one in re.findall(r' id="([^"]+)"', picture.markup)]
    assert len(ids) == len(set(ids))


def test_groups_of_one_are_no_picture(facts):
    """Forecasts one step ahead have one age; the calendar of a week is drawn once."""
    age = (ErrorGroup("1", 5, 1.0, 2.0),)
    titles = [picture.title for picture in with_scores(facts, by_age=age)]
    assert titles == ["Actual values and forecasts", "Error by day of week"]


@pytest.mark.parametrize(
    "one",
    [
        stretch([1.0]),
        stretch([0.0] * 5),
        stretch([1.0, np.nan, 3.0, np.nan]),
        stretch([1.0, 2.0, 3.0], [-1e300, np.inf, np.nan]),
        stretch([1e300, -1e300]),
        stretch([np.nan] * 3, [1.0, 2.0, 3.0]),
        stretch([1.0, 2.0], when=np.array(["0001-01-01", "9999-12-31"], TIMES)),
        stretch([1.0, 2.0], when=np.array(["-0300-01-01", "2000-01-01"], TIMES)),
        stretch([1.0, 2.0, 3.0], origin=0, when=np.array(["2024-03-31T01", "2024-03-31T03", "2024-03-31T04"], TIMES)),
    ],
)  # fmt: skip
def test_any_stretch_can_be_drawn(facts, one):
    """One point, no spread, gaps, wild forecasts, the beginning of the calendar and its end: and no warning."""
    assert drawn(facts, backtests=(one,))[0].markup


def test_a_wild_forecast_does_not_flatten_what_was_true(facts):
    """Beside 1 to 3, a forecast of 1e9 is drawn at the edge, and said so."""
    [picture, *_] = drawn(facts, backtests=(stretch([1.0, 2.0, 3.0], [1.0, 1e9, 3.0]),))
    assert "e+" not in picture.markup
    assert "1 value further out drawn at the edge" in picture.caption


def test_a_point_without_neighbours_is_drawn(facts):
    """A line of one point shows nothing; here every other step is scored."""
    alone = stretch(np.arange(8.0), np.where(np.arange(8) % 2, np.arange(8.0), np.nan))
    [picture, *_] = drawn(facts, backtests=(alone,))
    [together, *_] = drawn(facts, backtests=(stretch(np.arange(8.0)),))
    assert picture.markup.count("<use") >= together.markup.count("<use") + 4


@pytest.mark.parametrize("errors", [(np.nan, np.inf), (0.0, 0.0), (1e-300, 1e300)])
def test_any_errors_can_be_drawn(facts, errors):
    """A diverged network, none at all, 600 orders of magnitude."""
    groups = tuple(ErrorGroup(str(place), 1, error, 1.0) for place, error in enumerate(errors))
    assert len(with_scores(facts, by_age=groups)) == 3


def test_long_labels_do_not_run_into_each_other(facts):
    """Of 24 labels of 8 letters three are shown."""
    groups = tuple(ErrorGroup(f"{100 + place} to {100 + place}", 1, 1.0, 1.0) for place in range(24))
    [_, picture, *_] = with_scores(facts, by_age=groups)
    assert len(re.findall(r">\d+ to \d+<", picture.markup)) <= 3
