"""The design of a time series as each fold sees it: poisoned behind a cutoff, permuted, moved, and read again."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest
from builders import csv_of, raw_tables, table
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, DataError
from pipeline.settings import FoldSettings, Holdout, Preprocess, Schema, Target
from pipeline.stages.hindsight import look_back
from pipeline.stages.ingest import ingest
from pipeline.stages.learners import block_starts
from pipeline.stages.predict import prepare_rows
from pipeline.stages.preprocess import preprocess
from pipeline.tabular.features import matrix_for, overlaid, rows_of
from pipeline.tabular.past import training_origins
from pipeline.tabular.replay import replay
from pipeline.time_settings import History, Time

LAYOUTS = ("future", "rolling", "interleaved", "random", "new_groups")
SHOPS, DAYS = ("a", "b", "c", "d"), 56
ROLES = Schema(id="Id", target="y")
PREPARATION = Preprocess(calendar=("month", "day_of_week"))
SEASONAL = History(seasonal=2, last=2, statistics=("mean", "std"))
OF_DATES = ("date_month", "date_day_of_week")
POISONS = ("nothing", "huge", "shuffled")


def is_of_test(layout, day, shop):
    """Which rows are the test's: the last 8 days, 6 of every 14, about every fourth, the last shop."""
    return {
        "future": day >= DAYS - 8,
        "rolling": day >= DAYS - 8,
        "interleaved": day % 14 >= 8,
        "random": day * 2654435761 % 2**32 < 0.25 * 2**32,
        "new_groups": shop == "d",
    }[layout]


def frames(layout, start="2024-01-01"):
    """Shops of 56 days each, all but the first with holes; promo is known ahead, sold once it happened."""
    draw = np.random.default_rng(7)
    day, shop = (own.ravel() for own in np.meshgrid(np.arange(DAYS), np.array(SHOPS, dtype=object), indexing="ij"))
    stamps = pd.Timestamp(start) + pd.to_timedelta(day, unit="D")
    sold = draw.integers(0, 40, len(day))
    y = 30 + 5 * (day % 7) + 0.3 * sold + draw.normal(0, 3, len(day))
    frame = pd.DataFrame({
        "Id": [f"r{row}" for row in range(len(day))], "date": stamps.strftime("%Y-%m-%d"), "shop": shop,
        "promo": draw.integers(0, 2, len(day)), "sold": sold, "y": y.round(2),
    })  # fmt: skip
    here = (shop == "a") | (draw.random(len(day)) > 0.1)
    is_test = is_of_test(layout, day, shop)
    train, test = frame[here & ~is_test], frame[here & is_test].drop(columns=["sold", "y"])
    return train.reset_index(drop=True), test.reset_index(drop=True)


def dataset_of(train, test, layout, metric="rmse", **time):
    settings = Time(column="date", groups=["shop"], layout=layout, **({"horizon": 3} | time))
    return ingest(raw_tables(csv_of(train), csv_of(test)), roles=ROLES, metric=metric, time=settings)


def design_of(dataset, *, preparation=PREPARATION, history=SEASONAL, metric="rmse", target=None, **folds):
    return preprocess(
        dataset,
        preprocess=preparation,
        target=target or Target(),
        folds=FoldSettings(**({"count": 3} | folds)),
        metric=metric,
        history=history,
    )


DATASETS = {layout: dataset_of(*frames(layout), layout) for layout in LAYOUTS}
DESIGNS = {layout: design_of(dataset) for layout, dataset in DATASETS.items()}


def assert_same(found, expected):
    """Bit for bit, of any frozen value; NaN is NaN."""
    if is_dataclass(expected):
        for field in fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name))
    elif isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        assert np.array_equal(np.isnan(found), np.isnan(expected))
        assert np.where(np.isnan(found), 0, found).tobytes() == np.where(np.isnan(expected), 0, expected).tobytes()
    elif isinstance(expected, np.ndarray):
        assert np.array_equal(found, expected)
    elif isinstance(expected, tuple):
        for own, other in zip(found, expected, strict=True):
            assert_same(own, other)
    else:
        assert found == expected


