"""The user's loss and network as whole commands: trained, keyed by their source, and every fault a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline import usercode
from pipeline.digests import user_code
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.shell.conftest import Project

IDEAS = '''\
import torch
from torch import nn
from weighing import weighed


def loss(outputs, targets):
    """Errors above the target cost more."""
    return weighed(outputs - targets)


class Gain(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, rows):
        return self.gain * rows


def build(inputs, outputs, width=4):
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, outputs), Gain())
'''
WEIGHING = """\
import torch


def weighed(error):
    return torch.where(error > 0, 1.5 * error, error).square()
"""
LOSS = ("--set", "train.custom_loss=competitions/ideas.py:loss")
NETWORK = ("--set", "model.custom=competitions/ideas.py:build")


@pytest.fixture
def ideas(project: Project) -> Iterator[Project]:
    """A project with a file of ideas and one beside it that it imports."""
    (project.root / "competitions" / "ideas.py").write_text(IDEAS)
    (project.root / "competitions" / "weighing.py").write_text(WEIGHING)
    yield project
    usercode.forget()
    usercode.FINDER.roots.clear()


def edit(project: Project, name: str, old: str, new: str) -> None:
    """Replace a text in a file of ideas."""
    file = project.root / "competitions" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def loads(project: Project) -> list[str]:
    """What was published of the out-of-fold predictions."""
    return (project.models / "oof.csv").read_text().splitlines()


# --- what a key is made of


def test_a_functions_digest_is_of_its_file_and_of_all_that_it_imports(ideas: Project) -> None:
    """By file, from the project's folder; the libraries with their versions; Python's own modules count as nothing."""
    import torch

    code, libraries = user_code(["competitions/ideas.py:loss"])
    assert set(code) == {"competitions/ideas.py", "competitions/weighing.py"}
    assert libraries == {"torch": torch.__version__}
    edit(ideas, "weighing.py", "import torch", "import random\nimport torch\nfrom pipeline.errors import PipelineError")
    code, libraries = user_code(["competitions/ideas.py:loss"])
    assert set(code) == {"competitions/ideas.py", "competitions/weighing.py", "pipeline.errors"}
    assert set(libraries) == {"torch"}


@pytest.mark.parametrize(
    "line", ["from .lower import f", "from . import lower", "import competitions.lower", "from inside.deep import g"]
)
def test_relative_imports_packages_and_folders_are_followed(ideas: Project, line: str) -> None:
    """As Python follows them."""
    folder = ideas.root / "competitions"
    (folder / "lower.py").write_text("def f(): ...\n")
    (folder / "inside").mkdir()
    (folder / "inside" / "__init__.py").write_text("from competitions import lower\n")
    (folder / "inside" / "deep.py").write_text("g = 1\n")
    edit(ideas, "ideas.py", "from weighing", f"{line}\nfrom weighing")
    assert "competitions/lower.py" in user_code(["competitions/ideas.py:loss"])[0]
    usercode.load("competitions/ideas.py:loss")


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("1.5", "1.6", True),
        ("import torch", "# a comment\nimport torch", False),
        ("def weighed(error):\n", 'def weighed(error):\n    """Doc."""\n', False),
    ],
)
def test_what_a_module_does_counts_and_what_it_says_does_not(ideas: Project, old: str, new: str, changes: bool) -> None:
    """As for our own modules."""
    before = user_code(["competitions/ideas.py:loss"])
    edit(ideas, "weighing.py", old, new)
    assert (user_code(["competitions/ideas.py:loss"]) != before) == changes


def test_an_installed_library_counts_by_its_version(ideas: Project) -> None:
    """Its files are not looked at; one that is not installed is found missing when it is imported."""
    from importlib.metadata import version

    assert user_code(["sklearn.metrics:r2_score"]) == ({}, {"sklearn": version("scikit-learn")})
    edit(ideas, "weighing.py", "import torch", "import torch, no_such_library, _pytest")
    assert user_code(["competitions/ideas.py:loss"])[1] == {
        "_pytest": version("pytest"),
        "no_such_library": "of unknown version",
        "torch": version("torch"),
    }


def test_digests_run_no_line_of_the_users(ideas: Project) -> None:
    """`status` works on a file that would end the program."""
    edit(ideas, "ideas.py", "from torch import nn", "from torch import nn\nraise SystemExit(9)")
    assert "never computed" in ideas.must("status", *LOSS)
    assert "train will be computed" in ideas.must("explain", "train", *LOSS)


def test_a_file_that_is_no_python_is_said_by_every_command(ideas: Project) -> None:
    """With file and line, exit code 2, nothing written."""
    edit(ideas, "weighing.py", "def weighed(error):", "def weighed(error:")
    for command in ("status", "train"):
        code, _, err = ideas.run(command, *LOSS)
        assert (code, err) == (2, "error: competitions/weighing.py:4: not valid Python: '(' was never closed\n")
    with pytest.raises(ConfigError, match="no file competitions/gone"):
        user_code(["competitions/gone.py:loss"])


# --- trained


@pytest.mark.slow
def test_a_loss_of_the_users_is_trained_with_and_keyed_by_its_source(ideas: Project) -> None:
    """Other weights than with ours; the same again from the cache; an edit of what it imports retrains and is named."""
    ideas.must("evaluate")
    plain = loads(ideas)
    ideas.must("evaluate", *LOSS)
    weighed = loads(ideas)
    assert weighed != plain
    assert "train       cached" in ideas.must("evaluate", *LOSS)
    edit(ideas, "weighing.py", "1.5", "9.5")
    assert "train       stale     code competitions/weighing.py changed" in ideas.must("status", *LOSS)
    assert "  - code competitions/weighing.py changed" in ideas.must("explain", "train", *LOSS)
    assert "preprocess  fresh" in ideas.must("status", *LOSS)
    ideas.must("evaluate", *LOSS)
    assert loads(ideas) not in (weighed, plain)


@pytest.mark.slow
def test_a_loss_that_is_ours_under_another_name_gives_our_scores(ideas: Project) -> None:
    """A square written by the user trains to what mse trains to."""
    edit(ideas, "ideas.py", "weighed(outputs - targets)", "(outputs - targets).square()")
    ideas.must("evaluate", "--set", "train.loss=mse")
    ours = loads(ideas)
    ideas.must("evaluate", *LOSS)
    assert loads(ideas) == ours


@pytest.mark.slow
def test_a_network_of_the_users_goes_all_the_way(ideas: Project) -> None:
    """Trained, scored, submitted, reported, and the stored weights predict the submission byte for byte."""
    options = NETWORK
    out = ideas.must("submit", *options)
    assert "6 networks" in out
    metrics = json.loads((ideas.reports / "metrics.json").read_text())
    assert set(metrics["models"]) == {"custom"}
    ideas.must("report", *options)
    ideas.must("predict", "--input", str(ideas.raw / "test.csv"), "--output", "again.csv", *options)
    assert Path("again.csv").read_bytes() == (ideas.reports / "submission.csv").read_bytes()
    ideas.must("export", "own.npz", *options)
    out = ideas.must("train", *options, "--set", "train.warm_start=own.npz")
    assert "networks that began with weights of own.npz: 6" in out
    assert "6 networks" in ideas.must("train", "--explain-packs", *options)
    summary = ideas.must("summary", *options)
    assert "competitions/ideas.py:build" in summary


def test_options_of_a_network_are_read_from_the_config(ideas: Project) -> None:
    """A table of its own, in the key, shown by `config show`; a keyword that it does not know is said."""
    ideas.config.write_text(
        ideas.config.read_text().replace(
            "[train]", 'custom = "competitions/ideas.py:build"\n[model.options]\nwidth = 3\n[train]'
        )
    )
    assert 'model.options = {"width": 3}' in ideas.must("config", "show")
    ideas.must("train")
    ideas.config.write_text(ideas.config.read_text().replace("width = 3", "widht = 3"))
    assert "config model.options was {'width': 3}, is {'widht': 3}" in ideas.must("explain", "train")
    code, _, err = ideas.run("train")
    assert code == 2
    assert "unexpected keyword argument 'widht'" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("train.custom_loss=competitions/ideas.py:los",),
         "competitions/ideas.py:los: competitions.ideas has no function 'los'; did you mean 'loss'?"),
        (("train.custom_loss=competitions/idea.py:loss",),
         "competitions/idea.py:loss: no file competitions/idea.py; did you mean competitions/ideas.py?"),
        (("train.custom_loss=competitions/ideas.py:loss", "train.loss_parameter=2"),
         "train.loss_parameter = 2 goes with train.loss; a function of your own has its parameters in itself, leave"),
        (("train.custom_loss=loss",),
         "--set train.custom_loss: train.custom_loss = 'loss': expected file.py:function"),
    ],
)  # fmt: skip
def test_a_fault_in_the_config_is_a_sentence(ideas: Project, options: tuple[str, ...], said: str) -> None:
    """Exit code 2 and no traceback."""
    code, _, err = ideas.run("train", *(word for option in options for word in ("--set", option)))
    assert code == 2
    assert err.startswith(f"error: {said}")


def test_config_check_tries_the_users_functions_and_weights(ideas: Project) -> None:
    """Without training: a fault in them is listed like any other."""
    assert "nothing wrong" in ideas.must("config", "check", *LOSS, *NETWORK)
    edit(ideas, "ideas.py", "return weighed(outputs - targets)", "return weighed(outputs - targets).mean()")
    code, _, err = ideas.run("config", "check", *LOSS)
    assert code == 2
    assert "1 fault in" in err
    assert "expected a loss for each row, shape [3, 7], found []" in err
    code, _, err = ideas.run("config", "check", "--set", "train.warm_start=none.npz")
    assert code == 2
    assert "train.warm_start = 'none.npz': no such file" in err


def test_a_loss_that_fails_while_it_trains_is_a_sentence(ideas: Project) -> None:
    """It passed the probe, which has seven rows, and fails on a whole batch: file, line and reason, no traceback."""
    edit(ideas, "weighing.py", "    return torch", "    assert error.shape[1] < 20, 'too many'\n    return torch")
    code, _, err = ideas.run("train", *LOSS)
    assert code == 2
    assert err == (
        "error: train.custom_loss = 'competitions/ideas.py:loss' failed: competitions/weighing.py:5: AssertionError: "
        "too many\n"
    )


def test_a_file_edited_while_it_trains_leaves_no_result(ideas: Project) -> None:
    """The key no longer says what was computed."""
    edit(
        ideas,
        "weighing.py",
        "def weighed",
        "from pathlib import Path\nhere = Path('competitions/weighing.py')\n"
        "here.write_text(here.read_text().replace('1.5', '2.5'))\ndef weighed",
    )
    code, _, err = ideas.run("train", *LOSS)
    assert code == 2
    assert "competitions/weighing.py changed while train ran, so its result was not stored" in err


def test_a_sweep_trains_with_the_users_functions(ideas: Project) -> None:
    """And is another study when they change."""
    options = (*LOSS, *NETWORK, "--trials", "1", "--set", "train.epochs=1")
    ideas.must("search", *options)
    studies = len(list(ideas.models.glob("study-*.journal")))
    edit(ideas, "weighing.py", "1.5", "2.5")
    ideas.must("search", *options)
    assert len(list(ideas.models.glob("study-*.journal"))) == studies + 1
    code, _, err = ideas.run("search", "--set", 'search.space={"train.custom_loss"={choice=["a:b"]}}')
    assert code == 2
    assert "'train.custom_loss', which is never searched" in err


# --- in other processes


@pytest.mark.slow
def test_workers_train_with_the_users_functions_as_one_process_does(ideas: Project) -> None:
    """Nothing but their names travels: two processes import the files themselves, to the same bytes."""
    options = (*LOSS, *NETWORK, "--set", "train.threads=2")
    workers = (*options, "--set", "train.engine=processes", "--set", "train.workers=2")
    ideas.must("evaluate", *workers)
    spread = loads(ideas)
    parts = {file.stem: json.loads(file.read_text())["parts"] for file in ideas.models.glob("train-*.json")}
    [threads] = [part["compute"]["threads"] for part in parts.values()]
    shutil.rmtree(ideas.models)
    out = ideas.must("evaluate", *LOSS, *NETWORK, "--set", f"train.threads={threads}")
    assert "train       computed" in out
    assert loads(ideas) == spread


def test_a_worker_is_asked_whether_it_has_the_same_files(ideas: Project) -> None:
    """What a pack's result depends on holds the user's modules beside ours."""
    pytest.importorskip("distributed")
    from pipeline.dask_crew import differences, versions_of
    from pipeline.stages.assignments import Candidate
    from pipeline.stages.packs import PackWork
    from pipeline.training_settings import Model, Train

    settings = Train(custom_loss="competitions/ideas.py:loss")
    work = PackWork((Candidate(Model(custom="competitions/ideas.py:build"), settings),), (), 1, "rmse")
    assert work.users_code == ("competitions/ideas.py:build", "competitions/ideas.py:loss")
    before = versions_of(work)
    assert {"competitions/ideas.py", "competitions/weighing.py", "pipeline.stages.packs"} <= before.keys()
    edit(ideas, "weighing.py", "1.5", "2.5")
    assert list(differences(before, versions_of(work))) == ["competitions/weighing.py is another one"]
