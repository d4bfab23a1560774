"""The sweep's page: it needs nothing but itself, says the facts, and can be drawn of whatever there is."""

import functools
import math
import re
import tomllib
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from pipeline.report.score_scale import ScoreScale, short_keys
from pipeline.report.space_figures import _height, _ticks
from pipeline.report.sweep_facts import Dimension, FinalistFacts, SweepFacts, TrialFacts, WinnerFacts
from pipeline.report.sweep_figures import _lanes
from pipeline.report.sweep_page import render_sweep, toml_lines
from pipeline.report.sweep_tables import best_table, failure_table, finalist_table
from pipeline.report.text import NO_NUMBER
from tests.report.test_page import HOSTILE, Skeleton

BUDGET = 2_000_000
SPACE = (
    Dimension("train.lr", "log", 1e-4, 1e-1),
    Dimension("model.depth", "integer", 1, 4),
    Dimension("model.dropout", "linear", 0.0, 0.5),
    Dimension("preprocess.scaler", "choice", 0, 1, ("zscore", "quantile_normal")),
)
PICTURES = ["Trials one after the other", "Which settings mattered", "Setting by setting", "All settings at once"]
STATES = ("scored", "given up", "failed", "in flight")


def trial_of(number, state="scored", *, space=SPACE, **changes):
    """Trials of a quarter of a minute, four side by side; scores fall from 0.2 towards 0.1."""
    score = 0.1 + 0.1 / (1 + number) + 0.01 * math.sin(7.0 * number) if state == "scored" else math.nan
    shares = np.random.default_rng(number).uniform(size=len(space))
    places = tuple(
        one.low * (one.high / one.low) ** share
        if one.scale == "log"
        else one.low + share * (one.high - one.low)
        if one.scale == "linear"
        else float(round(one.low + share * (one.high - one.low)))
        for one, share in zip(space, shares, strict=True)
    )
    begun = 15.0 * (number // 4)
    given = {"cause": "an lr that is too high" if state == "failed" else "", **changes}
    return TrialFacts(number, state, score, places, begun, begun + 14.0, 0, **given)


def facts_of(trials, *, space=SPACE, **changes):
    """A sweep in progress of these trials."""
    given = {
        "metric": "log_rmse", "greater_is_better": False, "dimensions": space, "trials": tuple(trials),
        "interrupted": 0, "workers": ("process 17",), "seconds": max((t.ended for t in trials), default=0.0),
        "pauses": (), "importances": (), "winner": None,
    }  # fmt: skip
    return SweepFacts(**(given | changes))


@pytest.fixture
def facts():
    return made()


def made():
    """Twelve scored trials, four given up, two failed, two in flight; trial 5 won, the one as it stands was second."""
    states = ["scored"] * 12 + ["given up"] * 4 + ["failed"] * 2 + ["in flight"] * 2
    values = ("0.001", "2", "0.1", "zscore")
    winner = WinnerFacts(
        number=5,
        settings={"train.lr": 0.0012345678901234, "model.depth": 2, "model.dropout": 0.1,
                  "preprocess.scaler": "zscore"},
        score=0.105,
        fresh=0.108,
        flattered=0.003,
        finalists=(
            FinalistFacts(5, values, 0.105, 0.108, (0.107, 0.109), 0.003),
            FinalistFacts(0, values, 0.2, 0.12, (0.1195, 0.1205), -0.08),
        ),
        scored=12,
    )  # fmt: skip
    return facts_of(
        [trial_of(number, state) for number, state in enumerate(states)],
        winner=winner,
        interrupted=3,
        importances=(("train.lr", 0.75), ("model.depth", 0.25)),
        pauses=((30.0, 36000.0),),
    )


def page_of(facts, competition="house-prices"):
    return render_sweep(facts, competition=competition).decode()


def titles(page):
    return re.findall(r"<figure[^>]*>\s*<h2>(.*?)</h2>", page)


def test_the_page_needs_nothing_but_itself(facts):
    """No address, script, frame or imported style."""
    page = page_of(facts)
    assert "://" not in page
    assert "@import" not in page
    assert {tag for tag, *_ in Skeleton(page).tags}.isdisjoint({"script", "link", "iframe", "object", "base", "form"})
    assert "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"" in page


def test_the_headline_says_what_a_person_wants_to_know(facts):
    """The honest score and its flattery, the gain over what there was, counts, how long, how fast, and what to type."""
    page = page_of(facts)
    top = Skeleton(page[page.index("<main>") : page.index("<figure")]).text
    for said in (
        "0.10800",
        "flattered it by 0.00300",
        "10.0 % lower",  # 0.108 beside 0.12
        "better on 2 of 2 fresh splits",
        "20 trials",
        "12 scored, 4 given up, 2 failed, 2 in flight",
        "3 trials interrupted",
        "1 min 14 s",
        "14.6 trials a minute",  # 18 ended in 74 seconds
        "1 pause left out",
        "make train submit NAME=house-prices SET=train.tuned=true",
    ):
        assert said in top, said


def test_the_winners_values_can_be_pasted_into_a_config(facts):
    """TOML with every digit, which parses to the very values."""
    text = Skeleton(page_of(facts)).text
    block = text[text.index("[model]") : text.index("Finalists")]
    assert tomllib.loads(block) == {
        "model": {"depth": 2, "dropout": 0.1},
        "preprocess": {"scaler": "zscore"},
        "train": {"lr": 0.0012345678901234},
    }


@pytest.mark.parametrize("value", [1e-05, 1e22, 3, 'a "quoted" \\ name', "ö\n", True, [256, 128], ()])
def test_any_value_is_written_as_toml_reads_it(value):
    """Exponents, quotes, line breaks, lists."""
    read = tomllib.loads("\n".join(toml_lines({"a.b": value})))["a"]["b"]
    assert read == (list(value) if isinstance(value, tuple) else value)


def test_finalists_are_told_with_every_fresh_score_best_first(facts):
    """The winner in bold, the configuration as it stands by name, flattery with its sign."""
    table = finalist_table(facts)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["5", "0.10800", "0.10700", "0.10900", "0.10500", "+0.00300"],
        ["0, as it stands", "0.12000", "0.11950", "0.12050", "0.20000", "\u22120.08000"],
    ]
    assert table.strong == 1


