"""How samples' files are made of their sources' tables: text in, the files' bytes out, the same on every machine."""

import csv
import hashlib
import io
from collections.abc import Mapping
from datetime import date, timedelta

SPLIT_SEED = 0
TRAIN_ROWS = 1460
# from 2012 on every count is whole; four whole weeks of winter are tested, for in summer those teams play no games
FIRST_DAY, FIRST_TEST_DAY, LAST_DAY = date(2012, 1, 1), date(2016, 2, 1), date(2016, 2, 28)
COUNTED_BEFORE = timedelta(days=14)  # a day's row holds what stations counted two weeks earlier
# the source's four columns of baseball are one and the same, 1 all summer: no games, so they are left out
GAMES = ("Blackhawks_Away", "Blackhawks_Home", "Bulls_Away", "Bulls_Home", "Bears_Away", "Bears_Home")
WEATHER = ("temp", "humidity", "wind", "weather_rain", "weather_snow", "weather_cloud", "weather_storm")

# the source's name = Kaggle's name, in Kaggle's order; rownames, Order and PID are left out on purpose
_NAME_PAIRS = """
    MS.SubClass=MSSubClass MS.Zoning=MSZoning Lot.Frontage=LotFrontage Lot.Area=LotArea Street=Street Alley=Alley
    Lot.Shape=LotShape Land.Contour=LandContour Utilities=Utilities Lot.Config=LotConfig Land.Slope=LandSlope
    Neighborhood=Neighborhood Condition.1=Condition1 Condition.2=Condition2 Bldg.Type=BldgType House.Style=HouseStyle
    Overall.Qual=OverallQual Overall.Cond=OverallCond Year.Built=YearBuilt Year.Remod.Add=YearRemodAdd
    Roof.Style=RoofStyle Roof.Matl=RoofMatl Exterior.1st=Exterior1st Exterior.2nd=Exterior2nd Mas.Vnr.Type=MasVnrType
    Mas.Vnr.Area=MasVnrArea Exter.Qual=ExterQual Exter.Cond=ExterCond Foundation=Foundation Bsmt.Qual=BsmtQual
    Bsmt.Cond=BsmtCond Bsmt.Exposure=BsmtExposure BsmtFin.Type.1=BsmtFinType1 BsmtFin.SF.1=BsmtFinSF1
    BsmtFin.Type.2=BsmtFinType2 BsmtFin.SF.2=BsmtFinSF2 Bsmt.Unf.SF=BsmtUnfSF Total.Bsmt.SF=TotalBsmtSF Heating=Heating
    Heating.QC=HeatingQC Central.Air=CentralAir Electrical=Electrical X1st.Flr.SF=1stFlrSF X2nd.Flr.SF=2ndFlrSF
    Low.Qual.Fin.SF=LowQualFinSF area=GrLivArea Bsmt.Full.Bath=BsmtFullBath Bsmt.Half.Bath=BsmtHalfBath
    Full.Bath=FullBath Half.Bath=HalfBath Bedroom.AbvGr=BedroomAbvGr Kitchen.AbvGr=KitchenAbvGr
    Kitchen.Qual=KitchenQual TotRms.AbvGrd=TotRmsAbvGrd Functional=Functional Fireplaces=Fireplaces
    Fireplace.Qu=FireplaceQu Garage.Type=GarageType Garage.Yr.Blt=GarageYrBlt Garage.Finish=GarageFinish
    Garage.Cars=GarageCars Garage.Area=GarageArea Garage.Qual=GarageQual Garage.Cond=GarageCond Paved.Drive=PavedDrive
    Wood.Deck.SF=WoodDeckSF Open.Porch.SF=OpenPorchSF Enclosed.Porch=EnclosedPorch X3Ssn.Porch=3SsnPorch
    Screen.Porch=ScreenPorch Pool.Area=PoolArea Pool.QC=PoolQC Fence=Fence Misc.Feature=MiscFeature Misc.Val=MiscVal
    Mo.Sold=MoSold Yr.Sold=YrSold Sale.Type=SaleType Sale.Condition=SaleCondition price=SalePrice
"""
HOUSE_NAMES = dict(pair.split("=") for pair in _NAME_PAIRS.split())


