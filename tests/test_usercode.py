"""The user's functions: found, imported from source alone, and every fault of theirs is a sentence."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline import usercode
from pipeline.errors import ConfigError
from pipeline.usercode import load, locate, module_file


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project's folder with a file of ideas; what was imported from it is forgotten afterwards."""
    (tmp_path / "competitions").mkdir()
    write(tmp_path / "competitions" / "ideas.py", "def double(x):\n    return 2 * x\n\n\nNUMBER = 3\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.meta_path)
    yield tmp_path
    usercode.forget()
    usercode.FINDER.roots.clear()
    sys.meta_path[:] = before


def write(file, text):
    """A file and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def message(reference):
    """What is said of a reference that leads nowhere."""
    with pytest.raises(ConfigError) as raised:
        load(reference)
    return str(raised.value)


@pytest.mark.parametrize("reference", ["competitions/ideas.py:double", "competitions.ideas:double"])
def test_a_function_is_found_by_file_and_by_module(root, reference):
    """Both lead to the same file, seen from the folder in which the command runs."""
    assert load(reference)(4) == 8
    assert locate(reference).file == root / "competitions" / "ideas.py"


def test_a_file_outside_the_project_is_found_by_its_whole_path(root, tmp_path_factory):
    """Its name is its module's, and it may import what lies beside it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    write(folder / "mine.py", "import beside\ndef f(x):\n    return beside.ONE + x\n")
    write(folder / "beside.py", "ONE = 1\n")
    assert load(f"{folder}/mine.py:f")(1) == 2


def test_an_installed_module_is_imported_as_ever(root):
    """A library's function needs no file of the user's."""
    assert locate("textwrap:dedent").file is None
    assert load("textwrap:dedent")(" a") == "a"


def test_locating_a_function_runs_no_line_of_its_file(root):
    """`status` finds and reads; only training imports."""
    write(root / "loud.py", "raise SystemExit(3)\n")
    assert locate("loud.py:f").function == "f"


@pytest.mark.parametrize(
    "line",
    [
        "from competitions.lower import ONE",
        "from lower import ONE",
        "from . import lower\nONE = lower.ONE",
        "from competitions import lower\nONE = lower.ONE",
        "def late():\n    import lower\n    return lower.ONE\nONE = property(late)",
    ],
)
def test_a_file_may_import_what_lies_beside_it_and_in_the_project(root, line):
    """Like a script; also inside a function, long after the file itself was imported."""
    write(root / "competitions" / "lower.py", "ONE = 1\n")
    write(root / "competitions" / "upper.py", f"{line}\ndef f():\n    return late() if 'late' in globals() else ONE\n")
    assert load("competitions/upper.py:f")() == 1


def test_a_file_named_like_a_module_of_pythons_own_takes_nothing_away(root):
    """The user's statistics.py is theirs; Python's stays what it was."""
    import statistics

    write(root / "statistics.py", "def mean(x):\n    return 'mine'\n")
    assert load("statistics.py:mean")([1]) == "mine"
    assert sys.modules["statistics"] is statistics
    assert module_file("statistics", [root]) is None


def test_an_edited_file_is_imported_anew_after_forget(root, monkeypatch):
    """In the same second and at the same size, which a compiled file would not notice; what it imports, too."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = root / "competitions" / "lower.py"
    write(file, "ONE = 1\n")
    write(root / "competitions" / "upper.py", "from lower import ONE\ndef f():\n    return ONE\n")
    assert load("competitions/upper.py:f")() == 1
    write(file, "ONE = 7\n")
    assert load("competitions/upper.py:f")() == 1
    usercode.forget()
    assert load("competitions/upper.py:f")() == 7
    assert not list(root.rglob("*.pyc"))


def test_several_threads_may_ask_at_once(root):
    """None is given a module that another one is still running."""
    write(root / "slow.py", "import time\ntime.sleep(0.05)\ndef f():\n    return 1\n")
    write(root / "user.py", "import time\nfrom slow import f\n")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(load, ["slow.py:f", "user.py:f", "slow.py:f", "user.py:f"]))
    assert [f() for f in found] == [1, 1, 1, 1]


def test_two_functions_of_one_file_share_one_module(root):
    """A file is run once."""
    write(root / "two.py", "MADE = []\ndef f():\n    return MADE\ndef g():\n    return MADE\n")
    assert load("two.py:f")() is load("two.py:g")()


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("ideas", "'ideas' names no function; expected file.py:function or package.module:function"),
        ("competitions/idea.py:double",
         "competitions/idea.py:double: no file competitions/idea.py; did you mean competitions/ideas.py?"),
        ("nowhere.deep:f", "nowhere.deep:f: no file nowhere/deep.py, and no installed package 'nowhere'"),
        ("competitions/ideas.py:duoble",
         "competitions/ideas.py:duoble: competitions.ideas has no function 'duoble'; did you mean 'double'?"),
        ("competitions/ideas.py:NUMBER", "competitions/ideas.py:NUMBER: expected a function, found 3"),
        ("a-b/c:f", "a-b/c:f: 'a-b/c' is neither a .py file nor the dotted name of a module"),
        ("pipeline.engine.losses:mse",
         "pipeline.engine.losses:mse: pipeline/ is this program's own; put your function into a file of yours"),
    ],
)  # fmt: skip
def test_a_reference_that_leads_nowhere_is_said(root, reference, said):
    """With the nearest file or function where there is one."""
    assert message(reference) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ndef f(:\n", "bad.py:2: not valid Python: invalid syntax"),
        ("\n\nx = 1 / 0\n", "bad.py:f: importing it failed: bad.py:3: ZeroDivisionError: division by zero"),
        ("import no_such_library\n",
         "bad.py:f: importing it failed: bad.py:1: ModuleNotFoundError: No module named 'no_such_library'"),
        ("import sys\nsys.exit('no')\n", "bad.py:f: importing it failed: bad.py:2: SystemExit: no"),
        ("import worse\n", "worse.py:1: not valid Python: invalid syntax"),
        ("from . import worse\n", None),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_imported_is_said_with_its_line(root, text, said):
    """Python's own words, and the line of the user's file, not a traceback of ours."""
    write(root / "bad.py", text)
    write(root / "worse.py", "def (\n")
    found = message("bad.py:f")
    assert found == said if said else found.startswith("bad.py:f: importing it failed: bad.py:1: ImportError")


def test_a_failed_import_leaves_nothing_behind(root):
    """Mended, the file is imported."""
    write(root / "bad.py", "1 / 0\n")
    message("bad.py:f")
    write(root / "bad.py", "def f():\n    return 5\n")
    assert load("bad.py:f")() == 5
