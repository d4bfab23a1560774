"""What was guessed about the files -> a first configuration to read and correct, and a table that says why."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.settings import Files
from pipeline.tabular.roles.looks import USUAL_MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.tabular.roles.values import Guess, Guesses

WIDTH = 119
FEWEST_LETTERS = 24  # where less room is left, the comment stands on a line of its own
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
DROPPED = ("train_only", "test_only", "constant", "empty", "duplicate")
AS_LEVELS = ("categorical", "group")
WIDEST_CELL = 32
HOLDOUT_SHARE = 0.2
AS_FOUND = Files()


@dataclass(frozen=True, slots=True)
class Draft:
    """A competition's first configuration, and the table to print beside it."""

    toml: str
    lines: tuple[str, ...]


def draft(guesses: Guesses, name: str, files: Files = AS_FOUND) -> Draft:
    """Write down what differs from the defaults, each line with its evidence; valid TOML whatever the names hold.

    files: how the files were read, which the config has to say again where it was told.
    """
    blocks = [
        [*_heading(guesses, name)],
        [*_files(guesses, files)],
        [*_schema(guesses)],
        *([*_of_columns(guesses, key)] for key in ("ordinal", "dates", "missing_in")),
        [*_holdout(guesses)],
        [*_folds(guesses)],
        *([*_join(guesses, place)] for place in range(len(guesses.joins))),
    ]
    text = "\n\n".join("\n".join(block) for block in blocks if block)
    return Draft(toml=text + "\n", lines=_table(guesses))


def _heading(guesses: Guesses, name: str) -> Iterator[str]:
    yield _comment(
        f"{name}: drafted by `init` from the files. Each line is a guess beside what it rests on: correct it."
    )
    yield _comment("Every key and its default: docs/CONFIG.md")
    for remark in guesses.remarks:
        yield _comment(remark)
    for guess in guesses.columns:
        if guess.role == "high_cardinality":
            yield _comment(f"{guess.column!r}: {guess.evidence}")
    yield ""
    yield 'recipe = "classic"'
    yield from _line(f"metric = {_text(guesses.metric.value)}", guesses.metric.evidence)


def _files(guesses: Guesses, files: Files) -> Iterator[str]:
    told = {key: value for key, value in files.model_dump().items() if value != getattr(AS_FOUND, key)}
    evidence = dict.fromkeys(guesses.files, "its name does not tell") | dict.fromkeys(told, "as it was told to init")
    if evidence:
        yield "[files]"
    for key, why in evidence.items():
        yield from _line(f"{key} = {_text({**guesses.files, **told}[key])}", why)


def _schema(guesses: Guesses) -> Iterator[str]:
    yield "[schema]"
    if guesses.id.value:
        yield from _line(f"id = {_text(guesses.id.value)}", guesses.id.evidence)
    else:
        yield _comment(guesses.id.evidence)
    target = guesses.target
    yield from _line(f"target = {_text(target.value)}", target.evidence)
    if len(guesses.targets) > 1:
        others = ", ".join(_text(other) for other in guesses.targets[1:])
        yield _comment(f"to predict {others}: a second file with that target, and this one under drop")
    grouped = guesses.folds.value if guesses.folds else None
    yield from _list("numeric", [guess for guess in guesses.columns if guess.role == "numeric" and _is_dirty(guess)])
    levels = [guess for guess in guesses.columns if guess.role in AS_LEVELS and guess.listed]
    yield from _list("categorical", [guess for guess in levels if guess.column != grouped])
    yield from _list("text", [guess for guess in guesses.columns if guess.role == "text"])
    dropped = [guess for guess in guesses.columns if _is_dropped(guess, guesses)]
    apart = "only [folds] reads it: none of its values in test is in train"
    yield from _list("drop", [replace(own, evidence=apart) if own.column == grouped else own for own in dropped])


def _is_dirty(guess: Guess) -> bool:
    return guess.listed and not guess.missing


