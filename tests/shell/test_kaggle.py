"""Kaggle's client played by a script: real processes, scripted words, no network; a canary in every hiding place."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from pipeline import kaggle
from pipeline.errors import ConfigError, DataError, PipelineError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shell.conftest import Project

SLUG = "house-prices-advanced-regression-techniques"
CANARY = "KGAT_canary0123456789abcdef"
# takes the next answer of its command (the last one for ever), notes how it was called, says it, ends
CLIENT = """\
#!{python} -S
import base64, json, os, pathlib, sys, time
folder = pathlib.Path({folder!r})
verb = sys.argv[2]
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps([*sys.argv[1:], os.environ["VERBOSE"]]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
answer = answers[verb].pop(0) if len(answers[verb]) > 1 else answers[verb][0]
(folder / "answers.json").write_text(json.dumps(answers))
for name, content in answer.get("files", {{}}).items():
    pathlib.Path(sys.argv[sys.argv.index("-p") + 1], name).write_bytes(base64.b64decode(content))
sys.stdout.write(answer.get("out", ""))
sys.stderr.write(answer.get("err", ""))
sys.stdout.flush()
time.sleep(answer.get("sleep", 0))
sys.exit(answer.get("code", 0))
"""
# word for word what clients 2.2.4 and 1.6.17 print
AUTHENTICATION = (
    "Authentication required to call the Kaggle API.\n\nFirst, you will need a Kaggle account. You can sign up at\n"
    "  https://www.kaggle.com/account/login\n"
)
NO_JSON = (
    'Traceback (most recent call last):\n  File "/bin/kaggle", line 5, in <module>\n    from kaggle.cli import main\n'
    "OSError: Could not find kaggle.json. Make sure it's located in /root/.config/kaggle.\n"
)
NO_NETWORK = (
    "HTTPSConnectionPool(host='api.kaggle.com', port=443): Max retries exceeded with url: /v1/ListSubmissions "
    "(Caused by "
    "NameResolutionError(\"HTTPSConnection(host='api.kaggle.com', port=443): Failed to resolve 'api.kaggle.com'\"))\n"
)
NO_SIX = (
    'Traceback (most recent call last):\n  File "/v/bin/kaggle", line 5, in <module>\n    from kaggle.cli import main\n'
    "ModuleNotFoundError: No module named 'six'\n"
)
RULES = "403 - Forbidden - You must accept this competition's rules before you'll be able to download files.\n"
OUTDATED = (
    "Warning: Looks like you're using an outdated API Version, please consider updating (server 1.6.7 / client 1.6.6)\n"
)
COULD_NOT = "Could not submit to competition"
SUBMITTED = "Successfully submitted to House Prices - Advanced Regression Techniques"
HEADER = "ref,fileName,date,description,status,publicScore,privateScore"
NONE = {"out": "No submissions found\n"}


def listed(*rows: str, before: str = "") -> dict[str, object]:
    """Kaggle's list as `submissions -v` prints it, with DOS line ends as Python's csv module writes them."""
    return {"out": before + "".join(f"{row}\r\n" for row in (HEADER, *rows))}


def row(status: str, score: str = "", *, ref: int = 2, name: str = "submission.csv", message: str = "MLP") -> str:
    return f"{ref},{name},2026-09-07 09:06:0{ref}.067000,{message},SubmissionStatus.{status},{score},"


class FakeClient:
    """The script on the PATH, what it will say, and everything that our side said."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "bin"
        self.folder.mkdir()
        script = self.folder / "kaggle"
        script.write_text(CLIENT.format(python=sys.executable, folder=str(self.folder)))
        script.chmod(stat.S_IRWXU)
        self.submission = root / "reports" / "submission.csv"
        self.submission.parent.mkdir()
        self.submission.write_bytes(b"Id,SalePrice\n1461,169277\n")
        self.raw = root / "raw" / "house-prices"
        self.said: list[str] = []
        self.slept: list[float] = []

    def will_say(self, **answers: object) -> None:
        """Answers by command: one, or a list of which the last one stands for all later calls."""
        lists = {verb: answer if isinstance(answer, list) else [answer] for verb, answer in answers.items()}
        (self.folder / "answers.json").write_text(json.dumps(lists))

    def calls(self) -> list[list[str]]:
        """How the client was called, call by call, without the word `competitions`; last, its VERBOSE."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line)[1:] for line in path.read_text().splitlines()] if path.exists() else []

    def submit(self, message: str = "MLP", **patience: float) -> kaggle.KaggleScore:
        return kaggle.submit(
            SLUG,
            self.submission,
            message,
            on_progress=self.said.append,
            patience=kaggle.Patience(**patience),
            sleep=self.slept.append,
        )

    def download(self, slug: str = SLUG, **patience: float) -> list[Path]:
        return kaggle.download(slug, self.raw, on_progress=self.said.append, patience=kaggle.Patience(**patience))


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    """Kaggle's client first on the PATH, a home without credentials, nothing of the real environment."""
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_API_V1_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VERBOSE", "true")  # would make the real client print its headers
    made = FakeClient(tmp_path)
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    monkeypatch.setenv("PATH", str(made.folder))
    return made


def zipped(**files: bytes) -> dict[str, object]:
    """What `download` leaves: SLUG.zip with these files, a double underscore for the dot of a name."""
    import base64

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        for name, content in files.items():
            written.writestr(name.replace("__", "."), content)
    return {"files": {f"{SLUG}.zip": base64.b64encode(archive.getvalue()).decode()}}


# --- names


@pytest.mark.parametrize(
    "text",
    [
        SLUG,
        f" {SLUG}\n",
        f"https://www.kaggle.com/competitions/{SLUG}",
        f"https://www.kaggle.com/competitions/{SLUG}/overview?tab=x#y",
        f"kaggle.com/c/{SLUG}/",
    ],
)
def test_a_competition_is_named_by_its_slug_or_by_its_address(text: str) -> None:
    """What stands after /c/ or /competitions/; nothing else of an address matters."""
    assert kaggle.competition_slug(text) == SLUG


def test_an_old_competition_may_have_capitals() -> None:
    """LANL-Earthquake-Prediction is spelt so in its address."""
    assert kaggle.competition_slug("LANL-Earthquake-Prediction") == "LANL-Earthquake-Prediction"


@pytest.mark.parametrize(
    "text", ["", "-h", "a/../b", "house prices", "https://example.org/c/titanic", "a;b", "titänic"]
)
def test_what_is_no_competition_never_reaches_the_client(text: str, client: FakeClient) -> None:
    """Not as a path, not as an option, not as another site's address."""
    with pytest.raises(ConfigError, match="is no competition of Kaggle's"):
        client.download(text)
    assert client.calls() == []


# --- download


def test_the_files_arrive_unpacked_and_the_archive_does_not_stay(client: FakeClient) -> None:
    """Two files in, the same bytes out, nothing else in the folder or beside it."""
    client.will_say(download=zipped(train__csv=b"Id,y\n1,2\n", test__csv=b"Id\n3\n"))
    files = client.download()
    assert {path.name: path.read_bytes() for path in files} == {"train.csv": b"Id,y\n1,2\n", "test.csv": b"Id\n3\n"}
    assert sorted(path.name for path in client.raw.iterdir()) == ["test.csv", "train.csv"]
    assert [path.name for path in client.raw.parent.iterdir()] == ["house-prices"]
    assert client.calls()[0][:3] == ["download", "-c", SLUG]


def test_a_file_with_other_bytes_is_never_written_over(client: FakeClient) -> None:
    """Equal bytes are fine, twice; an edited train.csv is the user's, and the download is refused."""
    client.will_say(download=zipped(train__csv=b"Id,y\n1,2\n"))
    client.download()
    client.download()
    (client.raw / "train.csv").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"train\.csv"):
        client.download()
    assert (client.raw / "train.csv").read_bytes() == b"mine"