def split_houses(table_csv: str) -> dict[str, bytes]:
    """Split the source's table of houses into a competition's four files, under Kaggle's names, in Kaggle's order."""
    return split_rows(renamed(table_csv, HOUSE_NAMES))


def keep_whole(table_csv: str) -> dict[str, bytes]:
    """Keep the source's file as it is, to the byte: it is all training rows, of which a competition holds out some."""
    return {"train.csv": table_csv.encode()}


def split_ridership(table_csv: str) -> dict[str, bytes]:
    """Turn a table of days into one of stations' days, and split it in time: the last four weeks are tested.

    A row is one station (Austin through California) on one day, ordered by day, and has the day's games and weather.
    Weather is known to training rows only: on the day of a forecast nobody has measured it yet.
    """
    days = {date.fromisoformat(row["date"]): row for row in csv.DictReader(io.StringIO(table_csv))}
    columns = list(next(iter(days.values())))
    stations = columns[columns.index("Austin") : columns.index("California") + 1]
    train: list[list[str]] = []
    test: list[list[str]] = []
    for day, row in sorted(days.items()):
        counts = days.get(day + COUNTED_BEFORE)
        if not FIRST_DAY <= day <= LAST_DAY or counts is None:
            continue
        known = [row[name] for name in (*GAMES, *WEATHER)]
        rows = ([day.isoformat(), name, *known, str(round(1000 * float(counts[name])))] for name in stations)
        (train if day < FIRST_TEST_DAY else test).extend(rows)
    header = ["date", "station", *GAMES, *WEATHER, "rides"]
    return competition_files(header, train, test, id_name="id", withheld=len(WEATHER))


def renamed(table_csv: str, names: Mapping[str, str]) -> str:
    """Take the columns named, in that order, under their new names; rows in the source's order."""
    rows = csv.DictReader(io.StringIO(table_csv))
    return _csv_text([[*names.values()], *([row[name] for name in names] for row in rows)])


def split_rows(table_csv: str) -> dict[str, bytes]:
    """Split a table whose rows have no order (target last, no Id) into the competition's four files, by name.

    Rows are ordered by sha256("seed:row"), so the split depends on no library's random numbers; the first 1460 train.
    """
    header, *rows = csv.reader(io.StringIO(table_csv))
    order = sorted(range(len(rows)), key=lambda row: hashlib.sha256(f"{SPLIT_SEED}:{row}".encode()).digest())
    drawn = [rows[row] for row in order]
    return competition_files(header, drawn[:TRAIN_ROWS], drawn[TRAIN_ROWS:], id_name="Id")


def competition_files(
    header: list[str], train: list[list[str]], test: list[list[str]], *, id_name: str, withheld: int = 0
) -> dict[str, bytes]:
    """Write the four files of a competition; ids count from 1 over the training rows, then over the test rows.

    withheld: how many columns before the target, which is last, the test file does not have either.
    The sample submission repeats one number, the mean of the training targets, rounded.
    """
    known = len(header) - 1 - withheld
    constant = str(round(sum(int(row[-1]) for row in train) / len(train)))
    ids = range(len(train) + 1, len(train) + len(test) + 1)
    target = [id_name, header[-1]]
    files: dict[str, list[list[str]]] = {
        "train.csv": [[id_name, *header], *([str(number), *row] for number, row in enumerate(train, start=1))],
        "test.csv": [[id_name, *header[:known]], *([str(n), *row[:known]] for n, row in zip(ids, test, strict=True))],
        "sample_submission.csv": [target, *([str(number), constant] for number in ids)],
        "solution.csv": [target, *([str(number), row[-1]] for number, row in zip(ids, test, strict=True))],
    }
    return {name: _csv_text(rows).encode() for name, rows in files.items()}


def _csv_text(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