def _is_dropped(guess: Guess, guesses: Guesses) -> bool:
    if guess.role in {"id", "target"}:
        return guess.listed
    # groups of which test brings others only: the column tells the folds apart, and nothing about a new row
    is_apart = guesses.folds is not None and guess.column == guesses.folds.value
    return (guess.role in DROPPED and guess.column != guesses.id.value) or is_apart


def _of_columns(guesses: Guesses, key: str) -> Iterator[str]:
    """A section that gives each of some columns a list of texts."""
    listed = [(guess, texts) for guess in guesses.columns if (texts := _texts_under(key, guess))]
    if listed:
        yield f"[schema.{key}]"
    for guess, texts in listed:
        evidence = "the id is a date too" if key == "dates" and guess.role == "id" else guess.evidence
        yield from _line(f"{_key(guess.column)} = {_texts(texts)}", evidence)


def _texts_under(key: str, guess: Guess) -> tuple[str, ...]:
    # what means missing in one column replaces what means it everywhere
    missing = (*USUAL_MISSING, *guess.missing) if guess.missing else ()
    return {"ordinal": guess.levels, "dates": guess.formats, "missing_in": missing}[key]


def _holdout(guesses: Guesses) -> Iterator[str]:
    if guesses.holdout is None:
        return
    yield "[holdout]"
    if not guesses.holdout.value:
        yield from _line(f"share = {HOLDOUT_SHARE}", guesses.holdout.evidence)
        return
    yield f"share = {HOLDOUT_SHARE}"
    yield from _line(f"by = {_text(guesses.holdout.value)}", guesses.holdout.evidence)


def _folds(guesses: Guesses) -> Iterator[str]:
    if guesses.folds is not None:
        yield "[folds]"
        yield 'kind = "grouped"'
        yield from _line(f"column = {_text(guesses.folds.value)}", guesses.folds.evidence)


def _join(guesses: Guesses, place: int) -> Iterator[str]:
    join = guesses.joins[place]
    yield "[[join]]"
    yield f"file = {_text(join.file)}"
    yield from _line(f"on = {_texts(join.on)}", join.evidence)


def _list(key: str, listed: Sequence[Guess]) -> Iterator[str]:
    """One column a line, each with its evidence; a single one stays on the key's line."""
    if len(listed) == 1:
        yield from _line(f"{key} = {_texts([listed[0].column])}", listed[0].evidence)
    elif listed:
        yield f"{key} = ["
        for guess in listed:
            yield from _line(f"  {_text(guess.column)},", guess.evidence)
        yield "]"


def _line(code: str, evidence: str) -> Iterator[str]:
    """A setting with its evidence behind it, cut to the width; in front of a line that fills the width itself."""
    room = WIDTH - len(code) - 4
    if room >= min(FEWEST_LETTERS, len(_printable(evidence))):
        yield f"{code}  # {_cut(evidence, room)}"
    else:
        yield _comment(evidence)
        yield code


def _comment(words: str) -> str:
    return f"# {_cut(words, WIDTH - 2)}"


def _printable(words: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in words)


def _cut(words: str, most: int) -> str:
    plain = _printable(words)
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def _text(value: str) -> str:
    # JSON's escapes are TOML's; only the delete character, which JSON lets stand, is forbidden in TOML
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _texts(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else _text(name)


def _table(guesses: Guesses) -> tuple[str, ...]:
    """Column, role, rule and evidence, and what else it could have been."""
    rows = [("column", "role", "rule", "evidence")]
    for guess in guesses.columns:
        doubt = f" (else {', '.join(map(_words, guess.overrides))})" if guess.overrides else ""
        scale = f": {' < '.join(guess.levels)}" if guess.levels else ""
        cells = (guess.column, guess.role, guess.rule, guess.evidence + scale + doubt)
        rows.append((_cut(cells[0], WIDEST_CELL), _words(cells[1]), _words(cells[2]), _printable(cells[3])))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    return tuple("  ".join([*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=True)), row[3]]) for row in rows)


def _words(name: str) -> str:
    return name.replace("_", " ")
