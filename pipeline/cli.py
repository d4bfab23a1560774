"""The command line: words to options. Standard library only, so that --help answers at once."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

DEFAULT = "house-prices"
STAGE_COMMANDS = {
    "ingest": "read the raw files, give columns roles and types, check that they agree",
    "preprocess": "folds, z-scores, one-hot columns",
    "train": "train every fold and seed as one batched program",
    "evaluate": "scores by fold and pooled, beside baselines; writes metrics.json and oof.csv",
    "submit": "write the checked submission.csv",
    "report": "write report.html",
}
OTHER_COMMANDS = {
    "init": "draft competitions/NAME.toml from the files in data/raw/NAME/",
    "sample": "fetch the sample competition of that name, or with --kaggle a competition's files",
    "search": "search better hyperparameters; --set train.tuned=true then uses them",
    "worker": "train trials of a sweep beside the process, or machine, that searches",
    "runs": "the studies of a competition: how far they are, and their best scores",
    "summary": "the layers that would be trained: shapes, parameters, initialisation, memory",
    "predict": "predict the rows of a CSV file with the trained networks",
    "export": "write the trained weights to a file that train.warm_start can begin with",
    "heldout": "score the submission on the sample's solution, and count the look",
    "status": "what is fresh, stale or absent",
    "explain": "why a stage is fresh or stale",
    "config": "show every setting (config show NAME --origin), or what is wrong with it (config check NAME)",
    "doctor": "look for leaks, for drift between train and test, and at how the last training went",
    "gc": "delete artifacts that nothing refers to",
}
SETTING_OF = {  # options that stand for a setting
    "device": "train.device",
    "engine": "train.engine",
    "scheduler": "train.scheduler",
    "workers": "train.workers",
    "trials": "search.trials",
    "parallel": "search.parallel",
    "timeout": "search.timeout",
    "storage": "search.storage",
}
OWN_OPTIONS = (
    *("stage", "input", "output", "origin", "keep", "action"),
    *("target", "force", "kaggle", "message", "file", "explain_packs", "page", "leaks"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was typed."""

    command: str
    name: str
    settings: tuple[str, ...]
    fast: bool
    stage: str = ""
    input: str = ""
    output: str = ""
    origin: bool = False
    keep: int = 3
    action: str = ""
    target: str = ""
    force: bool = False
    kaggle: str | None = None  # a slug, or empty: the one in the config; None: not asked for
    message: str = ""
    file: str = ""
    explain_packs: bool = False
    page: bool = False
    leaks: bool = False


def parse(arguments: list[str]) -> Options:
    """Options from words; argparse answers --help and wrong usage itself (exit 2)."""
    given = _parser().parse_args(arguments)
    settings = list(given.settings)
    for option, setting in SETTING_OF.items():
        value = getattr(given, option, None)
        if value is not None:
            settings.append(f'{setting}="{value}"' if isinstance(value, str) else f"{setting}={value}")
    extra = {name: getattr(given, name) for name in OWN_OPTIONS if name in given}
    return Options(given.command, given.name, tuple(settings), given.fast, **extra)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="From train.csv to a checked submission.csv.",
        epilog="NAME is a file in competitions/, or a path to a TOML file.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in {**STAGE_COMMANDS, **OTHER_COMMANDS}.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        _add_own(name, command)
        if name == "doctor":
            command.add_argument(
                "--leaks",
                action="store_true",
                help="poison the data too: change what must not matter, the future above all, and say what moves",
            )
        command.add_argument("name", nargs="?", default=DEFAULT, metavar="NAME", help=f"by default {DEFAULT}")
        if name == "export":
            command.add_argument(
                "file", nargs="?", default="", metavar="FILE", help="by default models/NAME/weights.npz"
            )
        command.add_argument(
            "--set",
            dest="settings",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="override one setting, for example --set train.lr=1e-3; may be repeated",
        )
        command.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:1")
        command.add_argument("--engine", metavar="ENGINE", help="where packs are trained: local, processes or dask")
        command.add_argument("--workers", type=int, metavar="N", help="processes, and at least so many packs")
        command.add_argument("--scheduler", metavar="ADDRESS", help="of dask, such as tcp://10.0.0.5:8786")
        command.add_argument("--fast", action="store_true", help="a tenth of the rows, 2 folds, 3 epochs: does it run?")
    return parser


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


def _add_own(name: str, command: argparse.ArgumentParser) -> None:
    if name == "config":
        command.add_argument("action", choices=["show", "check"], help="print the configuration, or its faults")
        command.add_argument("--origin", action="store_true", help="say where each value came from")
    elif name == "explain":
        command.add_argument("stage", choices=list(STAGE_COMMANDS), metavar="STAGE", help=", ".join(STAGE_COMMANDS))
    elif name in ("search", "worker", "runs"):
        _add_study(name, command)
    elif name == "train":
        _add_explain_packs(command)
    elif name == "predict":
        command.add_argument("--input", required=True, metavar="FILE", help="CSV with an id and the features")
        command.add_argument("--output", required=True, metavar="FILE", help="CSV to write")
    elif name == "init":
        command.add_argument(
            "--target", default="", metavar="COLUMN", help="column to predict, where the guess is wrong"
        )
        command.add_argument("--force", action="store_true", help="overwrite competitions/NAME.toml")
    elif name == "sample":
        command.add_argument("--kaggle", metavar="SLUG", help="fetch that competition with Kaggle's own client")
    elif name == "submit":
        command.add_argument(
            "--kaggle", nargs="?", const="", metavar="SLUG", help="upload, and wait for the public score"
        )
        command.add_argument("-m", "--message", default="", help="what Kaggle shows beside the submission")
    elif name == "gc":
        command.add_argument("--keep", type=_natural, default=3, metavar="N", help="artifacts to keep of each stage")


def _add_study(name: str, command: argparse.ArgumentParser) -> None:
    command.add_argument("--storage", metavar="URL", help="the study's database, for many machines")
    if name == "runs":
        command.add_argument(
            "--page", action="store_true", help="draw reports/NAME/sweep.html, of a sweep in progress too"
        )
        return
    command.add_argument("--trials", type=int, metavar="N", help="trials in the study, earlier ones counted in")
    command.add_argument("--parallel", type=int, metavar="N", help="trials in flight at a time")
    command.add_argument("--timeout", metavar="TIME", help="ask for no further trial after 90m, 2h, …")
    if name == "search":
        _add_explain_packs(command)


def _add_explain_packs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--explain-packs",
        action="store_true",
        help="print which networks would train side by side, what that holds in memory, and why; train nothing",
    )
