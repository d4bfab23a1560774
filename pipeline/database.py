"""A study's database that comes and goes: every operation is tried again before anybody hears of it."""

from __future__ import annotations

import functools
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from pipeline.errors import StorageError
from pipeline.progress import say
from pipeline.storage import shown_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUT_OF_REACH = (StorageInternalError, SQLAlchemyError, ConnectionError)
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0  # seconds between two tries
SQLITE_SHARE = 0.05  # of the patience, that one try waits for a lock: Optuna itself tries some writes five times
STARTS = 60  # tries to open a database whose tables are being made
# psycopg's words for libpq: a server that is gone without a word is noticed within a minute
NETWORK = {"connect_timeout": 10, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
DRIVERS = '`pip install "foldpack[postgres]"`, in a clone `make setup EXTRAS=postgres`'
MANY = "one process at a time writes to SQLite: end the one that does, or take PostgreSQL (--storage postgresql://…)"
# what Optuna's cache asks of a database beside the public operations
INNER = {"_create_new_trial", "_set_trial_param", "_get_trials", "_get_best_trial_id"}
T = TypeVar("T")

_once: ContextVar[bool] = ContextVar("once", default=False)


@contextmanager
def tried_once() -> Iterator[None]:
    """In this context, and thread, nobody waits for a database: what it does not take is an exception at once."""
    before = _once.set(True)
    try:
        yield
    finally:
        _once.reset(before)


class Database(RDBStorage):
    """Optuna's storage in a database that may be away for a while.

    patience: seconds for which it is asked again. on_wait: hears once that it is away, and once that it is back.
    outages: how often a try has failed.
    """

    def __init__(self, address: str, *, patience: float, options: dict[str, Any]) -> None:
        self.patience = patience
        self.on_wait: Callable[[str], None] = lambda what: say(f"{'search':<11} {'waiting':<18} {what}")
        self.outages = 0
        super().__init__(address, engine_kwargs=options)

    def steadily(self, call: Callable[[], T]) -> T:
        """The call's value. Raises StorageError when the database has not answered for as long as the patience."""
        began, pause, is_away = time.monotonic(), FIRST_PAUSE, False
        while True:
            try:
                value = call()
            except OUT_OF_REACH as error:
                self.outages += 1
                if _once.get():
                    raise
                waited = time.monotonic() - began
                if waited >= self.patience:
                    raise _given_up(error, waited) from error
                if not is_away:
                    self.on_wait(f"the study's database does not answer ({reason_of(error)}); trying again")
                is_away = True
                time.sleep(max(0.0, min(pause, self.patience - waited)))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if is_away:
                    self.on_wait(f"the study's database answers again, after {time.monotonic() - began:.0f} s")
                return value


def _steady(name: str) -> Callable[..., Any]:
    plain = getattr(RDBStorage, name)

    @functools.wraps(plain)
    def operation(self: Database, *arguments: Any, **named: Any) -> Any:
        return self.steadily(lambda: plain(self, *arguments, **named))

    return operation


for _name in {name for name, one in vars(BaseStorage).items() if callable(one) and name[0] != "_"} | INNER:
    if _name in vars(RDBStorage):
        setattr(Database, _name, _steady(_name))


def open_database(url: str, patience: float) -> Database:
    """A database of any kind that SQLAlchemy knows; SQLite waits for its lock instead of giving up at once.

    Raises StorageError where it cannot be opened, at once: the address may be wrong.
    """
    try:
        address = sqlalchemy.make_url(url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        return _opened(address, patience)
    except ModuleNotFoundError as error:
        raise StorageError(f"{shown_url(url)} needs {error.name}, which is not installed; run {DRIVERS}") from None
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        raise cannot_open(url, error) from None


def _opened(address: sqlalchemy.URL, patience: float) -> Database:
    is_sqlite = address.get_backend_name() == "sqlite"
    own: dict[str, Any] = NETWORK if address.drivername == "postgresql+psycopg" else {}
    options: dict[str, Any] = (
        {"connect_args": {"timeout": SQLITE_SHARE * patience}} if is_sqlite else {"connect_args": own}
    )
    options |= {"pool_pre_ping": not is_sqlite}
    if not patience:  # only a look at it: no connection stays
        options["poolclass"] = NullPool
    text = address.render_as_string(hide_password=False)
    for left in reversed(range(STARTS)):
        try:
            database = Database(text, patience=patience, options=options)
            break
        except SQLAlchemyError as error:
            if not left or not _is_being_made(error):
                raise
            time.sleep(FIRST_PAUSE)
    if is_sqlite:
        with database.engine.connect() as connection:
            connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
    return database


def _is_being_made(error: SQLAlchemyError) -> bool:
    """Whether another process makes the tables at this moment: those that start together all find none."""
    told = reason_of(error)
    return isinstance(error, IntegrityError) or "already exists" in told or "deadlock" in told


def cannot_open(url: str, error: Exception) -> StorageError:
    """What to say of a database that is not there."""
    if is_locked(error):
        return StorageError(
            f"search.storage = {shown_url(url)!r}: somebody else is writing ({reason_of(error)}); {MANY}"
        )
    return StorageError(
        f"search.storage = {shown_url(url)!r}: the study's database cannot be opened ({reason_of(error)}); check "
        f"address, user and password, and that the server runs"
    )


def _given_up(error: Exception, waited: float) -> StorageError:
    if is_locked(error):
        return StorageError(f"the study's database has been locked for {waited:.0f} s ({reason_of(error)}); {MANY}")
    return StorageError(
        f"the study's database has not answered for {waited:.0f} s ({reason_of(error)}); finished trials are safe in "
        f"it: when it is back, run the same command again (search.patience is how long it is waited for)"
    )


def is_locked(error: Exception) -> bool:
    """Whether SQLite says that somebody else is writing."""
    return "is locked" in reason_of(error)


def reason_of(error: Exception) -> str:
    """The first line of what the database's driver said."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__ or error
    told = cause.orig if isinstance(cause, DBAPIError) and cause.orig is not None else cause
    return str(told).strip().split("\n")[0]
