"""The user's own functions, named in the config: where they stand, and how they are imported.

A reference is `competitions/ideas.py:loss` or `package.module:loss`, seen from the folder in which the command runs. It
is a text, so it goes into keys, artifacts and other processes as it is; whoever needs the function imports it there.
The file is read when a function is first asked for, from its source alone: nothing compiled earlier stands in for it.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import importlib.util
import sys
import threading
import traceback
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import OUT_OF_MEMORY, ConfigError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, ModuleType

PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reference leads. file: None for a module of an installed library."""

    module: str
    function: str
    file: Path | None
    roots: tuple[Path, ...] = ()  # folders whose modules it may import: the project's, and its own


def locate(reference: str) -> Place:
    """Find the file, importing nothing. Raises ConfigError where there is none."""
    source, colon, function = reference.rpartition(":")
    root = Path.cwd()
    if not colon or not source or not function.isidentifier():
        raise ConfigError(f"{reference!r} names no function; expected file.py:function or package.module:function")
    if not source.endswith(".py"):
        return _located_module(reference, source, function, root)
    file = root / source
    if not file.is_file():
        raise ConfigError(f"{reference}: no file {source}{_near(file, root)}")
    inside = file.is_relative_to(root) and ".." not in file.parts
    module = ".".join(file.relative_to(root).with_suffix("").parts) if inside else file.stem
    _check_not_ours(reference, module)
    return Place(module, function, file, (file.parent, root))


def module_file(name: str, roots: Sequence[Path]) -> Path | None:
    """The source file of a module of the user's, by its dotted name; None for any other module.

    As for a script, what lies in these folders comes before installed libraries, but not before Python's own modules.
    """
    top, *_ = parts = name.split(".")
    if top == PACKAGE or top in sys.stdlib_module_names or not all(parts):
        return None
    for root in roots:
        base = root.joinpath(*parts)
        for file in (base.parent / f"{base.name}.py", base / "__init__.py"):
            if file.is_file():
                return file
    return None


def belongs(name: str, roots: Sequence[Path]) -> bool:
    """Whether a dotted name is a module of the user's, or a folder of some."""
    if name.partition(".")[0] in {PACKAGE, *sys.stdlib_module_names}:
        return False
    return module_file(name, roots) is not None or bool(_folders(name, roots))