def test_a_finalist_that_left_the_race_has_dashes_for_the_splits_that_it_was_not_on(facts):
    """Its mean is of those it was on."""
    left = replace(facts.winner.finalists[1], number=3, again=(0.13,), fresh=0.13, flattered=-0.07)
    own = replace(facts, winner=replace(facts.winner, finalists=(*facts.winner.finalists, left)))
    row = [cell.text for cell in finalist_table(own).rows[-1]]
    assert row == ["3", "0.13000", "0.13000", NO_NUMBER, "0.20000", "\u22120.07000"]


def test_the_best_of_the_search_are_listed_with_their_values_and_so_is_what_there_was(facts):
    """Ten of twelve, and trial 0, which is the worst of them all."""
    rows = best_table(facts).rows
    scores = [float(row[1].text) for row in rows]
    assert scores == sorted(scores)
    assert [row[0].text for row in rows][-1] == "0, as it stands"
    assert len(rows) == 11
    assert {row[5].text for row in rows} == {"zscore", "quantile_normal"}


def test_causes_of_failures_are_counted():
    """The most frequent first, with the trials' numbers; nothing where none failed."""
    causes = ["b", "a", "a", ""]
    facts = facts_of([trial_of(number, "failed", cause=cause) for number, cause in enumerate(causes)])
    rows = [[cell.text for cell in row] for row in failure_table(facts).rows]
    assert rows == [["2", "a", "1, 2"], ["1", "b", "0"], ["1", "no cause was written down", "3"]]
    assert not failure_table(facts_of([trial_of(0)])).rows


def test_a_sweep_in_progress_has_no_winner_and_says_how_to_go_on(facts):
    """The best so far, and that its score flatters it."""
    text = Skeleton(page_of(replace(facts, winner=None))).text
    assert "the best so far" in text
    assert "flatters it" in text
    assert "python -m pipeline search house-prices" in text
    assert "tuned=true" not in text