def poisoned(dataset, *, where, trained, poison):
    """The dataset with other targets and past-only cells: of rows of what is known, and of training rows."""
    known, target = dataset.timeline.known, dataset.target.copy()
    values, draw = known.values.copy(), np.random.default_rng(1)
    if poison == "shuffled":
        values[where], target[trained] = draw.permutation(values[where]), draw.permutation(target[trained])
    else:
        values[where], target[trained] = {"nothing": np.nan, "huge": 1e9}[poison], 1e9
    return replace(dataset, target=target, timeline=replace(dataset.timeline, known=replace(known, values=values)))


def origins_in(dataset, fold, folds=3):
    """The origin of each training row as a fold sees it."""
    own = training_origins(dataset.timeline)
    split = replay(dataset.timeline, FoldSettings(count=folds))
    own[split.folds.valid[fold]] = split.origins[fold]
    return own


def view(design, fold):
    """All training rows as a fold sees them."""
    return rows_of(design, fold, slice(len(design.target)))


# --- what the tests rest on


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_sample_has_what_there_is_to_lose(layout):
    """Three folds, history that is known somewhere in every column, and shifted to the layout that is declared."""
    dataset, design = DATASETS[layout], DESIGNS[layout]
    assert dataset.timeline.layout == layout
    assert design.folds.count == 3
    known = np.isfinite(design.rows.numeric[: len(design.target)]).any(axis=0)
    assert known.all()
    assert "sold, latest known" in design.numeric
    assert set(OF_DATES) <= set(design.numeric)


def test_a_layout_that_is_found_is_the_one_that_is_declared():
    """But for rolling, which no file tells."""
    for layout in set(LAYOUTS) - {"rolling"}:
        assert dataset_of(*frames(layout), "auto").timeline.layout == layout


# --- FAULT 48, 53: what comes after a cutoff


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("fold", range(3))
@pytest.mark.parametrize("layout", ["future", "rolling"])
def test_what_happens_after_a_folds_cutoff_changes_no_bit_of_it(layout, fold, poison):
    """FAULT 48: its view of rows with earlier origins, its fitted states, what it trains on; and nothing of others."""
    dataset, clean = DATASETS[layout], DESIGNS[layout]
    own = dataset.timeline
    origin = origins_in(dataset, fold)
    cutoff = int(origin[clean.folds.valid[fold]].min())
    bad = poisoned(dataset, where=own.known.step > cutoff, trained=own.train.step > cutoff, poison=poison)
    found = design_of(bad)
    before = np.flatnonzero(origin <= cutoff)
    assert set(clean.folds.train[fold].tolist()) <= set(before.tolist())
    assert_same(rows_of(found, fold, before), rows_of(clean, fold, before))
    assert_same(found.states[fold], clean.states[fold])
    assert_same(found.target_states[fold], clean.target_states[fold])
    assert_same(found.folds, clean.folds)
    trained = clean.folds.train[fold]
    has_past = trained[np.isfinite(rows_of(clean, fold, trained).numeric[:, clean.numeric.index("y, latest known")])]
    assert_same(found.naive["last value"][fold][has_past], clean.naive["last value"][fold][has_past])
    assert not np.array_equal(view(found, 3).numeric, view(clean, 3).numeric, equal_nan=True)


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_row_of_the_whole_design_knows_nothing_after_its_origin(layout, poison):
    """FAULT 48: cutoffs all along, in the view of all rows: rows of train and test whose origin is not later."""
    dataset, clean = DATASETS[layout], DESIGNS[layout]
    own = dataset.timeline
    origin = np.concatenate([training_origins(own), own.test_origin])
    for cutoff in (13, 27, 40, 47):
        bad = poisoned(dataset, where=own.known.step > cutoff, trained=[], poison=poison)
        found = look_back(bad, FoldSettings(count=3), SEASONAL, "none")
        hindsight = look_back(dataset, FoldSettings(count=3), SEASONAL, "none")
        rows, expected = np.vstack([found.train, found.test]), np.vstack([hindsight.train, hindsight.test])
        assert_same(rows[origin <= cutoff], expected[origin <= cutoff])
        assert (origin <= cutoff).any()
    history = [clean.numeric.index(name) for name in hindsight.columns]
    assert_same(clean.rows.numeric[:, history], np.asfortranarray(expected))


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("fold", range(3))
@pytest.mark.parametrize("layout", ["interleaved", "random", "new_groups", "future"])
def test_what_a_fold_scores_changes_nothing_of_it(layout, fold, poison):
    """FAULT 52: targets and past-only cells of validation rows reach no row of the fold, nor what it fits."""
    dataset, clean = DATASETS[layout], DESIGNS[layout]
    own, valid = dataset.timeline, clean.folds.valid[fold]
    pairs = set(zip(own.train.series[valid].tolist(), own.train.step[valid].tolist(), strict=True))
    where = np.array([pair in pairs for pair in zip(own.known.series.tolist(), own.known.step.tolist(), strict=True)])
    assert where.sum() == len(valid)
    found = design_of(poisoned(dataset, where=where, trained=valid, poison=poison))
    assert_same(rows_of(found, fold, clean.folds.train[fold]), rows_of(clean, fold, clean.folds.train[fold]))
    assert_same(rows_of(found, fold, valid), rows_of(clean, fold, valid))
    assert_same(found.states[fold], clean.states[fold])
    assert_same(found.target_states[fold], clean.target_states[fold])
    for name, naive in clean.naive.items():
        assert_same(found.naive[name][fold], naive[fold])
    assert not np.array_equal(view(found, 3).numeric, view(clean, 3).numeric, equal_nan=True)


