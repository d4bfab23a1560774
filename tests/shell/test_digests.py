"""What counts as a change of code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline import digests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOP = 'from pipeline.lower import double\nimport numpy as np\n\n\ndef run(x):\n    """Doc."""\n    return double(x)\n'
LOWER = "def double(x):\n    return 2 * x\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of two modules in place of ours."""
    (tmp_path / "top.py").write_text(TOP)
    (tmp_path / "lower.py").write_text(LOWER)
    (tmp_path / "other.py").write_text("UNRELATED = 1\n")
    monkeypatch.setattr(digests, "ROOT", tmp_path)
    digests.forget()
    yield tmp_path
    digests.forget()


def digest() -> dict[str, str]:
    digests.forget()
    return dict(digests.code_digest("pipeline.top"))


def test_the_modules_that_a_stage_reaches_are_found_through_imports(package: Path) -> None:
    """Itself and what it imports, however far down; nothing else."""
    assert set(digest()) == {"pipeline.top", "pipeline.lower"}
    (package / "lower.py").write_text("from pipeline import other\n" + LOWER)
    assert set(digest()) == {"pipeline.top", "pipeline.lower", "pipeline.other"}


@pytest.mark.parametrize(
    "edited",
    ["# a comment\n" + LOWER, LOWER.replace("2 * x", "2*x  # twice"), LOWER.replace(":\n", ':\n    """Doc."""\n')],
)
def test_comments_blanks_and_docstrings_cost_nothing(package: Path, edited: str) -> None:
    """The digest is taken of what the code does."""
    before = digest()
    (package / "lower.py").write_text(edited)
    assert digest() == before


def test_an_edited_callee_changes_the_digest_of_its_module_only(package: Path) -> None:
    """What joblib's Memory does not see."""
    before = digest()
    (package / "lower.py").write_text(LOWER.replace("2", "3"))
    after = digest()
    assert after["pipeline.top"] == before["pipeline.top"]
    assert after["pipeline.lower"] != before["pipeline.lower"]


def test_an_import_for_annotations_only_is_not_reached(package: Path) -> None:
    """Editing what is imported under TYPE_CHECKING changes no result."""
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pipeline.other import UNRELATED\n"
    (package / "lower.py").write_text(guarded + LOWER)
    assert "pipeline.other" not in digest()


def test_library_versions_are_those_of_the_imported_libraries(package: Path) -> None:
    """Of the two modules, one imports numpy and none imports pandas."""
    import numpy as np

    digests.forget()
    assert dict(digests.library_versions("pipeline.top")) == {"numpy": np.__version__}


def test_training_is_keyed_by_torch_and_ingest_is_not() -> None:
    """On the real package: a new torch retrains, and does not read the tables again."""
    assert "torch" in digests.library_versions("pipeline.stages.train")
    assert "torch" not in digests.library_versions("pipeline.stages.ingest")
    assert "pipeline.engine.fit" in digests.reached("pipeline.stages.train")
    assert "pipeline.engine.fit" not in digests.reached("pipeline.stages.preprocess")


def test_an_edited_template_counts_as_code_of_its_renderer(package: Path) -> None:
    """A page is rendered again when its style changes."""
    (package / "page.css").write_text("a{}")
    before = digests.asset_digests("pipeline.top")
    (package / "page.css").write_text("b{}")
    assert set(before) == {"page.css"}
    assert digests.asset_digests("pipeline.top") != before