def test_a_winner_of_fewer_trials_than_there_are_by_now_is_told_as_such(facts):
    """Workers may have gone on since."""
    assert "has 12 by now" not in page_of(facts)
    assert "has 12 by now" in page_of(replace(facts, winner=replace(facts.winner, scored=9)))


def test_where_greater_is_better_the_best_is_the_greatest(facts):
    """A gain upwards; the best listed first is the one with the greatest score."""
    winner = replace(facts.winner, fresh=0.9, finalists=tuple(
        replace(one, fresh=0.9 if one.number else 0.85, again=(0.9, 0.9) if one.number else (0.85, 0.85))
        for one in facts.winner.finalists
    ))  # fmt: skip
    upwards = replace(facts, metric="r2", greater_is_better=True, winner=winner)
    assert upwards.best.number == 0
    assert best_table(upwards).rows[0][0].text == "0, as it stands"
    assert "0.0500 better" in page_of(upwards)
    scale = ScoreScale.of(upwards)
    assert scale.worst == scale.frame[0]
    assert scale.frame[1] > 0.2


def test_when_nothing_better_was_found_it_says_so(facts):
    """The configuration as it stands won."""
    assert "Nothing better found" in page_of(replace(facts, winner=replace(facts.winner, number=0)))


def test_a_name_that_a_shell_would_not_take_is_not_put_into_a_command(facts):
    """`NAME=x; rm -rf ~` is nothing to copy and paste."""
    assert "NAME=" not in page_of(facts, "x; rm -rf ~")
    assert "pipeline search x" not in page_of(replace(facts, winner=None), "x; rm -rf ~")


def with_name(facts, name):
    """The name wherever a person's text can get to."""
    space = (*(replace(one, key=f"{name}.{name}{place}") for place, one in enumerate(SPACE[:3])),
             Dimension(f"s.{name}", "choice", 0, 1, (name, name + "2")))  # fmt: skip
    winner = replace(facts.winner, settings={f"{name}.{name}": name})
    trials = tuple(replace(trial, cause=name) if trial.state == "failed" else trial for trial in facts.trials)
    importances = tuple((one.key, 0.5) for one in space[:2])
    return replace(facts, metric=name, dimensions=space, workers=(name,), winner=winner, trials=trials,
                   importances=importances)  # fmt: skip


def kinds_of(page):
    """Every kind of tag with its attributes' names; how many glyphs a text takes does not count."""
    return {(tag, *(a for a in names if a not in {"d", "style"})) for tag, *names in Skeleton(page).tags}