@pytest.mark.parametrize("embargo", [0, 5])
def test_what_is_hidden_would_be_seen_if_it_were_not(embargo):
    """Rows behind an interleaved block have it in their past: in the fold's view they differ from the others'."""
    dataset = dataset_of(*frames("interleaved"), "interleaved", embargo=embargo)
    design = design_of(dataset)
    for fold, overlay in enumerate(design.overlays):
        assert len(np.intersect1d(overlay.rows, design.folds.train[fold])) > 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_shop_changes_another(layout):
    """FAULT 53: the last training shop turns to 1e9; rows of all others keep every bit, in every view."""
    dataset, clean = DATASETS[layout], DESIGNS[layout]
    own = dataset.timeline
    series = own.stamped.names.index("c")
    bad = poisoned(dataset, where=own.known.series == series, trained=[], poison="huge")
    found = design_of(bad)
    others = np.concatenate([own.train.series, own.test.series]) != series
    for fold in range(4):
        assert_same(rows_of(found, fold, np.flatnonzero(others)), rows_of(clean, fold, np.flatnonzero(others)))
    assert not np.array_equal(found.rows.numeric, clean.rows.numeric, equal_nan=True)


# --- how a fold sees the rows


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scored_rows_are_as_far_ahead_in_a_fold_as_the_test(layout):
    """The age that the fold's view tells of its scored rows is that of their replayed origin."""
    dataset, design = DATASETS[layout], DESIGNS[layout]
    age = design.numeric.index("steps ahead")
    for fold, valid in enumerate(design.folds.valid):
        expected = np.log1p(dataset.timeline.train.step - origins_in(dataset, fold))
        assert_same(view(design, fold).numeric[:, age], expected)
        assert (np.expm1(rows_of(design, fold, valid).numeric[:, age]) > 0.5).all()


@settings(max_examples=20)
@given(st.sampled_from(LAYOUTS), st.integers(0, 3), st.lists(st.integers(0, 100), max_size=20))
def test_chosen_rows_are_those_of_the_whole_view(layout, fold, rows):
    """`rows_of` by index, by slice and of all is `overlaid`; the fit on every row sees the design's own."""
    design = DESIGNS[layout]
    whole = overlaid(design.rows, design.overlays[fold]) if fold < 3 else design.rows
    index = np.array(rows, dtype=np.int64)
    assert_same(rows_of(design, fold, index).numeric, whole.numeric[index])
    assert_same(rows_of(design, fold, slice(5, 60)).numeric, whole.numeric[5:60])
    assert_same(rows_of(design, fold, slice(len(whole.numeric))).codes, whole.codes)


def test_each_fold_of_a_time_series_has_a_block_of_its_own():
    """What they see of rows differs."""
    assert len(set(block_starts(design_of(DATASETS["future"]), range(4)).values())) == 4


def test_one_fit_on_everything_is_refused():
    """Its statistics would see what folds have to forecast."""
    with pytest.raises(ConfigError, match='with \\[time\\] set it to "fold"'):
        design_of(DATASETS["future"], preparation=PREPARATION.model_copy(update={"fit_on": "all"}))


