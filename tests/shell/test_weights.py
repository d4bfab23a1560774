"""Trained weights as a file: written whole, read without a pickle, and what begins with them is keyed by them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.weights import read_weights, weights_bytes

if TYPE_CHECKING:
    from tests.shell.conftest import Project

FAST = ("--set", "train.epochs=2", "--set", "train.refit=true")
WARM = ("--set", "train.warm_start=old.npz")
NETWORK = {"inputs": 2, "hidden": [], "activation": "relu", "init": "pytorch", "init_scale": 0.01}
METADATA = {
    "format": "foldpack weights", "version": 1, "network": NETWORK, "columns": ["a", "b"], "jobs": [[0, 0], [1, 0]],
    "refit": 2, "data": "d", "folds": "f", "train_file": "t",
}  # fmt: skip
TENSORS = {"0.weight": np.ones((2, 2, 1), np.float32), "0.bias": np.zeros((2, 1, 1), np.float32)}


def written(folder: Path, tensors: object = None, **changes: object) -> str:
    """A file of weights with these changes of its metadata."""
    (folder / "w.npz").write_bytes(weights_bytes(tensors or TENSORS, METADATA | changes))  # type: ignore[arg-type]
    return str(folder / "w.npz")


def refusal(file: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read_weights(file, train_file="t")
    return str(raised.value)


# --- the file


def test_weights_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    """Tensors bit for bit, the network, its columns and its jobs."""
    weights = read_weights(written(tmp_path), train_file="t")
    assert weights is not None
    for name, tensor in TENSORS.items():
        assert weights.tensors[name].tobytes() == tensor.tobytes()
    assert weights.network.trained == {"0.weight": (2, 1), "0.bias": (1, 1)}
    assert (weights.columns, weights.refit, weights.data, weights.folds) == (("a", "b"), 2, "d", "f")
    assert [(job.fold, job.seed) for job in weights.jobs] == [(0, 0), (1, 0)]
    assert weights.same_file
    again = read_weights(written(tmp_path), train_file="another")
    assert again is not None
    assert not again.same_file
    assert read_weights("", train_file="t") is None


def test_equal_weights_are_equal_bytes() -> None:
    """No time of day is in the file."""
    assert weights_bytes(TENSORS, METADATA) == weights_bytes(TENSORS, dict(reversed(METADATA.items())))


def test_a_network_of_the_users_comes_back_too(tmp_path: Path) -> None:
    """Its names, shapes of any rank and options; nothing of it is imported."""
    own = NETWORK | {"custom": "gone.py:build", "custom_tensors": [["module.g", []], ["module.w", [2, 3]]],
                     "custom_options": [["width", 3]]}  # fmt: skip
    tensors = {"module.g": np.ones(2, np.float32), "module.w": np.ones((2, 2, 3), np.float32)}
    weights = read_weights(written(tmp_path, tensors, network=own), train_file="t")
    assert weights is not None
    assert weights.network.trained == {"module.g": (), "module.w": (2, 3)}
    assert weights.network.custom_options == (("width", 3),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "other"}, "format 'other', version 1"),
        ({"version": 2}, "format 'foldpack weights', version 2"),
        ({"network": NETWORK | {"gates": 3}}, "a network with gates, written by another version"),
        ({"network": {"inputs": 2}}, "missing 4 required positional arguments"),
        ({"jobs": [[0, 0]]}, "tensor 0.weight is float32 (2, 2, 1)"),
        ({"jobs": 3}, "not iterable"),
    ],
)
def test_metadata_that_do_not_go_with_the_tensors_are_refused(tmp_path: Path, changes: dict, reason: str) -> None:
    """One sentence with the reason."""
    message = refusal(written(tmp_path, **changes))
    assert message.startswith(
        f"train.warm_start = '{tmp_path}/w.npz': not a file that `export` wrote, or a damaged one ("
    )
    assert reason in message


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("0.bias", np.full((2, 1, 1), np.nan, np.float32), "tensor 0.bias has numbers that are not finite"),
        ("0.bias", np.zeros((2, 1, 1), np.int64), "tensor 0.bias is int64 (2, 1, 1)"),
        ("0.weight", np.ones((2, 1, 2), np.float32), "tensor 0.weight is float32 (2, 1, 2)"),
    ],
)
def test_tensors_that_are_not_what_the_metadata_say_are_refused(
    tmp_path: Path, name: str, tensor: np.ndarray, reason: str
) -> None:
    """Shape, type and finite numbers."""
    assert reason in refusal(written(tmp_path, TENSORS | {name: tensor}))


def test_every_cut_of_a_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """However much of it was copied."""
    content = Path(written(tmp_path)).read_bytes()
    for length in range(0, len(content), 97):
        (tmp_path / "cut.npz").write_bytes(content[:length])
        assert "export it again" in refusal(str(tmp_path / "cut.npz"))


def test_a_pickle_in_a_file_is_never_opened(tmp_path: Path) -> None:
    """Reading it would run code."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return (Path.touch, (tmp_path / "sprung",))

    stream = io.BytesIO()
    trap = np.array([Trap()], dtype=object)
    np.savez(stream, **{"metadata": np.array(json.dumps(METADATA)), "tensor/0.weight": trap, "tensor/0.bias": trap})
    (tmp_path / "trap.npz").write_bytes(stream.getvalue())
    assert "it holds Python objects, which are not read" in refusal(str(tmp_path / "trap.npz"))
    (tmp_path / "trap.npz").write_bytes(__import__("pickle").dumps(Trap()))
    assert "export it again" in refusal(str(tmp_path / "trap.npz"))
    assert not (tmp_path / "sprung").exists()


