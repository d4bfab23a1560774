"""What a stage's code is: the modules it reaches and the libraries they import, read from source, nothing imported."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from importlib import metadata
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.usercode import belongs, locate, module_file, shown, syntax_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.usercode import Place

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


def user_code(references: Sequence[str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What the user's functions are: sha256 of each module of theirs that they reach, by file; versions of libraries.

    Read anew at each call. Raises ConfigError for a file that is not there or no Python. What such a module reads from
    disk, and what it imports by a name in a string, is not seen.
    """
    code: dict[str, str] = {}
    libraries: dict[str, str] = {}
    for reference in references:
        place = locate(reference)
        for file, source in _users_sources(place).items():
            code[file] = source.digest
            code |= {name: _module(name).digest for module in source.imports for name in reached(module)}
            libraries |= {top: _version(top) for top in source.libraries if not belongs(top, place.roots)}
        if place.file is None:
            top = place.module.partition(".")[0]
            libraries[top] = _version(top)
    return code, libraries


def forget() -> None:
    """Read every source anew at the next call: files may have been edited meanwhile."""
    for cached in (code_digest, library_versions, reached, _module):
        cached.cache_clear()


class Source:
    """One module read from its file: digest, own-package imports, third-party imports."""

    def __init__(self, name: str, text: str | bytes, file: str = "<unknown>", package: str = "") -> None:
        tree = ast.parse(text, file)
        _drop_type_checking(tree)
        self.names = list(_imported(tree, package))
        self.imports = {found for name in self.names if (found := _own_module(name))}
        tops = {name.partition(".")[0] for name in self.names}
        self.libraries = {top for top in tops if top != PACKAGE and top not in sys.stdlib_module_names}
        _drop_docstrings(tree)
        self.digest = hashlib.sha256(f"{name}\n{ast.dump(tree)}".encode()).hexdigest()


@functools.cache
def _module(name: str) -> Source:
    return Source(name, _file_of(name).read_text())


def _users_sources(place: Place) -> dict[str, Source]:
    """Every module of the user's that a function reaches by import: file, as messages show it -> source."""
    found: dict[str, Source] = {}
    waiting = [] if place.file is None else [(place.module, place.file)]
    while waiting:
        module, file = waiting.pop()
        if shown(file) in found:
            continue
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        try:
            found[shown(file)] = source = Source(shown(file), file.read_bytes(), str(file), package)
        except (SyntaxError, ValueError) as error:
            raise ConfigError(syntax_fault(error, file)) from None
        # importing a.b.c runs a and a.b before it
        names = {name for full in source.names for name in accumulate(full.split("."), "{}.{}".format)}
        waiting += [(name, own) for name in sorted(names) if (own := module_file(name, place.roots))]
    return found


def _version(top: str) -> str:
    """Of a library by its import name; a library without a version counts by its name alone."""
    try:
        return metadata.version(DISTRIBUTIONS.get(top, top))
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(top, [])
        return ", ".join(metadata.version(name) for name in sorted(set(names))) or "of unknown version"


def _imported(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Names of modules, or of what may be one. package: what relative imports start from; ours have none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            yield from [module] if module else []
            yield from (f"{module}.{alias.name}" for alias in node.names if module)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    try:
        return importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:  # beyond the top: importing it will fail, and say so
        return ""


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