def test_a_download_without_the_archive_says_what_came(client: FakeClient) -> None:
    """Exit code 0 and no zip is no success."""
    client.will_say(download={"files": {"page.html": "PGh0bWw+"}, "out": "done\n"})
    with pytest.raises(DataError, match=rf"brought page\.html, expected {SLUG}\.zip.*'done'.*/c/{SLUG}/data into"):
        client.download()
    assert not client.raw.exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(client: FakeClient) -> None:
    """The system's refusal, with the path in it, before anything is fetched."""
    client.raw.parent.write_text("a file in the folder's place")
    with pytest.raises(DataError, match=rf"raw.*: {SLUG} cannot be written \(File exists\); make room"):
        client.download()
    assert client.calls() == []


# --- faults of the client, in its own words


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (
            {"out": RULES, "code": 1},
            ConfigError,
            rf"\(403: .*\); accept its rules at https://www.kaggle.com/c/{SLUG}/rules",
        ),
        ({"err": "403 Client Error: Forbidden for url: https://x/y\n", "code": 1}, ConfigError, f"/c/{SLUG}/rules"),
        ({"err": "Permission 'competitions.participate' was denied\n", "code": 1}, ConfigError, f"/c/{SLUG}/rules"),
        ({"out": "404 - Not Found\n", "code": 1}, ConfigError, f"knows no open competition '{SLUG}'"),
        (
            {"err": "404 Client Error: Not Found for url: https://x\n", "code": 1},
            ConfigError,
            "knows no open competition",
        ),
        (
            {"out": AUTHENTICATION, "code": 1},
            ConfigError,
            "there are none; make a token at https://www.kaggle.com/sett",
        ),
        ({"err": NO_JSON, "code": 1}, ConfigError, "there are none; make a token"),
        ({"out": "401 - Unauthorized\n", "code": 1}, ConfigError, "there are none; make a token"),
        ({"err": NO_NETWORK, "code": 1}, DataError, "cannot be reached .*NameResolutionError.*; check the network"),
        ({"err": "429 Client Error: Too Many Requests\n", "code": 1}, DataError, "429.*wait some minutes"),
        ({"err": "OSError: [Errno 28] No space left on device\n", "code": 1}, DataError, "disk is full.*make room"),
        ({"err": NO_SIX, "code": 1}, DataError, "crashed: ModuleNotFoundError: No module named 'six'.* at 'download'"),
        ({"err": "502 Server Error: Bad Gateway\n", "code": 1}, DataError, "failed at 'download'.*: 502 Server Error"),
        (
            {"code": 3},
            DataError,
            "failed at 'download' .*: without a word; run it again, or download the files by hand",
        ),
    ],
)
def test_what_the_client_says_of_a_fault_becomes_one_sentence_with_its_remedy(
    answer: dict[str, object], kind: type[PipelineError], message: str, client: FakeClient
) -> None:
    """Nothing is left half-written, and the sentence has one line."""
    client.will_say(download=answer)
    with pytest.raises(kind, match=message) as caught:
        client.download()
    assert "\n" not in str(caught.value)
    assert list(client.raw.parent.iterdir()) == []