@functools.cache
def harmless():
    return kinds_of(page_of(with_name(made(), "name"), "name"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_ever_text(facts, name):
    """The page has the same tags and attributes as with a harmless name."""
    hostile = kinds_of(page_of(with_name(facts, name), name))
    assert hostile == harmless()


def test_a_name_of_a_megabyte_is_cut(facts):
    """It costs kilobytes, not megabytes."""
    name = "<very long>" * 100_000
    assert len(page_of(with_name(facts, name), name)) < len(page_of(facts)) + 60_000


def test_the_same_facts_give_the_same_bytes_and_matplotlibs_settings_stay(facts):
    """Twice, and whatever a matplotlibrc says."""
    before = dict(mpl.rcParams)
    first = page_of(facts)
    assert dict(mpl.rcParams) == before
    with mpl.rc_context({"font.size": 30.0, "svg.hashsalt": None}):
        assert page_of(facts) == first


@pytest.mark.parametrize(
    ("states", "drawn"),
    [
        ((), []),
        (("scored",), [PICTURES[0], PICTURES[2]]),
        (("scored", "scored"), [PICTURES[0], *PICTURES[2:]]),
        (("failed",) * 5, []),
        (("given up",) * 5, []),
        (("in flight",) * 5, []),
        (STATES, [PICTURES[0], PICTURES[2]]),
    ],
)
def test_a_sweep_of_any_kind_can_be_drawn(states, drawn):
    """None, one, all failed, all given up, nothing ended yet: what can be drawn is, without a warning."""
    page = page_of(facts_of([trial_of(number, state) for number, state in enumerate(states)]))
    assert titles(page) == [*drawn, *(["Who trained what, when"] if states else [])]
    assert "nan" not in Skeleton(page).text.split()


@pytest.mark.parametrize("one", SPACE)
def test_a_space_of_one_setting_can_be_drawn(one):
    """Its slice stands alone, for there is nothing to draw beside it."""
    page = page_of(facts_of([trial_of(number, space=(one,)) for number in range(6)], space=(one,)))
    assert titles(page) == [PICTURES[0], PICTURES[2], "Who trained what, when"]


@pytest.mark.parametrize("scores", [[0.1] * 5, [0.0, 0.0], [1e-300, 1e300, 1.0], [-5.0, 3.0, 1e9], [2.0, 2.0 + 1e-12]])
def test_any_scores_can_be_drawn(scores):
    """Equal ones, zeros, many orders of magnitude."""
    trials = [replace(trial_of(number), score=score) for number, score in enumerate(scores)]
    assert page_of(facts_of(trials)).count("<figure") == 4


def test_a_trial_far_worse_than_the_others_does_not_squeeze_them_together():
    """Beside scores of 0.10 to 0.12, one of 9 is drawn at the edge, and said so."""
    scores = [0.10, 0.11, 0.12, 0.11, 9.0]
    scale = ScoreScale.of(facts_of([replace(trial_of(n), score=score) for n, score in enumerate(scores)]))
    assert scale.frame[1] < 0.2
    assert "1 trial further out" in scale.caption
    assert scale.clipped(np.array([9.0]))[0] == scale.frame[1] == scale.worst


@pytest.mark.slow
def test_five_hundred_trials_of_seven_settings_by_many_workers_stay_small(facts):
    """Below two megabytes, and no worker is lost; of five thousand, images stand for the marks."""
    space = (*SPACE, *(replace(SPACE[place % 4], key=f"train.other_setting_{place}") for place in range(3)))
    states = ("scored", "scored", "given up")

    def many(count):
        trials = [trial_of(n, states[n % 3], space=space) for n in range(count)]
        trials = [replace(trial, worker=trial.number % 16) for trial in trials]
        return facts_of(trials, space=space, workers=tuple(f"process {n}" for n in range(16)))

    page = page_of(many(500))
    assert len(page) < BUDGET
    assert all(f"process {n}<" in page for n in range(16))
    page = page_of(many(5000))
    assert len(page) < 1.5 * BUDGET
    assert page.count("<img") == 4


def test_trials_in_flight_together_lie_in_lanes_of_their_own():
    """Two workers: the first with two at a time, the second with one; a free lane is used again."""
    spans = [(0, 0.0, 10.0), (0, 0.0, 5.0), (1, 1.0, 2.0), (0, 5.0, 7.0), (1, 2.0, 3.0)]
    trials = [replace(trial_of(n), worker=w, begun=b, ended=e) for n, (w, b, e) in enumerate(spans)]
    lanes, edges = _lanes(facts_of(trials, workers=("a", "b")))
    assert lanes == [0, 1, 2, 1, 2]
    assert edges.tolist() == [0, 2, 3]


def test_keys_are_shortened_where_that_leaves_them_apart():
    """Two of one name keep their sections."""
    assert short_keys(("train.lr", "model.width", "a.same", "b.same")) == ["lr", "width", "a.same", "b.same"]


def test_an_axis_has_its_ends_at_its_ends_and_choices_in_their_order():
    """A log range by its logarithm; of one value alone the middle."""
    log, integer, linear, choice = SPACE
    assert [_height(log, x) for x in (1e-4, 1e-1)] == [0.0, 1.0]
    assert _height(log, 10**-2.5) == pytest.approx(0.5)
    assert _height(Dimension("a", "choice", 0, 0, ("x",)), 0) == 0.5
    assert [text for _, text in _ticks(choice)] == ["zscore", "quantile_\nnormal"]
    assert [text for _, text in _ticks(integer)] == ["1", "2", "3", "4"]
    assert [text for _, text in _ticks(log)] == ["0.0001", "0.001", "0.01", "0.1"]
    assert all(0 <= height <= 1 for one in SPACE for height, _ in _ticks(one))
    assert len(_ticks(linear)) <= 6
