"""What a stage's code is: the modules it reaches and the libraries they import, read from source, nothing imported."""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = "pipeline"
ROOT = Path(__file__).resolve().parent
ASSETS = {".css", ".j2"}
DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # import name -> distribution, where they differ


@functools.cache
def code_digest(module: str) -> Mapping[str, str]:
    """sha256 of every module that `module` reaches by import, itself included; comments and docstrings are free."""
    return {name: _module(name).digest for name in sorted(reached(module))}


@functools.cache
def library_versions(module: str) -> Mapping[str, str]:
    """Installed versions of the third-party libraries that those modules import."""
    names = {library for name in reached(module) for library in _module(name).libraries}
    return {name: metadata.version(DISTRIBUTIONS.get(name, name)) for name in sorted(names)}


def asset_digests(module: str) -> Mapping[str, str]:
    """sha256 of the templates and style sheets beside a module."""
    folder = _file_of(module).parent
    files = sorted(path for path in folder.iterdir() if path.suffix in ASSETS)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@functools.cache
def reached(module: str) -> frozenset[str]:
    """Every module of this package that `module` imports, however far down, itself included."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_module(name).imports)
    return frozenset(seen)


def forget() -> None:
    """Read every source anew at the next call: files may have been edited meanwhile."""
    for cached in (code_digest, library_versions, reached, _module):
        cached.cache_clear()


class Source:
    """One module read from its file: digest, own-package imports, third-party imports."""

    def __init__(self, name: str, text: str) -> None:
        tree = ast.parse(text)
        _drop_type_checking(tree)
        names = list(_imported(tree))
        self.imports = {found for name in names if (found := _own_module(name))}
        tops = {name.partition(".")[0] for name in names}
        self.libraries = {top for top in tops if top != PACKAGE and top not in sys.stdlib_module_names}
        _drop_docstrings(tree)
        self.digest = hashlib.sha256(f"{name}\n{ast.dump(tree)}".encode()).hexdigest()


@functools.cache
def _module(name: str) -> Source:
    return Source(name, _file_of(name).read_text())


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_module(name: str) -> str | None:
    return name if name.partition(".")[0] == PACKAGE and name != PACKAGE and _file_of(name).exists() else None


def _file_of(name: str) -> Path:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _drop_type_checking(tree: ast.Module) -> None:
    """Imports for annotations only are not reached at run time."""
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
    ]


def _drop_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            value = first.value if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