def test_missing_credentials_are_told_with_every_place_in_the_clients_order(client: FakeClient) -> None:
    """The order in which the client looks is the order in which they are named."""
    client.will_say(download={"out": AUTHENTICATION, "code": 1})
    with pytest.raises(ConfigError) as caught:
        client.download()
    _, _, order = str(caught.value).partition("in this order: ")
    places = ["KAGGLE_API_TOKEN", "access_token", "KAGGLE_USERNAME", "kaggle.json", "kaggle auth login"]
    positions = [order.index(place) for place in places]
    assert positions == sorted(positions)


def test_refused_credentials_are_told_with_the_place_they_came_from(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable goes before the file, as it does in the client."""
    client.will_say(download={"out": AUTHENTICATION, "code": 1})
    token = client.submission.parents[1] / "home" / ".kaggle" / "access_token"
    token.write_text(CANARY)
    with pytest.raises(ConfigError, match=rf"refuses the credentials in {token}, .*; make a new token"):
        client.download()
    monkeypatch.setenv("KAGGLE_API_TOKEN", CANARY)
    with pytest.raises(ConfigError, match=r"refuses the credentials in KAGGLE_API_TOKEN, "):
        client.download()


def test_without_the_client_one_sentence_says_how_to_install_it(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither on the PATH nor beside the interpreter."""
    monkeypatch.setenv("PATH", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "home" / "python"))
    with pytest.raises(
        ConfigError, match=r"`kaggle` is neither on the PATH nor .*pip install kaggle, or make setup EXTRAS"
    ):
        client.submit()


