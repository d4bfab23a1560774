"""What may be known of a column, and when: by the test file, by a list, or because it never changes."""

import numpy as np
import pytest
from builders import raw_tables
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.settings import Schema
from pipeline.tabular.knowledge import column_roles, made_of_target
from pipeline.time_settings import Time
from pipeline.timeline import ColumnRole

TRAIN = "Id,t,shop,town,promo,sold,junk,y\n1,1,a,X,0,5,q,1\n2,2,a,X,1,6,q,2\n3,1,b,Y,0,7,q,3\n4,2,b,Y,1,8,q,4\n"
TEST = "Id,t,shop,town,promo,junk\n5,3,a,X,1,q\n6,3,b,Y,0,q\n"
SERIES = np.array([0, 0, 1, 1], dtype=np.int32)


def roles_of(test=TEST, train=TRAIN, **time):
    settings = Time(column="t", groups=["shop"], **time)
    found = column_roles(raw_tables(train, test), Schema(id="Id", target="y", drop=["junk"]), settings, SERIES)
    return {own.name: (own.role, own.evidence) for own in found}


def refusal(test=TEST, **time):
    with pytest.raises(ConfigError) as raised:
        roles_of(test, **time)
    return str(raised.value)


# --- roles


def test_the_test_file_tells_what_is_known_ahead():
    """Time, groups, id, target and dropped columns have no role; the others in the order of train."""
    assert roles_of() == {
        "town": ("known in the future", "test.csv has it"),
        "promo": ("known in the future", "test.csv has it"),
        "sold": ("past only", "test.csv has it not"),
    }


def test_what_is_listed_goes_before_what_the_test_file_tells():
    """A column that the test file has may be known too late all the same."""
    found = roles_of(past_only=["promo"], static="town")
    assert found["promo"] == ("past only", "listed under [time] past_only")
    assert found["town"] == ("static", "listed under [time] static")
    assert found["sold"] == ("past only", "test.csv has it not")


def test_without_a_test_file_only_what_never_changes_is_known_ahead():
    """Each shop has one town; whatever else is known ahead, a list has to say."""
    nothing_tells = "no test file tells whether it is known ahead; see [time] known_future"
    assert roles_of(None) == {
        "town": ("static", "never changes in a series"),
        "promo": ("past only", nothing_tells),
        "sold": ("past only", nothing_tells),
    }
    assert roles_of(None, known_future=["promo"])["promo"] == (
        "known in the future", "listed under [time] known_future"
    )  # fmt: skip


def test_a_column_that_changes_or_is_missing_once_is_not_static():
    """One cell of four."""
    for cell in ("Z", ""):
        changed = TRAIN.replace("2,2,a,X", f"2,2,a,{cell}")
        assert roles_of(None, changed)["town"][0] == "past only"


def test_without_groups_or_with_a_list_nothing_is_found_static():
    """One series: what never changes there is constant. And a list is all there is."""
    alone = column_roles(raw_tables(TRAIN, None), Schema(id="Id", target="y"), Time(column="t"), SERIES * 0)
    assert {own.role for own in alone} == {"past only"}
    assert roles_of(None, static=[])["town"][0] == "past only"


# --- what is refused


def test_a_misspelt_name_is_told_the_nearest():
    """And in which list it stands."""
    assert refusal(known_future=["prmo"]) == (
        "[time] known_future lists 'prmo', which is no feature of train; did you mean 'promo'?"
    )


@pytest.mark.parametrize("name", ["y", "t", "shop", "Id", "junk"])
def test_what_is_no_feature_has_no_role(name):
    """Target, time, group, id, dropped."""
    assert refusal(past_only=[name]).startswith(f"[time] past_only lists {name!r}, which is no feature of train; ")


def test_a_column_has_one_role():
    """The exact sentence."""
    assert refusal(known_future=["promo"], past_only=["promo"]) == (
        "column 'promo' is listed under [time] known_future and past_only; keep one"
    )


@pytest.mark.parametrize("key", ["known_future", "static"])
def test_what_the_test_file_has_not_is_not_known_ahead(key):
    """Its values would be missing on every test row."""
    assert refusal(**{key: ["sold"]}) == (f"[time] {key} lists 'sold', but test.csv has it not; list it as past_only")


# --- columns that are the target


def made(target, **past):
    found = made_of_target(np.array(target, float), {name: np.array(own, float) for name, own in past.items()})
    return {own.name: own.evidence for own in found}


RENTALS = {"casual": [3, 8, 5, 3, 0, 0, 2, 1], "registered": [13, 32, 27, 10, 1, 1, 0, 2]}
COUNT = np.add(*RENTALS.values())
WIND = [1.5, 0.2, 3.3, 0.1, 0.9, 2.5, 0.4, 7.7]


def test_casual_and_registered_are_the_count():
    """Both are named, with the sum; a column beside them that has no part in it is not."""
    told = "the target is casual + registered on every row"
    assert made(COUNT, **RENTALS) == {"casual": told, "registered": told}
    assert made(COUNT, wind=WIND, **RENTALS) == {"casual": told, "registered": told}
    role = ColumnRole("casual", "made of the target", told)
    assert made_of_target(COUNT.astype(float), {k: np.array(v, float) for k, v in RENTALS.items()})[0] == role


def test_a_copy_alone_and_a_weighted_sum_are_found():
    """Twice the target, the target less 3, and thousands: what the sentence says is so on every row."""
    assert made(COUNT, copy=COUNT) == {"copy": "the target is copy on every row"}
    assert made(COUNT, twice=2 * COUNT) == {"twice": "the target is 0.5 twice on every row"}
    assert made(COUNT, less=COUNT - 3) == {"less": "the target is less + 3 on every row"}
    assert made(COUNT * 1000, thousands=COUNT) == {"thousands": "the target is 1000 thousands on every row"}


@given(st.integers(0, 7), st.sampled_from([0.5, 1.0, -1.0]))
def test_a_near_copy_is_none(row, off):
    """One row of eight that differs: somebody counted it, and it is no sum."""
    near = COUNT.astype(float)
    near[row] += off
    assert made(COUNT, near=near) == {}
    registered = np.array(RENTALS["registered"], float)
    registered[row] += off
    assert made(COUNT, casual=RENTALS["casual"], registered=registered) == {}


def test_rows_with_a_gap_tell_nothing():
    """A missing cell or target is left out; the other rows decide."""
    casual = np.array(RENTALS["casual"], float)
    casual[0] = np.nan
    target = COUNT.astype(float)
    target[7] = np.nan
    assert set(made(target, casual=casual, registered=RENTALS["registered"])) == {"casual", "registered"}


def test_as_many_columns_as_rows_are_no_evidence():
    """Three columns of noise fit 4 rows exactly; there has to be a row more than a fit can use up."""
    noise = np.random.default_rng(0).normal(size=(4, 5))
    columns = {f"n{at}": noise[at] for at in range(3)}
    assert made([1, 2, 4, 8], **{name: own[:4] for name, own in columns.items()}) == {}
    assert made([1, 2, 4, 8, 3], **columns) == {}


def test_nothing_is_made_of_nothing():
    """No past-only column; one that is always missing."""
    assert made(COUNT) == {}
    assert made(COUNT, empty=np.full(8, np.nan)) == {}
