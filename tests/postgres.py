"""A PostgreSQL server of the tests' own: on a free port, in a temporary folder, as an ordinary user."""

from __future__ import annotations

import getpass
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

FAST = "-c fsync=off -c max_connections=100 -c shared_buffers=16MB"
USER = "studies"


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`: on the path, or where Debian and Ubuntu put the newest."""
    found = shutil.which("initdb")
    folders = (
        [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    )
    return next((folder for folder in reversed(folders) if (folder / "pg_ctl").exists()), None)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.parent.name.split(".") if part.isdigit())


def absent() -> str:
    """Why there can be no server here; empty where there can be one."""
    if programs() is None:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed (make setup EXTRAS=postgres)"
    if os.geteuid() == 0 and (_ordinary_user() is None or shutil.which("runuser") is None):
        return "PostgreSQL does not run as root, and there is no other user to run it as"
    return ""


def _ordinary_user() -> str | None:
    """Whom root runs the server as."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


class Postgres:
    """A cluster that can be stopped without warning and started again on the same port."""

    def __init__(self) -> None:
        folder = programs()
        assert folder is not None
        self._programs = folder
        self._home = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 bytes
        self._as: list[str] = []
        if os.geteuid() == 0:
            user = _ordinary_user()
            assert user is not None
            shutil.chown(self._home, user)
            self._as = ["runuser", "-u", user, "--"]
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port: int = listener.getsockname()[1]
        self._call("initdb", "-D", self._data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    @property
    def _data(self) -> str:
        return str(self._home / "data")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self._home} {FAST}"
        self._call("pg_ctl", "-D", self._data, "-l", str(self._home / "log"), "-o", options, "-w", "start")

    def stop(self) -> None:
        """Stop without a word to whoever is connected, as a crash would."""
        self._call("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        import psycopg

        server = f"postgresql://{USER}@127.0.0.1:{self.port}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"{server}/{name}"

    def is_running(self) -> bool:
        """Whether it has been started and not stopped."""
        return (Path(self._data) / "postmaster.pid").exists()

    def remove(self) -> None:
        """Stop it and delete its folder."""
        if self.is_running():
            self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _call(self, program: str, *words: str) -> None:
        command = [*self._as, str(self._programs / program), *words]
        # a server inherits what its starter prints to: into a file, or the pipe would stay open as long as it runs
        with tempfile.TemporaryFile() as told:
            done = subprocess.run(command, check=False, stdout=told, stderr=told, cwd="/", timeout=120)
            told.seek(0)
            assert done.returncode == 0, f"{program} as {self._as or getpass.getuser()}: {told.read().decode()}"