def test_the_client_is_found_beside_the_interpreter(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An environment that was not activated has it there."""
    client.will_say(download=zipped(train__csv=b"Id\n1\n"))
    monkeypatch.setenv("PATH", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "executable", str(client.folder / "python"))
    assert [path.name for path in client.download()] == ["train.csv"]


def test_a_client_that_cannot_be_started_is_a_sentence(client: FakeClient) -> None:
    """Its interpreter was removed."""
    (client.folder / "kaggle").write_text("#!/nowhere/python\n")
    with pytest.raises(
        ConfigError, match=r"bin/kaggle: cannot be started \(No such file or directory\); install it again"
    ):
        client.download()


def test_a_client_that_hangs_is_stopped(client: FakeClient) -> None:
    """At the limit; for an upload the sentence asks to look first, since it may have arrived."""
    client.will_say(download={"sleep": 600}, submissions=NONE, submit={"sleep": 600})
    with pytest.raises(DataError, match=r"did not finish 'download' .* within 0\.5 seconds .*; run it again"):
        client.download(transfer_seconds=0.5)
    with pytest.raises(
        DataError, match=rf"did not finish 'submit' .*look at .*/c/{SLUG}/submissions whether it arrived"
    ):
        client.submit(transfer_seconds=0.5)


# --- submit


def test_a_submission_is_uploaded_and_its_score_awaited(client: FakeClient) -> None:
    """Pending, pending, complete: the score of our row, its time in UTC, the hash of the file that was sent."""
    pending = listed(row("PENDING"))
    client.will_say(submissions=[NONE, NONE, pending, listed(row("COMPLETE", "0.12345"))], submit={"out": SUBMITTED})
    score = client.submit()
    assert score == kaggle.KaggleScore(
        submitted_at="2026-09-07T09:06:02+00:00",
        public_score=0.12345,
        status="complete",
        description="MLP",
        sha256=hashlib.sha256(b"Id,SalePrice\n1461,169277\n").hexdigest(),
    )
    sent = ["submit", "-c", SLUG, "-f", str(client.submission), "--message=MLP", "-q", "false"]
    assert [call for call in client.calls() if call[0] == "submit"] == [sent]
    assert client.said[1:] == ["after 5 s: not in Kaggle's list yet", "after 12 s: pending", "after 24 s: complete"]


def test_the_pauses_between_looks_grow_up_to_a_minute_and_end_in_time(client: FakeClient) -> None:
    """8, 12, 18, 27, 40.5, 60, 60 and the 24.5 seconds that are left of 250."""
    client.will_say(submissions=[NONE, listed(row("PENDING"))], submit={"out": SUBMITTED})
    score = client.submit(poll_seconds=8, timeout_seconds=250)
    assert client.slept == [8, 12, 18, 27, 40.5, 60, 60, 24.5]
    assert (score.status, score.public_score) == ("pending", None)
    assert f"was uploaded to {SLUG} and has no score after 250 s; look later with `kaggle comp" in client.said[-1]


def test_an_older_submission_with_the_same_name_and_message_is_not_ours(client: FakeClient) -> None:
    """It was in the list before the upload; clocks are not asked."""
    old = row("COMPLETE", "0.99", ref=9)
    ours = row("COMPLETE", "0.2", ref=1)
    client.will_say(submissions=[listed(old), listed(old), listed(old, ours)], submit={"out": SUBMITTED})
    assert client.submit().public_score == 0.2


def test_submissions_with_other_names_or_messages_are_not_ours(client: FakeClient) -> None:
    """A team-mate's arrive meanwhile, above ours and below it."""
    others = row("COMPLETE", "0.3", ref=4, name="other.csv"), row("COMPLETE", "0.4", ref=1, message='"MLP, ""big"""')
    client.will_say(submissions=[NONE, listed(others[0], row("COMPLETE", "0.2"), others[1])], submit={"out": SUBMITTED})
    assert client.submit().public_score == 0.2


def test_a_number_that_the_client_gives_decides_alone(client: FakeClient) -> None:
    """Clients from 2.2.5 on say the submission's ref: of two equal rows only that one is ours."""
    twins = row("COMPLETE", "0.3", ref=7), row("COMPLETE", "0.2", ref=6)
    client.will_say(submissions=[NONE, listed(*twins)], submit={"out": f"Submission ref: 6\n{SUBMITTED}"})
    assert client.submit().public_score == 0.2


def test_a_message_reaches_kaggle_as_it_is_and_is_found_again(client: FakeClient) -> None:
    """A leading dash is no option, a comma and quotes are no CSV, a line break is a blank."""
    client.will_say(
        submissions=[NONE, listed(row("COMPLETE", "0.2", message='"-5 seeds, ""mean"" of all"'))],
        submit={"out": SUBMITTED},
    )
    assert client.submit('-5 seeds,\n"mean" of all').description == '-5 seeds, "mean" of all'
    assert '--message=-5 seeds, "mean" of all' in client.calls()[1]


def test_lines_before_the_list_are_skipped_and_the_older_clients_words_are_read(client: FakeClient) -> None:
    """Client 1.6 has no ref, says "complete" in small letters and warns that it is outdated."""
    header = "fileName,date,description,status,publicScore,privateScore\r\n"
    line = "submission.csv,2024-01-17 10:00:00,MLP,complete,0.5,None\r\n"
    client.will_say(
        submissions=[
            {"out": OUTDATED + "No submissions found\n"},
            {"out": OUTDATED + "Using competition: x\n" + header + line},
        ],
        submit={"out": OUTDATED + SUBMITTED},
    )
    score = client.submit()
    assert (score.public_score, score.submitted_at) == (0.5, "2024-01-17T10:00:00+00:00")


@pytest.mark.parametrize("text", ["", "None", "nan"])
def test_a_competition_without_public_scores_has_none(text: str, client: FakeClient) -> None:
    """Complete, and no number."""
    client.will_say(submissions=[NONE, listed(row("COMPLETE", text))], submit={"out": SUBMITTED})
    assert client.submit().public_score is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"out": f"[Errno 5] broken pipe\n{COULD_NOT}"}, "was not submitted .* says '.*broken pipe; Could not submit"),
        ({"err": f"{COULD_NOT}\n", "code": 1}, "failed at 'submit' of .*: Could not submit to competition"),
        ({"out": "Your team has used its daily allowance"}, "was not submitted .* says 'Your team has used its daily"),
        ({}, "was not submitted to .* says ''"),
        ({"out": OUTDATED + COULD_NOT, "err": "\r 50%|##  | 1/2 [00:01]\n"}, f"client says '{COULD_NOT}'; look at"),
        ({"err": "400 Client Error: Bad Request for url: https://x/y\n", "code": 1}, "400 Client Error: Bad Request;"),
    ],
)
def test_an_upload_that_failed_is_told_even_with_exit_code_0(
    answer: dict[str, object], message: str, client: FakeClient
) -> None:
    """Only Kaggle's confirmation counts; the sentence asks to look before submitting again."""
    client.will_say(submissions=NONE, submit=answer)
    with pytest.raises(DataError, match=message) as caught:
        client.submit()
    assert str(caught.value).endswith(
        f"look at https://www.kaggle.com/c/{SLUG}/submissions whether it arrived before submitting again"
    )
    assert client.slept == []