def test_a_fold_is_fitted_on_what_it_sees():
    """FAULT 52: mean and spread of its training rows in its own view, with what it must not know left out."""
    design = DESIGNS["interleaved"]
    at = design.numeric.index("y, latest known")
    for fold in range(3):
        own = rows_of(design, fold, design.folds.train[fold]).numeric[:, at]
        np.testing.assert_allclose(design.states[fold].mean[at], np.nanmean(own), rtol=1e-12)


# --- FAULT 51: the predict path


@pytest.mark.parametrize("metric", ["rmse", "rmsle"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_test_file_read_again_gives_the_designs_test_rows(layout, metric):
    """FAULT 51: numbers and codes bit for bit, in the scale that the metric asks for."""
    _, test = frames(layout)
    dataset = dataset_of(*frames(layout), layout, metric=metric)
    design = design_of(dataset, metric=metric)
    ids, rows, notices = prepare_rows(
        dataset, design, table(csv_of(test), "test.csv"), roles=ROLES, options=PREPARATION, history=SEASONAL
    )
    N = len(design.target)
    assert ids.tolist() == dataset.test_ids.tolist()
    assert_same(rows.numeric, design.rows.numeric[N:])
    assert_same(rows.codes, design.rows.codes[N:])
    assert [notice.subject for notice in notices] == (["shop"] if layout == "new_groups" else [])


@pytest.mark.parametrize("layout", ["future", "rolling"])
def test_held_out_rows_read_again_are_the_designs_test_rows(layout):
    """FAULT 51: their columns of train alone are ignored."""
    frame, _ = frames("future")
    settings = Time(column="date", groups=["shop"], layout=layout, horizon=3, known_future=["promo"])
    dataset = ingest(
        raw_tables(csv_of(frame)), roles=ROLES, metric="rmse", holdout=Holdout(share=0.15), time=settings
    )  # fmt: skip
    design = design_of(dataset)
    held = frame[frame["Id"].isin(set(dataset.test_ids))]
    _, rows, _ = prepare_rows(
        dataset, design, table(csv_of(held), "held.csv"), roles=ROLES, options=PREPARATION, history=SEASONAL
    )
    assert_same(rows.numeric, design.rows.numeric[len(design.target) :])


@pytest.mark.parametrize(
    ("layout", "difference"),
    [(one, "last") for one in LAYOUTS]
    + [(one, by) for one in LAYOUTS[:-1] for by in ("season", "phase_mean", "ridge")],  # new series have no window
)
def test_what_is_taken_from_rows_of_the_test_read_again_is_the_designs(layout, difference):
    """FAULT 51, and what the rest is divided by: bit for bit, together and one by one where that is promised."""
    _, test = frames(layout)
    dataset = dataset_of(*frames(layout), layout)
    design = design_of(dataset, target=Target(difference=difference, scale="series"))

    def taken_of(some):
        _, rows, _ = prepare_rows(
            dataset, design, table(csv_of(some), "test.csv"), roles=ROLES, options=PREPARATION, history=SEASONAL
        )  # fmt: skip
        return np.column_stack([rows.base, rows.spread])

    own = np.column_stack([design.rows.base, design.rows.spread])[len(design.target) :]
    assert np.isfinite(own[:, 1]).any() == (layout != "new_groups")
    assert_same(taken_of(test), own)
    if layout in ("future", "rolling", "interleaved"):
        for row in range(0, len(test), 7):
            assert_same(taken_of(test[row : row + 1]), own[row : row + 1])


@pytest.mark.parametrize("layout", ["future", "rolling", "interleaved"])
def test_a_row_of_the_test_alone_is_what_it_was_in_company(layout):
    """FAULT 51: where all series have the same blocks, an origin is the last step at which anything was known."""
    dataset, design = DATASETS[layout], DESIGNS[layout]
    _, test = frames(layout)
    for row in range(0, len(test), 7):
        _, rows, _ = prepare_rows(
            dataset, design, table(csv_of(test[row : row + 1]), "one.csv"), roles=ROLES, options=PREPARATION,
            history=SEASONAL,
        )  # fmt: skip
        assert_same(rows.numeric[0], design.rows.numeric[len(design.target) + row])


def test_rows_beyond_the_horizon_of_a_map_are_counted():
    """Two weeks after the test's last day: what is taken from them is the last value, and that is said."""
    _, test = frames("future")
    dataset = DATASETS["future"]
    design = design_of(dataset, target=Target(difference="ridge"))
    later = test.assign(date=(pd.to_datetime(test["date"]) + pd.Timedelta(days=14)).dt.strftime("%Y-%m-%d"))
    assert not set(later["date"]) & set(test["date"])
    for some, count in ((test, 0), (later, len(later))):
        _, _, notices = prepare_rows(
            dataset, design, table(csv_of(some), "more.csv"), roles=ROLES, options=PREPARATION, history=SEASONAL
        )
        told = [notice for notice in notices if "further than any row of the test" in notice.text]
        assert [notice.count for notice in told] == [count] * bool(count)


def test_a_shop_that_nobody_knows_has_no_past():
    """Its history is missing, its calendar and seasons are there; it is told as a level that nobody trained on."""
    dataset, design = DATASETS["future"], DESIGNS["future"]
    test = frames("future")[1].assign(shop="z")
    _, rows, notices = prepare_rows(
        dataset, design, table(csv_of(test), "z.csv"), roles=ROLES, options=PREPARATION, history=SEASONAL
    )
    past = [at for at, name in enumerate(design.numeric) if name.startswith(("y, ", "sold, "))]
    assert np.isnan(rows.numeric[:, past]).all()
    others = np.delete(rows.numeric, past, axis=1)
    assert np.isfinite(others).all()
    assert [(notice.subject, notice.count) for notice in notices] == [("shop", len(test))]


# --- FAULT 55: what has no say


@pytest.mark.parametrize("layout", LAYOUTS)
def test_order_ids_and_whole_weeks_have_no_say(layout):
    """FAULT 55: rows permuted, ids renamed, dates 5 weeks later, without parts of dates that name a year or month."""
    preparation = Preprocess(calendar=("day_of_week",))
    clean = design_of(DATASETS[layout], preparation=preparation)
    train, test = frames(layout, "2024-02-05")
    draw = np.random.default_rng(3)
    order, test_order = draw.permutation(len(train)), draw.permutation(len(test))
    moved = dataset_of(
        train.iloc[order].assign(Id=[f"x{row}" for row in range(len(train))]),
        test.iloc[test_order].assign(Id=[f"t{row}" for row in range(len(test))]),
        layout,
    )
    found = design_of(moved, preparation=preparation)
    everybody = np.concatenate([order, len(train) + test_order])
    assert found.columns == clean.columns
    assert_same(found.rows.numeric, np.asfortranarray(clean.rows.numeric[everybody]))
    for fold in range(4):
        matrix, expected = (matrix_for(own, fold, rows_of(own, fold, slice(None))) for own in (found, clean))
        np.testing.assert_allclose(matrix, expected[everybody], rtol=1e-5, atol=1e-6)
    for fold in range(3):
        for ours, theirs in zip(
            (found.folds.train[fold], found.folds.valid[fold]), (clean.folds.train[fold], clean.folds.valid[fold]),
            strict=True,
        ):  # fmt: skip
            assert sorted(order[ours].tolist()) == sorted(theirs.tolist())


# --- folds of other kinds, and what is refused


def test_shuffled_folds_on_a_future_block_are_told_to_flatter():
    """A notice; the folds are those that were asked for, and what they score is hidden."""
    design = design_of(DATASETS["future"], kind="kfold")
    [line] = [notice.line for notice in design.notices if notice.subject == "folds"]
    assert line.startswith("folds: rows of all times on both sides, but the test is future: scores are too good")
    assert line.endswith('set folds.kind = "replay"')
    assert sorted(np.concatenate(design.folds.valid).tolist()) == list(range(len(design.target)))
    assert not [notice for notice in DESIGNS["future"].notices if notice.subject == "folds"]


def test_replayed_folds_are_those_of_auto():
    """By name, and by default."""
    assert_same(design_of(DATASETS["interleaved"], kind="replay").folds, DESIGNS["interleaved"].folds)


def test_a_column_that_is_named_like_one_of_the_past_is_refused():
    """It would be overwritten in silence."""
    train, test = (own.rename(columns={"promo": "steps ahead"}) for own in frames("future"))
    with pytest.raises(DataError, match=r"^column 'steps ahead' is named like one that \[history\] makes; rename it"):
        design_of(dataset_of(train, test, "future"))


def test_naive_forecasts_come_with_every_fold():
    """The last value, and one of each season: of a fold and a row, in the target's own scale."""
    design = DESIGNS["future"]
    assert list(design.naive) == ["last value", "seasonal naive 7"]
    dataset = DATASETS["future"]
    known, valid = dataset.timeline.known, design.folds.valid[2]
    for row in valid[:10]:
        own = (known.series == dataset.timeline.train.series[row]) & (known.step <= origins_in(dataset, 2)[row])
        assert design.naive["last value"][2, row] == known.values[own, 0][-1]


# --- encodings and holidays

BOTH = SEASONAL.model_copy(update={"encode": ("kind", "shop"), "holidays": "DE-BY"})
ENCODED = ("y, mean at kind", "y, mean at shop", "holiday", "days to holiday", "days since holiday")


def of_kinds(frame):
    """The same rows with a kind of day that all shops share; a tenth of them have none."""
    draw = np.random.default_rng(11)
    names = np.array(["fair", "market", "plain", ""], dtype=object)
    return frame.assign(kind=names[draw.choice(4, len(frame), p=[0.3, 0.3, 0.3, 0.1])])


KINDS = {layout: tuple(map(of_kinds, frames(layout, "2024-03-25"))) for layout in LAYOUTS}
OF_KINDS = {layout: dataset_of(*KINDS[layout], layout) for layout in LAYOUTS}
WITH_BOTH = {layout: design_of(dataset, history=BOTH) for layout, dataset in OF_KINDS.items()}


def columns_of(design, rows, names=ENCODED):
    return rows.numeric[:, [design.numeric.index(name) for name in names]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_encoding_is_the_mean_of_all_earlier_rows_of_the_kind(layout):
    """By pandas, of the file as it is: what train has of the kind on any day up to the row's origin, in any shop."""
    (train, test), own, design = KINDS[layout], OF_KINDS[layout].timeline, WITH_BOTH[layout]
    origin = np.concatenate([training_origins(own), own.test_origin])
    steps = (pd.to_datetime(train["date"]) - pd.Timestamp("2024-03-25")).dt.days
    for name in ("kind", "shop"):
        levels = pd.concat([train[name], test[name]])
        expected = [
            train.loc[(train[name] == level) & (steps <= now) & (level != ""), "y"].mean()
            for level, now in zip(levels, origin, strict=True)
        ]
        found = columns_of(design, design.rows, [f"y, mean at {name}"])[:, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert np.isfinite(found).mean() > 0.3


def test_holidays_are_those_of_the_file():
    """Easter of 2024 and May 1: 31 March is a Sunday, and no holiday in Bavaria beside Friday and Monday."""
    design = WITH_BOTH["future"]
    days = pd.concat([frame["date"] for frame in KINDS["future"]]).to_numpy()
    found = columns_of(design, design.rows, ["holiday"])[:, 0]
    assert set(days[found == 1]) == {"2024-03-29", "2024-04-01", "2024-05-01", "2024-05-09"}


@pytest.mark.parametrize("metric", ["rmse", "rmsle"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_encodings_of_the_test_file_read_again_are_the_designs(layout, metric):
    """FAULT 51: whole, and a row alone where all series have the same blocks."""
    dataset = dataset_of(*KINDS[layout], layout, metric=metric)
    design, test = design_of(dataset, metric=metric, history=BOTH), KINDS[layout][1]
    N = len(design.target)
    for part in (slice(None), *(slice(row, row + 1) for row in range(0, len(test), 9))):
        _, rows, _ = prepare_rows(
            dataset, design, table(csv_of(test[part]), "test.csv"), roles=ROLES, options=PREPARATION, history=BOTH
        )
        if part == slice(None):
            assert_same(rows.numeric, design.rows.numeric[N:])
        elif layout in {"future", "rolling", "interleaved"}:
            assert_same(rows.numeric, design.rows.numeric[N:][part])


def test_a_kind_that_nobody_knows_has_no_mean():
    """Missing, as that of a row without one; its shop's and the holidays are there."""
    dataset, design, test = OF_KINDS["future"], WITH_BOTH["future"], KINDS["future"][1]
    for kind in ("parade", ""):
        _, rows, _ = prepare_rows(
            dataset, design, table(csv_of(test.assign(kind=kind)), "new.csv"), roles=ROLES, options=PREPARATION,
            history=BOTH,
        )  # fmt: skip
        own = columns_of(design, rows)
        assert np.isnan(own[:, 0]).all()
        assert_same(own[:, 1:], columns_of(design, design.rows)[len(design.target) :, 1:])


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("fold", range(3))
@pytest.mark.parametrize("layout", ["interleaved", "random", "new_groups", "future"])
def test_encodings_know_nothing_of_what_a_fold_scores(layout, fold, poison):
    """FAULT 52: poisoned targets of validation rows reach neither rows of the fold nor what it fits, pooled or not."""
    dataset, clean = OF_KINDS[layout], WITH_BOTH[layout]
    own, valid = dataset.timeline, clean.folds.valid[fold]
    keys = own.known.series * 1000 + own.known.step
    where = np.isin(keys, own.train.series[valid] * 1000 + own.train.step[valid])
    found = design_of(poisoned(dataset, where=where, trained=valid, poison=poison), history=BOTH)
    for rows in (clean.folds.train[fold], valid):
        assert_same(rows_of(found, fold, rows), rows_of(clean, fold, rows))
    assert_same(found.states[fold], clean.states[fold])
    moved = columns_of(found, view(found, 3)), columns_of(clean, view(clean, 3))
    assert not np.array_equal(*(own[:, :2] for own in moved), equal_nan=True)
    assert_same(moved[0][:, 2:], moved[1][:, 2:])


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_encodings_know_nothing_after_an_origin(layout, poison):
    """FAULT 48: of rows of train and test whose origin is not after a cutoff."""
    dataset, own = OF_KINDS[layout], OF_KINDS[layout].timeline
    origin = np.concatenate([training_origins(own), own.test_origin])
    clean = look_back(dataset, FoldSettings(count=3), BOTH, "none")
    for cutoff in (13, 27, 40):
        bad = poisoned(dataset, where=own.known.step > cutoff, trained=[], poison=poison)
        found = look_back(bad, FoldSettings(count=3), BOTH, "none")
        rows, expected = (np.vstack([one.train, one.test])[origin <= cutoff] for one in (found, clean))
        assert_same(rows, expected)


@pytest.mark.parametrize(
    ("encode", "said"),
    [
        (("kin",), r"^\[history\] encode lists 'kin', which is no column of levels known ahead; did you mean 'kind'\?"),
        (("sold",), r"lists 'sold', which is no column of levels known ahead; the file has 'shop', 'kind'$"),
        (("promo",), "lists 'promo', which is no column of levels known ahead"),
        (("kind", "shop", "kind"), "lists 'kind' twice; keep one"),
    ],
)
def test_only_levels_known_ahead_are_encoded(encode, said):
    """A misspelt name, one of the past only, one of numbers, one twice."""
    with pytest.raises(ConfigError, match=said):
        design_of(OF_KINDS["future"], history=History(encode=encode))


def test_a_table_without_levels_has_nothing_to_encode():
    train, test = (own[own["shop"] == "a"].drop(columns="shop") for own in frames("future"))
    dataset = ingest(
        raw_tables(csv_of(train), csv_of(test)), roles=ROLES, metric="rmse", time=Time(column="date", layout="future")
    )
    with pytest.raises(
        ConfigError, match="'shop', which is no column of levels known ahead; there is none; take it out"
    ):
        design_of(dataset, history=History(encode=("shop",)))


def test_levels_that_are_named_like_a_column_of_the_past_are_refused():
    """A file may well tell holidays itself."""
    dataset = dataset_of(*(own.rename(columns={"kind": "holiday"}) for own in KINDS["future"]), "future")
    assert design_of(dataset).categorical == ("shop", "holiday")
    with pytest.raises(DataError, match=r"^column 'holiday' is named like one that \[history\] makes"):
        design_of(dataset, history=History(holidays="US"))