@functools.cache
def load(reference: str) -> Callable[..., object]:
    """The function itself; its module is imported once, until `forget`.

    Raises ConfigError for a file, function or import that fails, with file and line.
    """
    place = locate(reference)
    try:
        with _IMPORTING:
            module = importlib.import_module(place.module) if place.file is None else _executed(place.module, place)
    except SyntaxError as error:
        raise ConfigError(syntax_fault(error, place.file)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's module raises is theirs to mend
        raise ConfigError(f"{reference}: importing it failed: {described(error)}") from None
    found = getattr(module, place.function, None)
    if found is None:
        names = [name for name, value in vars(module).items() if callable(value)]
        near = difflib.get_close_matches(place.function, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{reference}: {place.module} has no function {place.function!r}{hint}")
    if not callable(found):
        raise ConfigError(f"{reference}: expected a function, found {found!r:.60}")
    return found  # type: ignore[no-any-return]  # callable, and more is not known of it


def forget() -> None:
    """Import the user's modules anew when they are next asked for: their files may have been edited."""
    with _IMPORTING:
        load.cache_clear()
        for name in FINDER.found:
            sys.modules.pop(name, None)
        FINDER.found.clear()
        FINDER.files.clear()


@contextlib.contextmanager
def blamed(what: str) -> Iterator[None]:
    """What fails inside is the fault of a function of the user's: ConfigError, which begins with `what`.

    Want of memory is nobody's fault and passes.
    """
    try:
        yield
    except (PipelineError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError" or any(said in str(error) for said in OUT_OF_MEMORY):
            raise
        raise ConfigError(f"{what}: {described(error)}") from error


def described(error: BaseException) -> str:
    """An exception of the user's code in one line, with the place in their files where it was raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() in FINDER.files]
    where = f"{shown(Path(frames[-1].filename))}:{frames[-1].lineno}: " if frames else ""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{where}{type(error).__name__}{': ' if first else ''}{first}"


def shown(file: Path) -> str:
    """A file as a person would name it: from the folder in which the command runs."""
    resolved, root = file.resolve(), Path.cwd().resolve()
    return str(resolved.relative_to(root) if resolved.is_relative_to(root) else file)


def syntax_fault(error: SyntaxError | ValueError, file: Path | None) -> str:
    """Where a file of the user's is no Python, and why."""
    if isinstance(error, SyntaxError):
        at = error.filename or file
        return f"{shown(Path(at)) if at else 'module'}:{error.lineno}: not valid Python: {error.msg}"
    return f"{shown(file) if file else 'module'}: not valid Python: {error}"


class _FromSource(SourceFileLoader):
    """A compiled file beside the source is told apart by size and second alone, so it is neither read nor written."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder(MetaPathFinder):
    """Finds modules beside the user's files and in the project's folder."""

    def __init__(self) -> None:
        self.roots: list[Path] = []
        self.found: set[str] = set()
        self.files: set[Path] = set()

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of a module of the user's, else None."""
        del path, target
        file = module_file(fullname, self.roots)
        if file is not None:
            return self.spec(fullname, file)
        if not belongs(fullname, self.roots):
            return None
        self.found.add(fullname)
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = _folders(fullname, self.roots)
        return spec

    def spec(self, name: str, file: Path) -> ModuleSpec | None:
        """How a module is made of a file of the user's."""
        self.found.add(name)
        self.files.add(file.resolve())
        inside = [str(file.parent)] if file.name == "__init__.py" else None
        loader = _FromSource(name, str(file))
        return importlib.util.spec_from_file_location(name, file, loader=loader, submodule_search_locations=inside)


FINDER = _Finder()
_IMPORTING = threading.RLock()  # a worker may train packs in several threads


def _executed(name: str, place: Place) -> ModuleType:
    FINDER.roots = list(dict.fromkeys((*place.roots, *FINDER.roots)))
    if FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)
    name = _unclaimed(name)
    if name in FINDER.found and name in sys.modules:
        return sys.modules[name]  # another function of it was asked for
    assert place.file is not None
    spec = FINDER.spec(name, place.file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _folders(name: str, roots: Sequence[Path]) -> list[str]:
    """Folders of that name that hold modules; what else lies in a project is none (data, models)."""
    return [str(folder) for root in roots if any((folder := root.joinpath(*name.split("."))).glob("*.py"))]


def _located_module(reference: str, module: str, function: str, root: Path) -> Place:
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(f"{reference}: {module!r} is neither a .py file nor the dotted name of a module")
    _check_not_ours(reference, module)
    file = module_file(module, [root])
    if file is not None:
        return Place(module, function, file, (file.parent, root))
    top = module.partition(".")[0]
    if top not in sys.stdlib_module_names and importlib.util.find_spec(top) is None:
        wanted = f"{module.replace('.', '/')}.py"
        raise ConfigError(f"{reference}: no file {wanted}, and no installed package {top!r}")
    return Place(module, function, None)


def _unclaimed(module: str) -> str:
    """The name under which a file is imported: one that no other module has (the user's own statistics.py)."""
    is_taken = module in sys.modules and module not in FINDER.found
    return f"users_{module}" if is_taken or module.partition(".")[0] in sys.stdlib_module_names else module


def _check_not_ours(reference: str, module: str) -> None:
    if module.partition(".")[0] == PACKAGE:
        raise ConfigError(f"{reference}: {PACKAGE}/ is this program's own; put your function into a file of yours")


def _near(file: Path, root: Path) -> str:
    siblings = {path.name: path for path in file.parent.glob("*.py")} if file.parent.is_dir() else {}
    near = difflib.get_close_matches(file.name, siblings, n=1)
    return f"; did you mean {shown(siblings[near[0]])}?" if near else f" in {root}"