def test_an_unknown_competition_is_told_even_with_exit_code_0(client: FakeClient) -> None:
    """As clients before 2.2.5 end it; but the same words in the message of a listed submission are only words."""
    words = "Could not find competition - please verify that you entered the correct competition ID"
    client.will_say(submissions=NONE, submit={"out": words})
    with pytest.raises(ConfigError, match="knows no open competition"):
        client.submit()
    lists = [NONE, listed(row("COMPLETE", "0.2"), row("COMPLETE", "0.1", ref=1, message=words))]
    client.will_say(submissions=lists, submit={"out": SUBMITTED})
    assert client.submit().public_score == 0.2


def test_refused_rules_cost_no_upload(client: FakeClient) -> None:
    """The list is asked for first, and nothing is sent after a refusal."""
    client.will_say(submissions={"out": RULES, "code": 1})
    with pytest.raises(ConfigError, match="accept its rules"):
        client.submit()
    assert [call[0] for call in client.calls()] == ["submissions"]


def test_a_list_in_words_nobody_knows_is_refused_with_them(client: FakeClient) -> None:
    """A future client that prints something else."""
    client.will_say(submissions={"out": "Nothing to see\n"})
    with pytest.raises(DataError, match=r"says 'Nothing to see', expected its list .*; pip install --upgrade kaggle"):
        client.submit()


