"""Leaks looked for in a competition's own data: planted ones are named, honest data are silent."""

import re
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import csv_of, generated_dataset, raw_tables

from pipeline.settings import FoldSettings, Preprocess, Schema, Target
from pipeline.stages import fold_checks, leak_checks, past_checks
from pipeline.stages.fold_checks import Settings, fitted_state
from pipeline.stages.fold_layouts import folds_like_test
from pipeline.stages.ingest import ingest
from pipeline.stages.leak_checks import words
from pipeline.tabular import past as module
from pipeline.tabular.features import fit_features
from pipeline.time_settings import History, Time

HOURS, DAY, TEST = 24 * 40, 24, 24 * 4
IS_TEST = {
    "future": lambda step: step >= HOURS - TEST,
    "rolling": lambda step: step >= HOURS - TEST,
    "interleaved": lambda step: step // DAY % 10 >= 7,
    "random": lambda step: step * 2654435761 % 2**32 < 0.2 * 2**32,
}
FEW = History(last=2, seasonal=1, statistics=("mean",), half_lives=(24,))


def hours(shops=("a", "b"), *, layout="future", ahead=None):
    """Hourly demand that follows a temperature, correlation .9; train and test. ahead: makes a column of the demand."""
    draw, parts = np.random.default_rng(3), []
    for shop in shops:
        step = np.arange(HOURS)
        temperature = 12 + 6 * np.sin(2 * np.pi * step / DAY) + np.cumsum(draw.normal(0, 0.3, HOURS))
        demand = 200 + 10 * temperature + draw.normal(0, 25, HOURS)
        parts.append(pd.DataFrame({
            "Id": [f"{shop}{hour}" for hour in step], "when": pd.date_range("2024-01-01", periods=HOURS, freq="1h"),
            "shop": shop, "hour": step % DAY, "workday": (step // DAY % 7 < 5).astype(int),
            "temperature": temperature.round(2), "sold": draw.integers(0, 50, HOURS), "y": demand.round(2),
        }))  # fmt: skip
        if ahead is not None:
            parts[-1]["planted"] = ahead(parts[-1]["y"])
    frame = pd.concat(parts, ignore_index=True)
    is_test = IS_TEST[layout](frame.groupby("shop").cumcount())
    return frame[~is_test].reset_index(drop=True), frame[is_test].drop(columns=["sold", "y"]).reset_index(drop=True)


def read(train, test, **time):
    settings = Time(column="when", groups=["shop"], **time)
    return ingest(
        raw_tables(csv_of(train), csv_of(test)), roles=Schema(id="Id", target="y"), metric="rmse", time=settings
    )


def settings(*, folds=None, preparation=None, target=None, history=FEW):
    return Settings(preparation or Preprocess(), target or Target(), folds or FoldSettings(count=3), "rmse", history)


def looked(dataset, **changes):
    return leak_checks.leak_checks(dataset, settings(**changes))


def found(looks):
    return [finding for check in looks.checks for finding in check.findings]


HONEST = read(*hours())


# --- honest data


@pytest.mark.slow
@pytest.mark.parametrize("difference", ["none", "ridge"])
@pytest.mark.parametrize("layout", IS_TEST)
def test_honest_hours_raise_no_alarm(layout, difference):
    """A temperature that the demand follows, calendars, a past-only column: one line a check, all of them ok."""
    dataset = read(*hours(layout=layout), **({"layout": layout, "horizon": 3} if layout == "rolling" else {}))
    assert dataset.timeline.layout == layout
    looks = looked(dataset, target=Target(difference=difference))
    assert found(looks) == []
    lines = words(looks)
    assert [line.split()[0] for line in lines] == ["ok"] * 6 + ["poisoned:"]
    assert lines[-1] == "poisoned: no leak by these checks"
    assert all(": nothing found; " in line for line in lines[:-1])


def test_the_lines_say_what_was_looked_at():
    """Columns, cutoffs, ways, rows and shifts."""
    later, single, series, ahead, folds, state = words(looked(HONEST))[:-1]
    assert "'y', 'sold' after 2024-01-24 23:00, 2024-01-28 23:00, 2024-02-01 23:00 made NaN, made 1e9" in later
    assert re.search(r"\d+ columns of the past compared on [0-9,]+ / [0-9,]+ / [0-9,]+ rows forecast", later)
    assert "3 single values" in single
    assert "960 rows of other series compared" in series
    assert "3 numeric columns on 1,728 rows against the target moved by -336, -168, -48, -24, -3, -2, -1, 0," in ahead
    assert "3 folds of kind 'replay', the test is future: scored rows are forecast" in folds
    assert "the 192 / 192 / 192 rows that 3 folds score made 1e9" in state


def test_progress_reaches_its_end():
    told = []
    leak_checks.leak_checks(HONEST, settings(), on_progress=lambda done, total, what: told.append((done, total)))
    assert told == [(0, 4), (1, 4), (2, 4), (4, 4)]


# --- planted in the data


def test_the_target_of_the_next_hour_as_a_known_column_is_found():
    """FAULT 54: y.shift(-1); the words name column and shift, and lines that the config takes."""
    dataset = read(*hours(ahead=lambda y: y.shift(-1).fillna(200)))
    [finding] = found(looked(dataset))
    assert (finding.columns, finding.severity) == (("planted",), "leak")
    assert finding.evidence.startswith(
        "column 'planted' is the target of 1 step later (shift -1): equal on 100.0% of the "
    )
    assert finding.evidence.endswith("the first with id 'a0'")
    drop, past_only = re.findall(r"\[\w+\] (\w+ = \[.*?\])", finding.remedy)
    assert tomllib.loads(drop) == {"drop": ["planted"]}
    assert Time.model_validate(tomllib.loads(past_only)).past_only == ("planted",)
    assert words(looked(dataset))[-1] == "poisoned: 1 of 6 leak checks found something"


# --- planted in the code


def a_centred_mean(known, features, moments, origin):
    """The first feature is a mean of what lies on both sides of the origin."""
    made = HISTORY(known, features, moments, origin)
    for g in np.unique(moments.series):
        rows = known.series == g
        one = pd.Series(known.values[rows, 0], known.step[rows])
        one = one.reindex(range(int(moments.step.max()) + 1)).rolling(5, center=True, min_periods=1).mean()
        of = moments.series == g
        made[of, 0] = one.reindex(origin[of]).to_numpy()
    return made


def all_series_together(known, features, moments, origin):
    """The first feature is of the series before."""
    other = replace(known, series=known.series, values=np.roll(known.values, HOURS - TEST, axis=0))
    return HISTORY(other, features, moments, origin)


HISTORY = module.history


def test_a_history_that_looks_ahead_is_found_and_its_column_named(monkeypatch):
    """FAULTS 48 and 49: a centred mean in the place of the first column, and no other."""
    monkeypatch.setattr(module, "history", a_centred_mean)
    findings = found(looked(HONEST))
    kinds = {finding.kind: finding for finding in findings}
    assert {"know what comes after an origin", "see a value before it happened"} <= set(kinds)
    assert {finding.columns for finding in findings} == {("y, at origin",)}
    later = kinds["know what comes after an origin"]
    assert re.match(r"'y, at origin' know what comes after an origin: what happened after \S+ \S+ made", later.evidence)
    assert re.search(r"changes [\d,]+ rows that must not know of it, the first with id '[ab]\d+'$", later.evidence)
    assert later.remedy.startswith(past_checks.OURS)
    assert later.remedy.endswith("train without: under [history]: last = 0")


def test_a_history_of_another_series_is_found(monkeypatch):
    """FAULT 53."""
    monkeypatch.setattr(module, "history", all_series_together)
    kinds = {finding.kind: finding for finding in found(looked(HONEST))}
    assert "'y, at origin'" in kinds["follow another series"].evidence
    assert "series 'a' " in kinds["follow another series"].evidence


def test_a_scaler_fitted_on_scored_rows_is_found(monkeypatch):
    """FAULT 52: columns of the files and of the past, and the rows of the matrix."""
    from pipeline.stages import preprocess as stage

    monkeypatch.setattr(
        stage, "fit_features", lambda rows, vocabulary, index, options: fit_features(
            rows, vocabulary, np.arange(len(HONEST.target)), options
        )
    )  # fmt: skip
    [finding] = found(looked(HONEST))
    assert finding.kind == "fitted on scored rows"
    assert finding.severity == "leak"
    assert {"temperature", "hour"} <= set(finding.columns)
    assert re.search(
        r"poisoning the 192 rows that a fold scores changes what was fitted for it, and ", finding.evidence
    )


def test_a_fold_that_knows_what_it_scores_is_found(monkeypatch):
    """What a fold hides is shown to it: its scored rows have themselves in their past."""
    from pipeline.stages import hindsight

    monkeypatch.setattr(hindsight, "without", lambda known, hidden: known)
    interleaved = replace(HONEST, timeline=replace(HONEST.timeline, layout="random"))
    evidence = " ".join(finding.evidence for finding in fitted_state(interleaved, settings(), 2).findings)
    assert "changes columns of rows that must not know of it" in evidence


@pytest.mark.parametrize("difference", ["season", "ridge"])
def test_what_is_taken_from_scored_rows_as_if_all_were_known_is_found(monkeypatch, difference):
    """Beside the columns, which are as they should be."""
    from pipeline.stages import hindsight

    dataset, taking = read(*hours(layout="interleaved"), layout="interleaved"), Target(difference=difference)
    assert fitted_state(dataset, settings(target=taking), 1).findings == ()
    monkeypatch.setattr(hindsight._Taker, "by_fold", lambda self, hidden, train, origin, base: base)
    evidence = " ".join(one.evidence for one in fitted_state(dataset, settings(target=taking), 1).findings)
    assert past_checks.TAKEN in evidence


def test_what_is_taken_from_a_row_and_follows_what_comes_after_it_is_found(monkeypatch):
    """A forecast that is made a day later than the row's origin."""
    honest = past_checks.base_values
    taking = Target(difference="last")
    assert found(looked(HONEST, target=taking)) == []
    later = lambda timeline, known, how, rows, origin, ridge: honest(timeline, known, how, rows, rows.step - 1, ridge)  # noqa: E731
    monkeypatch.setattr(past_checks, "base_values", later)
    assert past_checks.TAKEN in " ".join(one.evidence for one in found(looked(HONEST, target=taking)))


# --- settings


def test_a_fit_on_all_rows_is_information_and_no_leak():
    """By design, with the line that is otherwise; with [time] it is refused before."""
    check = fitted_state(generated_dataset(90, 20), settings(preparation=Preprocess(fit_on="all")), 1)
    [finding] = check.findings
    assert finding.severity == "note"
    assert finding.evidence.startswith('[preprocess] fit_on = "all" fits features on scored and test rows too, by ')
    assert finding.remedy.endswith('[preprocess] fit_on = "fold"')
    looks = leak_checks.Looks((check,), "")
    assert [line.split()[0] for line in words(looks)] == ["note", "do:", "poisoned:"]
    assert words(looks)[-1] == "poisoned: no leak by these checks"


@pytest.mark.parametrize("kind", ["kfold", "holdout"])
def test_random_folds_before_a_future_test_are_found_with_the_line_that_mends_them(kind):
    """They train on what comes after their origins, and score rows one or two steps ahead."""
    drawn = FoldSettings(kind=kind, count=3)
    check = folds_like_test(HONEST, HONEST.timeline, drawn)
    [finding] = check.findings
    assert f"folds of kind '{kind}' flatter, for the test is future: a fold trains on " in finding.evidence
    assert "rows after the origin of rows that it scores, the first with id 'a" in finding.evidence
    assert "scored rows are forecast 1 steps ahead (median), test rows 48.5" in finding.evidence
    [line] = re.findall(r"\[folds\] (.*)", finding.remedy)
    mended = FoldSettings.model_validate(tomllib.loads(line))
    assert folds_like_test(HONEST, HONEST.timeline, mended).findings == ()


def test_random_folds_between_blocks_of_the_test_are_found_and_between_single_rows_are_not():
    """What tells them apart is how far ahead rows are forecast."""
    drawn = FoldSettings(kind="kfold", count=3)
    between = replace(HONEST.timeline, layout="interleaved")
    assert folds_like_test(HONEST, between, drawn).findings
    single = replace(HONEST.timeline, layout="random", test_origin=HONEST.timeline.test.step - 1)
    assert folds_like_test(HONEST, single, drawn).findings == ()


def test_random_folds_where_the_test_is_of_new_series_are_found():
    """They train on the series that they score."""
    timeline = replace(HONEST.timeline, layout="new_groups")
    [finding] = folds_like_test(HONEST, timeline, FoldSettings(kind="kfold", count=3)).findings
    assert "rows of series that it scores" in finding.evidence


# --- without time


@pytest.mark.parametrize(
    "folds",
    [
        FoldSettings(count=3),
        FoldSettings(kind="stratified", count=4, bins=3),
        FoldSettings(count=2, repeats=2),
        FoldSettings(kind="holdout"),
    ],
)
@pytest.mark.parametrize("scaler", ["zscore", "quantile_normal", "pca_whiten"])
def test_without_time_what_folds_are_fitted_on_is_checked(folds, scaler):
    """Folds that a poisoned target would draw otherwise are held."""
    looks = looked(generated_dataset(90, 20), folds=folds, preparation=Preprocess(scaler=scaler, min_frequency=2))
    assert [check.what for check in looks.checks] == ["what a fold scores"]
    assert found(looks) == []


@pytest.mark.parametrize("transform", ["none", "boxcox", "yeojohnson", "quantile"])
def test_the_state_of_the_target_is_of_the_rows_that_a_fold_trains_on(transform):
    assert found(looked(generated_dataset(90, 20), target=Target(transform=transform))) == []


def test_a_target_that_is_fitted_on_all_rows_is_found(monkeypatch):
    """No row of the matrix changes, the fitted number does."""
    from pipeline.stages import preprocess as stage

    dataset = generated_dataset(90, 20)
    fit = stage.fit_target
    attacked = []

    def on_all(values, **options):
        attacked.append(values)
        state = fit(values, **options)
        return replace(state, mean=float(dataset.target.mean()) if len(attacked) < 5 else 1.0)

    monkeypatch.setattr(stage, "fit_target", on_all)
    [finding] = found(looked(dataset))
    assert finding.columns == ("the target",)
    assert finding.evidence.endswith("changes what was fitted for it")


# --- many rows


@pytest.mark.slow
def test_long_tables_are_looked_at_in_part_by_whole_series(monkeypatch):
    """Five series of 864 rows, at most 2,000: two of them, the first and the last, and it is said."""
    monkeypatch.setattr(leak_checks, "MOST_ROWS", 2_000)
    looks = looked(read(*hours(tuple("abcde"))))
    assert found(looks) == []
    assert looks.note == "looked at 2 of 5 series, 1,728 of 4,320 rows"
    assert words(looks)[-1] == f"poisoned: no leak by these checks; {looks.note}"


def test_fewer_rows_keep_their_ids_their_time_and_what_is_known_of_them(monkeypatch):
    """The first and the last of five series: each row's own target is what is known of it."""
    monkeypatch.setattr(leak_checks, "MOST_ROWS", 2_000)
    whole = read(*hours(tuple("abcde")))
    part, _ = leak_checks._sampled(whole)
    own, known = part.timeline.train, part.timeline.known
    rows = zip(known.series, known.step, known.values[:, 0], strict=True)
    of = {(series, step): value for series, step, value in rows}
    assert len(of) == len(known.step) == len(part.target)
    assert [of[pair] for pair in zip(own.series, own.step, strict=True)] == part.target.tolist()
    assert {str(name)[0] for name in part.train_ids} == {str(name)[0] for name in part.test_ids} == {"a", "e"}
    assert len(part.train) == len(part.target)
    assert len(part.test) == len(part.timeline.test_origin) == 2 * TEST


@pytest.mark.slow
def test_series_that_an_encoding_pools_are_no_leak(monkeypatch):
    """It is what [history] encode says; a row of the future in it is one. In part, its levels go with the rows."""
    train, test = (own.assign(kind=np.where(own["hour"] < 8, "night", "day")) for own in hours())
    dataset, history = read(train, test), FEW.model_copy(update={"encode": ("kind",), "holidays": "DE"})
    looks = looked(dataset, history=history)
    assert found(looks) == []
    monkeypatch.setattr(leak_checks, "MOST_ROWS", 1_000)
    assert found(looked(dataset, history=history)) == []
    monkeypatch.undo()
    honest = module.level_mean
    monkeypatch.setattr(
        module, "level_mean", lambda known, name, levels, origin: honest(known, name, levels, origin + 1)
    )
    kinds = {finding.kind: finding.columns for finding in found(looked(dataset, history=history))}
    assert kinds["know what comes after an origin"] == ("y, mean at kind",)


def test_one_series_is_looked_at_whole_however_long(monkeypatch):
    monkeypatch.setattr(leak_checks, "MOST_ROWS", 100)
    looks = looked(read(*hours(("a",))))
    assert looks.note == "looked at 1 of 1 series, 864 of 864 rows"
    assert any("there is one series" in check.looked for check in looks.checks)


def test_without_time_so_many_rows_are_drawn(monkeypatch):
    monkeypatch.setattr(leak_checks, "MOST_ROWS", 60)
    assert looked(generated_dataset(90, 20)).note == "looked at 60 of 90 rows, the same at every run"


def test_nothing_of_the_data_is_changed():
    """Poison is poured into copies."""
    before = HONEST.target.copy(), HONEST.train.copy(), HONEST.timeline.known.values.copy()
    looked(HONEST)
    np.testing.assert_array_equal(HONEST.target, before[0])
    pd.testing.assert_frame_equal(HONEST.train, before[1])
    np.testing.assert_array_equal(HONEST.timeline.known.values, before[2])


def test_the_poison_of_a_fold_reaches_every_kind_of_column():
    """Numbers, levels, dates, target and what is known."""
    rows = np.array([0, 5])
    known = np.zeros(len(HONEST.timeline.known.step), dtype=bool)
    known[7] = True
    attacked = fold_checks._poisoned(HONEST, rows, known)
    for name in (*HONEST.numeric, *HONEST.dates):
        changed = attacked.train[name].to_numpy() != HONEST.train[name].to_numpy()
        assert set(np.flatnonzero(changed)) <= set(rows.tolist())
        assert changed[5]
    assert (attacked.target[rows] == past_checks.HUGE).all()
    assert (attacked.timeline.known.values[7] == past_checks.HUGE).all()
