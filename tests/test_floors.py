"""Imports go down only, and the two wings of floor 1 never meet. Read from the source, nothing is imported."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pipeline"
FILES = sorted(PACKAGE.rglob("*.py"))
GROUND = {
    *("errors", "tables", "settings", "recipes", "config", "expectations", "dimensions", "runtime", "facts"),
    *("usercode", "sections", "time_settings", "search_settings", "training_settings", "timeline", "forecast_facts"),
    *("outcomes", "fits"),
}
# what a folder must not import at run time: whoever loads a table pays for no torch, and the engine knows no frame
FORBIDDEN = {
    "tabular": {"torch", "pipeline.engine"},
    "engine": {"pandas", "sklearn", "scipy", "pipeline.tabular"},
}


def module_of(file):
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file) for file in FILES}


def floor_of(module):
    """0 the vocabulary, 1 the two wings, 2 the stages, 3 the shell; the package itself is empty and below all."""
    parts = module.split(".")[1:]
    if not parts or (len(parts) == 1 and parts[0] in GROUND):
        return 0
    return {"tabular": 1, "engine": 1, "stages": 2}.get(parts[0], 3)


def is_for_types_only(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(tree, *, with_types):
    """Every module that a file imports anywhere, functions included; those for annotations only if asked."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "STYLE: absolute imports"
            yield node.module
            # `from pipeline.tabular import schema` imports a module too
            yield from (name for a in node.names if (name := f"{node.module}.{a.name}") in MODULES)
        elif is_for_types_only(node) and not with_types:
            yield from imports_of(ast.Module(node.orelse, []), with_types=False)
        else:
            yield from imports_of(node, with_types=with_types)


def imports_in(file, *, with_types):
    return set(imports_of(ast.parse(file.read_text()), with_types=with_types))


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_imports_go_down_only(file):
    """No file imports from a floor above its own, not even for a type."""
    own = floor_of(module_of(file))
    above = {m for m in imports_in(file, with_types=True) if m.split(".")[0] == "pipeline" and floor_of(m) > own}
    assert not above, f"{module_of(file)} is on floor {own}"


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_the_wings_keep_to_their_libraries(file):
    """tabular/ never imports torch, engine/ never pandas or scikit-learn, and neither the other; types do not count."""
    parts = module_of(file).split(".")
    forbidden = FORBIDDEN.get(parts[1], set()) if len(parts) > 1 else set()
    imported = imports_in(file, with_types=False)
    found = {m for m in imported for name in forbidden if m == name or m.startswith(f"{name}.")}
    assert not found


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_the_wings_never_meet_even_for_a_type(file):
    """A value that both need lives on floor 0."""
    parts = module_of(file).split(".")
    other = {"tabular": "pipeline.engine", "engine": "pipeline.tabular"}.get(parts[1]) if len(parts) > 1 else None
    assert other is None or not {m for m in imports_in(file, with_types=True) if m.startswith(other)}


@pytest.mark.parametrize("file", [file for file in FILES if floor_of(module_of(file)) == 0], ids=module_of)
def test_the_ground_floor_needs_no_heavy_library(file):
    """`--help` and `config` answer at once: no torch, pandas, scikit-learn or Optuna at run time."""
    heavy = {"torch", "pandas", "sklearn", "scipy", "optuna", "matplotlib"}
    assert not {name.split(".")[0] for name in imports_in(file, with_types=False)} & heavy


def test_the_imports_are_found_wherever_they_stand():
    """The reader itself: at the top, inside a function, for types, in an else, and a module imported by name."""
    source = (
        "import os\n"
        "from pipeline.tabular import schema\n"
        "if TYPE_CHECKING:\n    import pandas as pd\nelse:\n    import torch\n"
        "def f():\n    from pipeline.engine.fit import fit\n"
    )
    always = {"os", "torch", "pipeline.tabular", "pipeline.tabular.schema", "pipeline.engine.fit"}
    assert set(imports_of(ast.parse(source), with_types=False)) == always
    assert set(imports_of(ast.parse(source), with_types=True)) == always | {"pandas"}


def test_the_floors_are_those_of_the_architecture():
    """A spot check of the map itself."""
    floors = {"pipeline": 0, "pipeline.tables": 0, "pipeline.engine.fit": 1, "pipeline.stages.train": 2,
              "pipeline.store": 3, "pipeline.report": 3}  # fmt: skip
    assert {module: floor_of(module) for module in floors} == floors
    assert floors.keys() <= MODULES