def test_a_scoring_error_is_told_in_kaggles_words(client: FakeClient) -> None:
    """The list has only ERROR; a client from 2.2.5 on is asked for the reason, whose lines become one."""
    block = (
        "Submission Ref:  2\nStatus:          ERROR\nError:           Evaluation Exception:\n"
        "                 must have 418 rows\nPublic Score:\n"
    )
    client.will_say(submissions=[NONE, listed(row("ERROR"))], submit={"out": SUBMITTED}, submission={"out": block})
    with pytest.raises(
        DataError, match=r"submission\.csv: Kaggle could not score it: Evaluation Exception: must have 418 rows; "
    ):
        client.submit()


def test_a_scoring_error_without_words_points_to_the_page(client: FakeClient) -> None:
    """An older client does not know the command that tells why."""
    client.will_say(
        submissions=[NONE, listed(row("ERROR"))],
        submit={"out": SUBMITTED},
        submission={"err": "invalid choice: 'submission'\n", "code": 2},
    )
    with pytest.raises(DataError, match=rf"does not say why, the page does; mend .*/c/{SLUG}/submissions"):
        client.submit()


def test_a_network_that_fails_while_waiting_does_not_hide_the_score(client: FakeClient) -> None:
    """The upload is done: the fault is said, the next look finds the score."""
    client.will_say(
        submissions=[NONE, {"err": NO_NETWORK, "code": 1}, listed(row("COMPLETE", "0.2"))], submit={"out": SUBMITTED}
    )
    assert client.submit().public_score == 0.2
    assert "cannot be reached" in client.said[1]


def test_a_list_that_cannot_be_read_to_the_end_leaves_the_submission_pending(client: FakeClient) -> None:
    """It was uploaded, and that is what is handed back to be recorded."""
    client.will_say(submissions=[NONE, {"err": NO_NETWORK, "code": 1}], submit={"out": SUBMITTED})
    score = client.submit(timeout_seconds=20)
    assert (score.status, score.public_score, score.description) == ("pending", None, "MLP")


def test_an_upload_that_kaggle_confirms_and_never_lists_is_an_error(client: FakeClient) -> None:
    """Kaggle says so when the daily limit is used up; a look that failed in between changes nothing."""
    confirmed = r"confirmed the upload .* has not listed it after 20 s; the daily limit may be"
    for looks in ([NONE], [NONE, {"err": NO_NETWORK, "code": 1}, NONE]):
        client.will_say(submissions=looks, submit={"out": SUBMITTED})
        with pytest.raises(DataError, match=confirmed):
            client.submit(timeout_seconds=20)