# --- as commands


def test_export_writes_what_was_trained(project: Project) -> None:
    """By default into models/NAME/, readable by numpy alone; the same bytes again."""
    project.must("train", *FAST)
    out = project.must("export", *FAST)
    assert "models/tiny/weights.npz  8 networks of" in out
    content = (project.models / "weights.npz").read_bytes()
    with np.load(project.models / "weights.npz", allow_pickle=False) as archive:
        metadata = json.loads(str(archive["metadata"][()]))
        assert archive["tensor/0.weight"].shape == (8, len(metadata["columns"]), 8)
    assert metadata["jobs"] == [[fold, seed] for fold in range(4) for seed in (0, 1)]
    assert metadata["metric"] == "log_rmse"
    assert all(score > 0 for score in metadata["scores"][:6])
    assert metadata["scores"][6:] == [None, None]
    project.must("export", "copy.npz", *FAST)
    assert Path("copy.npz").read_bytes() == content


@pytest.mark.slow
def test_a_training_begins_with_a_file_and_is_keyed_by_its_content(project: Project) -> None:
    """Another file retrains and is named; the same bytes under another name do not."""
    project.must("export", "old.npz", *FAST)
    out = project.must("train", *FAST, *WARM)
    assert "networks that began with weights of old.npz: 8" in out
    Path("renamed.npz").write_bytes(Path("old.npz").read_bytes())
    assert "train       cached" in project.must("train", *FAST, "--set", "train.warm_start=renamed.npz")
    project.must("export", "longer.npz", *FAST, *WARM)
    Path("old.npz").write_bytes(Path("longer.npz").read_bytes())
    assert "  - its input weights to start from is another one" in project.must("explain", "train", *FAST, *WARM)
    assert project.run("train", *FAST, *WARM)[0] == 0


def test_a_file_of_another_kind_is_said_in_our_words(tmp_path: Path) -> None:
    """A table, a pickle, an archive with Python objects: numpy's advice to load them unsafely is not given."""
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", metadata=np.array([{}]))
    said = {"table.csv": "it is no .npz archive", "object.npy": "it is no .npz archive",
            "objects.npz": "it holds Python objects, which are not read"}  # fmt: skip
    for name, reason in said.items():
        with pytest.raises(ConfigError) as raised:
            read_weights(str(tmp_path / name), train_file="")
        assert str(raised.value).endswith(
            f"{name}': not a file that `export` wrote, or a damaged one ({reason}); export it again"
        )


def test_a_file_that_changes_while_it_trains_leaves_no_result(project: Project) -> None:
    """The key no longer says what networks began with. (A loss that writes to it stands in for another process.)."""
    project.must("export", "old.npz", *FAST)
    Path("meddling.py").write_text(
        "from pathlib import Path\nPath('old.npz').write_bytes(b'')\n"
        "def loss(outputs, targets):\n    return (outputs - targets).square()\n"
    )
    code, _, err = project.run("train", *FAST, *WARM, "--set", "train.custom_loss=meddling.py:loss")
    assert code == 2
    assert "old.npz changed while train ran, so its result was not stored" in err


@pytest.mark.slow
def test_other_folds_of_the_same_file_are_refused(project: Project) -> None:
    """Shuffled otherwise, with fewer rows, and in a sweep; exit code 2 before anything is trained."""
    project.must("export", "old.npz", *FAST)
    for words in (("--set", "folds.seed=3"), ("--fast",), ("--set", "schema.row_share=0.5")):
        code, _, err = project.run("train", *FAST, *WARM, *words)
        assert code == 2
        assert "trained on this training data with other folds or other rows of it" in err
    code, _, err = project.run("search", "--trials", "1", *FAST, *WARM, "--set", "folds.seed=3")
    assert code == 2
    assert "with other folds" in err


@pytest.mark.slow
def test_what_does_not_fit_is_listed(project: Project) -> None:
    """Columns and network."""
    project.must("export", "old.npz", *FAST)
    code, _, err = project.run("train", *FAST, *WARM, "--set", "model.width=9")
    assert (code, err) == (
        2, "error: train.warm_start = 'old.npz': they do not fit, hidden is [8] in the file and [9] here\n"
    )  # fmt: skip
    code, _, err = project.run("train", *FAST, *WARM, "--set", 'schema.drop=["age"]')
    assert code == 2
    assert "1 columns are only in the file: age" in err


def test_a_file_that_is_not_there_is_said_by_status_too(project: Project) -> None:
    """It is part of the key; and `export` says that a folder is not there."""
    for command in ("status", "train"):
        code, _, err = project.run(command, *WARM)
        assert code == 2
        assert "train.warm_start = 'old.npz': no such file; `python -m pipeline export` writes one" in err
    code, _, err = project.run("export", "nowhere/old.npz", *FAST)
    assert code == 2
    assert "there is no folder nowhere" in err


def test_a_sweep_begins_with_a_file(project: Project) -> None:
    """Each trial's folds with theirs; a width that does not fit is said before it is trained."""
    project.must("export", "old.npz", *FAST)
    space = 'search.space={"train.lr"={log=[1e-4,1e-2]}}'
    out = project.must("search", "--trials", "1", *FAST, *WARM, "--set", space)
    assert "winner: trial 0" in out, "other folds would hold rows that these weights have seen: seeds are fresh instead"
    wide = 'search.space={"model.width"={choice=[16,32]}}'
    code, _, err = project.run("search", "--trials", "1", *FAST, *WARM, "--set", wide)
    assert code == 2
    assert "they do not fit, hidden is [8] in the file" in err
