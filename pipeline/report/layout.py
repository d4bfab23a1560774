"""What every page has in common: one HTML file that needs nothing but itself, in which no text is more than text."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from pipeline.report.tables import Table, cut_long
from pipeline.report.text import clean

HERE = Path(__file__).resolve().parent
LONGEST_TITLE = 80
LONGEST_TEXT = 1000


def laid_out(template: str, **content: object) -> bytes:
    """The page of that template; the same content gives the same bytes."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(template)
    css = Markup((HERE / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    return found.render(css=css, **content).encode()


def _printable(value: object) -> object:
    # whatever reaches the page: no text is unbounded, and every one can be encoded
    return clean(value, LONGEST_TEXT) if isinstance(value, str) and not isinstance(value, Markup) else value


def filled(*tables: Table) -> list[Table]:
    """Those that have rows, each with as many as a page should hold."""
    return [cut_long(table) for table in tables if table.rows]


def is_plain(competition: str) -> bool:
    """Whether a shell takes that name as it stands; another one is better typed by its owner."""
    return re.fullmatch(r"[\w.-]{1,80}", competition, re.ASCII) is not None
