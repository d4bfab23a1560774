"""How the samples' files are made: on tables so small that each file can be written by hand."""

import hashlib
from datetime import date

from pipeline import sample_tables

TABLE = "x,y\n" + "".join(f"{row},{100 * row}\n" for row in range(10))


def texts(files):
    return {name: content.decode() for name, content in files.items()}


def test_the_split_keeps_every_row_once_and_the_targets_of_test_rows_apart(monkeypatch):
    """By hand, ten rows in the order of their hashes: the first six train, the rest are tested, targets in solution."""
    monkeypatch.setattr(sample_tables, "TRAIN_ROWS", 6)
    order = sorted(range(10), key=lambda row: hashlib.sha256(f"0:{row}".encode()).hexdigest())
    mean = round(sum(100 * row for row in order[:6]) / 6)
    assert texts(sample_tables.split_rows(TABLE)) == {
        "train.csv": "Id,x,y\n" + "".join(f"{n},{row},{100 * row}\n" for n, row in enumerate(order[:6], 1)),
        "test.csv": "Id,x\n" + "".join(f"{n},{row}\n" for n, row in enumerate(order[6:], 7)),
        "sample_submission.csv": "Id,y\n" + "".join(f"{n},{mean}\n" for n in range(7, 11)),
        "solution.csv": "Id,y\n" + "".join(f"{n},{100 * row}\n" for n, row in enumerate(order[6:], 7)),
    }


def test_columns_are_taken_by_name_in_the_order_of_the_new_names():
    """What is not named is left out; a comma inside a cell stays inside it."""
    table = 'PID,price,Alley\n1,100,"Pave, old"\n2,200,NA\n'
    assert sample_tables.renamed(table, {"Alley": "Alley", "price": "SalePrice"}) == (
        'Alley,SalePrice\n"Pave, old",100\nNA,200\n'
    )


def test_the_houses_columns_are_kaggles_in_kaggles_order():
    """79 columns of a sale and the target, last; what only the source has is left out."""
    names = list(sample_tables.HOUSE_NAMES.values())
    assert names[:5] == ["MSSubClass", "MSZoning", "LotFrontage", "LotArea", "Street"]
    assert (names[45], names[-3:]) == ("GrLivArea", ["SaleType", "SaleCondition", "SalePrice"])
    assert len(set(names)) == len(sample_tables.HOUSE_NAMES) == 80
    assert not {"PID", "Order", "rownames"} & sample_tables.HOUSE_NAMES.keys()


def test_a_file_that_is_kept_whole_is_kept_to_the_byte():
    """Line ends, quotes and a missing last line end included."""
    text = 'No,pm2.5\r\n1,NA\r\n2,"129"'
    assert sample_tables.keep_whole(text) == {"train.csv": text.encode()}


def days_of_stations(first, last):
    """A table of the source's form, with 16 days of January 2012 and before: its day 15 holds the counts of day 1."""
    header = ["rownames", "ridership", "Austin", "California", *sample_tables.WEATHER, "Cubs_Home"]
    rows = []
    for number in range(first, last + 1):
        day = date.fromordinal(date(2012, 1, 1).toordinal() + number - 1)
        counts = [f"{(number - 14) / 1000}", f"{(number - 14) / 10}"]  # of two weeks earlier, in thousands
        weather = [f"{number}.5"] * len(sample_tables.WEATHER)
        games = ["1" if number == 2 else "0"] * len(sample_tables.GAMES)
        rows.append([str(number), "9", *counts, *weather, "1", *games, day.isoformat()])
    return "".join(",".join(row) + "\n" for row in [[*header, *sample_tables.GAMES, "date"], *rows])


def test_days_of_stations_become_rows_in_time_and_the_last_days_are_tested(monkeypatch):
    """By hand: day 1 trains, day 2 is tested, both with the counts that stand 14 rows later; no weather in the test."""
    monkeypatch.setattr(sample_tables, "FIRST_TEST_DAY", date(2012, 1, 2))
    games, weather = ",".join(sample_tables.GAMES), ",".join(sample_tables.WEATHER)
    assert texts(sample_tables.split_ridership(days_of_stations(-1, 16))) == {
        "train.csv": (
            f"id,date,station,{games},{weather},rides\n"
            "1,2012-01-01,Austin,0,0,0,0,0,0,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1\n"
            "2,2012-01-01,California,0,0,0,0,0,0,1.5,1.5,1.5,1.5,1.5,1.5,1.5,100\n"
        ),
        "test.csv": (
            f"id,date,station,{games}\n3,2012-01-02,Austin,1,1,1,1,1,1\n4,2012-01-02,California,1,1,1,1,1,1\n"
        ),
        "sample_submission.csv": "id,rides\n3,50\n4,50\n",
        "solution.csv": "id,rides\n3,2\n4,200\n",
    }


def test_days_after_the_last_one_are_left_out(monkeypatch):
    """Whatever the source has of later days, four weeks are tested."""
    monkeypatch.setattr(sample_tables, "FIRST_TEST_DAY", date(2012, 1, 2))
    monkeypatch.setattr(sample_tables, "LAST_DAY", date(2012, 1, 3))
    test = sample_tables.split_ridership(days_of_stations(1, 30))["test.csv"].decode().splitlines()
    assert [line.split(",")[1] for line in test[1:]] == ["2012-01-02"] * 2 + ["2012-01-03"] * 2