def test_a_missing_file_a_blank_message_and_a_secret_in_it_never_reach_the_client(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before any process is started: a message stands on the command line and on Kaggle's pages."""
    monkeypatch.setenv("KAGGLE_KEY", CANARY)
    with pytest.raises(ConfigError, match=r"message of a submission is blank; .*-m 'MLP, 5 seeds'"):
        client.submit(" \n")
    with pytest.raises(ConfigError, match="holds one of your Kaggle secrets") as caught:
        client.submit(f"with {CANARY}")
    assert CANARY not in str(caught.value)
    client.submission.unlink()
    with pytest.raises(DataError, match=r"submission\.csv: no such file, .*; make submit writes it"):
        client.submit()
    assert client.calls() == []


# --- the record


SCORE = kaggle.KaggleScore("2026-09-07T09:06:02+00:00", 0.12345, "complete", "MLP", "ab" * 32)


def test_scores_are_appended_to_a_list(tmp_path: Path) -> None:
    """The first call makes file and folder, the second adds one entry."""
    file = tmp_path / "reports" / "kaggle.json"
    kaggle.record(SCORE, file)
    kaggle.record(kaggle.KaggleScore("2026-09-08T00:00:00+00:00", None, "pending", "again", "cd" * 32), file)
    first = {
        "submitted_at": "2026-09-07T09:06:02+00:00",
        "message": "MLP",
        "sha256": "ab" * 32,
        "public_score": 0.12345,
        "status": "complete",
    }
    second = {
        "submitted_at": "2026-09-08T00:00:00+00:00",
        "message": "again",
        "sha256": "cd" * 32,
        "public_score": None,
        "status": "pending",
    }
    assert json.loads(file.read_text()) == [first, second]


@pytest.mark.parametrize("content", ['{"a": 1}', '[{"a": 1'])
def test_a_file_that_is_no_list_of_submissions_is_left_alone(content: str, tmp_path: Path) -> None:
    """A damaged record is refused with the time of the submission that could not be added."""
    file = tmp_path / "kaggle.json"
    file.write_text(content)
    with pytest.raises(
        DataError, match=r"kaggle\.json: not a list of submissions, so that of 2026-09-07T.*; move it away"
    ):
        kaggle.record(SCORE, file)
    assert file.read_text() == content


def test_a_record_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """The system's refusal, with the path in it."""
    (tmp_path / "reports").write_text("a file in the folder's place")
    with pytest.raises(DataError, match=r"kaggle\.json: the submission of 2026-.* was not added \(File exists\)"):
        kaggle.record(SCORE, tmp_path / "reports" / "kaggle.json")


# --- what is not uploaded, met through the command line


def refused_upload(project: Project, *words: str) -> str:
    """The sentence with which an upload is refused; before anything was computed, and without a word to the client."""
    code, out, err = project.run("submit", *words)
    assert (code, out) == (2, "")
    assert not project.models.exists()
    return err.removeprefix("error: ").removesuffix("\n")


def test_held_out_rows_are_not_uploaded(client: FakeClient, project: Project) -> None:
    """Kaggle has other rows; they are scored here."""
    (project.raw / "test.csv").unlink()
    assert refused_upload(project, "--kaggle", SLUG, "--set", "holdout.share=0.2") == (
        "tiny.toml: there is no test file, so submission.csv holds rows of train that were held out: nothing to "
        "upload; score it here: make heldout NAME=tiny"
    )
    assert client.calls() == []


def test_a_fast_submission_is_not_uploaded(client: FakeClient, project: Project) -> None:
    """It tells whether everything runs, and costs one of the day's uploads."""
    assert refused_upload(project, "--kaggle", SLUG, "--fast") == (
        "--fast trains on a tenth of the rows: such a submission is not worth an upload; leave it out"
    )
    assert client.calls() == []


def test_an_upload_needs_a_competition_before_it_trains_for_it(client: FakeClient, project: Project) -> None:
    """One that is named, and that could be one of Kaggle's."""
    assert refused_upload(project, "--kaggle").startswith("which competition? add `kaggle = ")
    assert "is no competition of Kaggle's" in refused_upload(project, "--kaggle", "a b")


def test_a_message_without_an_upload_is_told(project: Project) -> None:
    """Somebody believes to have uploaded."""
    assert refused_upload(project, "-m", "wider") == (
        "-m is what Kaggle shows beside an upload: it goes with --kaggle, which was not asked for"
    )


def test_a_submission_is_made_uploaded_and_its_score_kept(client: FakeClient, project: Project) -> None:
    """The whole road: the file that was published, under the message, and a line in kaggle.json."""
    client.will_say(submissions=[NONE, listed(row("COMPLETE", "0.25", message="wider"))], submit={"out": SUBMITTED})
    out = project.must("submit", "--kaggle", SLUG, "-m", "wider")
    assert "public score 0.25; kept in reports/tiny/kaggle.json\n" in out
    [kept] = json.loads((project.reports / "kaggle.json").read_text())
    assert kept["sha256"] == hashlib.sha256((project.reports / "submission.csv").read_bytes()).hexdigest()


# --- secrets


def _in_variable(name: str):
    return lambda home, patch: patch.setenv(name, CANARY)


def _in_file(name: str, text: str):
    return lambda home, patch: (home / ".kaggle" / name).write_text(text)


def _in_named_file(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / "token").write_text(f"{CANARY}\n")
    patch.setenv("KAGGLE_API_TOKEN", str(home / "token"))


def _in_config_folder(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / "elsewhere").mkdir()
    (home / "elsewhere" / "kaggle.json").write_text(json.dumps({"username": "me", "key": CANARY}))
    patch.setenv("KAGGLE_CONFIG_DIR", str(home / "elsewhere"))


def _in_xdg_folder(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("KAGGLE_CONFIG_DIR")
    (home / ".config" / "kaggle").mkdir(parents=True)
    (home / ".config" / "kaggle" / "kaggle.json").write_text(json.dumps({"username": "me", "key": CANARY}))


HIDING_PLACES = {
    "KAGGLE_KEY": _in_variable("KAGGLE_KEY"),
    "KAGGLE_API_TOKEN": _in_variable("KAGGLE_API_TOKEN"),
    "a notebook's token": _in_variable("KAGGLE_USER_SECRETS_TOKEN"),
    "a file named by KAGGLE_API_TOKEN": _in_named_file,
    "access_token": _in_file("access_token", f"{CANARY}\n"),
    "access_token.txt": _in_file("access_token.txt", CANARY),
    "kaggle.json": _in_file("kaggle.json", json.dumps({"username": "me", "key": CANARY})),
    "kaggle.json elsewhere": _in_config_folder,
    "kaggle.json in ~/.config": _in_xdg_folder,
    "credentials.json": _in_file("credentials.json", json.dumps({"refresh_token": CANARY, "scopes": ["a"]})),
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_a_planted_canary_is_never_said_nor_written(
    place: str, client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The client shouts the token in every answer; messages, progress, record and the command line are free of it."""
    HIDING_PLACES[place](tmp_path / "home", monkeypatch)
    loud = f"Authorization: Bearer {CANARY}\n"
    said = []
    for answer in (
        loud + RULES,
        loud + "boom",
        NO_NETWORK.replace("ListSubmissions", CANARY),
        NO_SIX.replace("six", CANARY),
    ):
        client.will_say(download={"err": answer, "code": 1}, submissions=NONE, submit={"out": answer})
        for attempt in (client.download, client.submit):
            with pytest.raises(PipelineError) as caught:
                attempt()
            said.append(str(caught.value))
    client.will_say(
        submissions=[NONE, {"err": loud, "code": 1}, listed(row("COMPLETE", "0.2"), before=loud)],
        submit={"out": loud + SUBMITTED, "err": loud},
    )
    score = client.submit()
    kaggle.record(
        kaggle.KaggleScore(score.submitted_at, 0.2, "complete", f"my {CANARY}", score.sha256), tmp_path / "k.json"
    )
    said += [*client.said, str(score), (tmp_path / "k.json").read_text(), (client.folder / "calls.jsonl").read_text()]
    assert CANARY not in "\n".join(said)
    assert sum("***" in text for text in said) >= 8


def test_passwords_in_addresses_and_signed_parameters_are_forgotten(client: FakeClient) -> None:
    """A proxy's password and an upload's ticket open doors too; the rest of the line stays."""
    line = "proxy http://me:secret@proxy:8080 refused PUT /upload?uploadType=resumable&upload_id=ADPycd0 (retry=1)"
    assert kaggle.forget_secrets(line) == (
        "proxy http://***@proxy:8080 refused PUT /upload?uploadType=resumable&upload_id=*** (retry=1)"
    )


def test_a_secret_that_begins_another_leaves_nothing_of_it(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longer one goes first."""
    monkeypatch.setenv("KAGGLE_KEY", CANARY)
    monkeypatch.setenv("KAGGLE_API_TOKEN", f"{CANARY}-tail")
    assert kaggle.forget_secrets(f"<{CANARY}-tail> <{CANARY}>") == "<***> <***>"


def test_text_without_secrets_stays_as_it_is(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable, a placeholder of one letter and a broken kaggle.json mask nothing."""
    monkeypatch.setenv("KAGGLE_API_TOKEN", "")
    monkeypatch.setenv("KAGGLE_KEY", "x")
    _in_file("kaggle.json", "{broken")(client.submission.parents[1] / "home", monkeypatch)
    line = "a text with x, a key=value and an https://www.kaggle.com/c/titanic?tab=1 address"
    assert kaggle.forget_secrets(line) == line
