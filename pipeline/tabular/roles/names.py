"""What the name of a column tells: the words that competitions use."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\dA-Za-z_]+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


ID_WORDS = _set("id ids uid uuid guid key")
# these mean a row's number only where they are the whole name: "rooms_no" counts rooms
ROW_NAMES = _set("index idx no nr row rows number rownames rowid rownumber rownum unnamed0") | {""}
ENTITIES = _set(
    "store shop item product customer client user player patient subject driver vendor station sensor device machine "
    "engine building meter household hospital school sku account merchant seller vehicle parcel session group"
)
_NUMBERED = _set("id nbr no nr num number code")
CODE_WORDS = _set("code zip zipcode postal postcode pincode")
LEVEL_WORDS = CODE_WORDS | _set(
    "class type category cat kind region district zone cluster sector season weather weathersit color colour brand "
    "species state county gender sex"
)
COUNT_WORDS = _set("count counts cnt sales demand units quantity qty visits visitors num sold orders")
# the first of several wins; the sure ones stand for the target whatever their cells are
SURE_TARGETS = ("target", "label", "outcome")
_TARGETS = (
    "saleprice price count cnt sales demand value quality strength rings medv mpg charges premium cost amount fare "
    "duration consumption revenue salary income score rating yield probability loss rent profit quantity sold area y"
)
TARGET_WORDS = tuple(_TARGETS.split())
_YEAR, _MONTH, _DAY, _HOUR, _MINUTE = "year", "month", "day", "hour", "minute"
# name -> the part of time it is, and its smallest and largest number
TIME_PARTS = {
    **dict.fromkeys(("year", "yr", "yyyy"), (_YEAR, 1800, 2200)),
    **dict.fromkeys(("month", "mo", "mnth", "mon", "mm"), (_MONTH, 1, 12)),
    **dict.fromkeys(("day", "dd", "dayofmonth", "mday"), (_DAY, 1, 31)),
    **dict.fromkeys(("hour", "hr", "hours", "hh", "hourofday"), (_HOUR, 0, 24)),
    **dict.fromkeys(("minute", "min", "minutes"), (_MINUTE, 0, 60)),
    **dict.fromkeys(("weekday", "dayofweek", "dow", "wday"), ("weekday", 0, 7)),
    **dict.fromkeys(("week", "weekofyear", "weeknum"), ("week", 0, 53)),
    "quarter": ("quarter", 1, 4),
    "dayofyear": ("day of the year", 1, 366),
}
FIRST_COMPACT_DATE, LAST_COMPACT_DATE = 19000101, 21001231  # dates written as eight digits
CLOCK = (_YEAR, _MONTH, _DAY, _HOUR, _MINUTE)  # parts that together are an instant, coarse to fine


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: MSSubClass is ms, sub, class; pm2.5 is pm, 2, 5."""
    return [word.lower() for word in _WORD.findall(name)]


def squeezed(name: str) -> str:
    """Letters and digits only, in lower case."""
    return "".join(words_of(name))


def is_id_name(name: str) -> bool:
    """Whether a column of this name tells rows or things apart: Id, store_id, PassengerId, row, index, no name."""
    words = words_of(name)
    if squeezed(name) in ROW_NAMES or (words and words[-1] in ID_WORDS):
        return True
    return bool(words) and words[-1].endswith("id") and words[-1].removesuffix("id") in ENTITIES


def is_thing_name(name: str) -> bool:
    """Whether the column names the thing that a row is about: store, item_nbr, customer_id."""
    words = words_of(name)
    if len(words) > 1 and words[-1] in _NUMBERED:
        words = words[:-1]
    return (len(words) == 1 and words[0] in ENTITIES) or (is_id_name(name) and squeezed(name) not in ROW_NAMES)


def last_word(name: str) -> str:
    """The noun of a name, the numbers behind it not counted: the class of MSSubClass, the cat of cat_12."""
    words = words_of(name)
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    return words[-1] if words else ""


def time_part(name: str) -> tuple[str, int, int] | None:
    """Which part of time a column of this name holds, with its limits."""
    return TIME_PARTS.get(squeezed(name))


def names_folder(column: str, folder: str) -> bool:
    """Whether the folder's name holds the column's as whole words, letters and digits only: pm2.5 in beijing-pm25."""
    parts = [part.lower() for part in re.split(r"[\W_]+", folder) if part]
    parts = parts if len(parts) > 1 else words_of(folder)
    wanted = squeezed(column)
    runs = ("".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1))
    return wanted != "" and any(run in {wanted, wanted + "s"} for run in runs)


def base_name(file: str) -> str:
    """A file's name without its folders, whichever system's marks stand between them."""
    return re.split(r"[\\/]", file)[-1]
