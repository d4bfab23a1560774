"""Kaggle's official client as a program of its own: asked, understood, and never repeated with a secret in it.

Importing it would authenticate, and may end the process. Its words and exit codes were read in its versions 1.6.17,
2.2.4 and 2.2.5: a failed upload may end with exit code 0, so words count, not codes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError, DataError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "https://www.kaggle.com/c"
TOKENS = "https://www.kaggle.com/settings/api"
INSTALL = "pip install kaggle, or make setup EXTRAS=kaggle"
LOOKED_AT = (
    "KAGGLE_API_TOKEN, ~/.kaggle/access_token, KAGGLE_USERNAME with KAGGLE_KEY, kaggle.json in KAGGLE_CONFIG_DIR or "
    "~/.kaggle, `kaggle auth login`"
)
TRACEBACK = "Traceback (most recent call last)"
SHORTEST_SECRET = 8  # a placeholder such as KAGGLE_KEY=x is no secret, and every x would be masked
CREDENTIALS = re.compile(
    r"Authentication required|Could not find kaggle\.json|\bUnauthorized\b|\bUnauthenticated\b|Invalid credentials"
)
# what else the client says of a fault, tried in this order, and what it means
FAULTS: tuple[tuple[str, type[PipelineError], str], ...] = (
    (
        r"No space left on device|Errno 28\b|Disk quota exceeded",
        DataError,
        "the disk is full, says Kaggle's client at {verb!r} of {slug}; make room, then run it again",
    ),
    (
        r"Max retries exceeded|(?:Connection|Proxy|SSL)Error|timed out|unreachable|Connection (?:re|ab)",
        DataError,
        "Kaggle cannot be reached ({words}); check the network or the proxy, then {again}",
    ),
    (
        r"\b403 - |\b403 Client Error|\bForbidden\b|accept (?:this|the) competition|Permission '.*' was denied",
        ConfigError,
        "Kaggle refuses {verb!r} of {slug} (403: {words}); accept its rules at {page}/rules, or spell its name right",
    ),
    (
        r"\b404 - |\b404 Client Error|\bNot ?[Ff]ound\b|Could not find competition",
        ConfigError,
        "Kaggle knows no open competition {slug!r} (404); its name is the end of its address, kaggle.com/c/NAME",
    ),
    (
        r"\b429 - |\b429 Client Error|(?i:too many requests)",
        DataError,
        "Kaggle had too many requests (429) at {verb!r} of {slug}; wait some minutes, then run it again",
    ),
    (
        r"^(?:crashed|was ended by signal)\b",
        DataError,
        "Kaggle's client {words} at {verb!r} of {slug}; pip install --upgrade kaggle, then {again}",
    ),
    ("", DataError, "Kaggle's client failed at {verb!r} of {slug}: {words}; {again}"),
)


def ask(*words: str, slug: str, seconds: float) -> str:
    """Everything the client says, without secrets, errors last. Raises PipelineError if it fails or says so itself."""
    verb = words[0]
    # the client's own verbose mode would print headers, and with them the token
    environment = {**os.environ, "PYTHONUTF8": "1", "VERBOSE": "false", "VERBOSE_OUTPUT": "false"}
    client = _client()
    try:
        done = subprocess.run(
            [client, "competitions", *words],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise DataError(
            f"Kaggle's client did not finish {verb!r} of {slug} within {seconds:g} seconds and was stopped; "
            f"{again(verb, slug)}"
        ) from None
    except OSError as error:
        raise ConfigError(f"{client}: cannot be started ({error.strerror}); install it again: {INSTALL}") from None
    said = [forget_secrets(stream.decode(errors="replace")) for stream in (done.stdout, done.stderr)]
    output = "\n".join(part for part in said if part)
    if done.returncode or (verb == "submit" and "Could not find competition" in output):  # exit code 0 before 2.2.5
        raise _fault(verb, slug, output, done.returncode)
    return output


def _client() -> str:
    """Find the client on the PATH, else beside this interpreter (an environment that was not activated)."""
    found = shutil.which("kaggle") or shutil.which("kaggle", path=str(Path(sys.executable).parent))
    if found is None:
        raise ConfigError(f"Kaggle's client `kaggle` is neither on the PATH nor beside {sys.executable}; {INSTALL}")
    return found


def _fault(verb: str, slug: str, output: str, code: int) -> PipelineError:
    """Say in one sentence what the client's words mean, and what mends it."""
    words = complaint_of(output) or "without a word"
    if CREDENTIALS.search(words):
        return _credentials_fault()
    known = any(re.search(pattern, words) for pattern, _, _ in FAULTS[:-2])
    if not known and (code < 0 or TRACEBACK in output):
        words = f"was ended by signal {-code}: {words}" if code < 0 else f"crashed: {words}"
    kind, sentence = next((kind, sentence) for pattern, kind, sentence in FAULTS if re.search(pattern, words))
    return kind(sentence.format(verb=verb, slug=slug, words=words, again=again(verb, slug), page=f"{PAGE}/{slug}"))


def again(verb: str, slug: str) -> str:
    """What to do once a request has failed: a download may be repeated, an upload only if it did not arrive."""
    if verb == "submit":
        return f"look at {PAGE}/{slug}/submissions whether it arrived before submitting again"
    by_hand = f", or download the files by hand from {PAGE}/{slug}/data" if verb == "download" else ""
    return f"run it again{by_hand}"


def complaint_of(output: str) -> str:
    """The client's complaint on one line: of a traceback its last words; no warnings, bars or addresses."""
    lines = [line for line in output.splitlines() if line.strip() and "%|" not in line]
    lines = [line for line in lines if not line.startswith(("Warning: ", "Using competition: ", "Submission ref: "))]
    if TRACEBACK in output:
        lines = [line for line in lines if not line.startswith(" ")][-1:]
    text = re.sub(r" (?:for|with) url: \S+", "", "; ".join(line.strip() for line in lines))
    return text if len(text) <= 300 else f"{text[:300]}…"


def _credentials_fault() -> ConfigError:
    order = f"looked at, in this order: {LOOKED_AT}"
    place = next((place for place, _ in _credentials()), None)
    if place is None:
        return ConfigError(
            f"Kaggle wants credentials and there are none; make a token at {TOKENS} and put it into KAGGLE_API_TOKEN "
            f"or ~/.kaggle/access_token ({order})"
        )
    return ConfigError(
        f"Kaggle refuses the credentials in {place}, or its client is too old for them; make a new token at {TOKENS} "
        f"and put it there, or pip install --upgrade kaggle ({order})"
    )


def _credentials() -> Iterator[tuple[str, str]]:
    """Place and value of every secret that the client may use, the one it prefers first."""
    home, environment = Path.home() / ".kaggle", os.environ
    for name in ("KAGGLE_API_V1_TOKEN", "KAGGLE_API_TOKEN"):  # the first is a notebook's; either may name a file
        if value := environment.get(name, "").strip():
            yield name, _text(Path(value)) or value
    for path in (home / "access_token", home / "access_token.txt"):
        if value := _text(path):
            yield str(path), value
    if value := environment.get("KAGGLE_KEY", "").strip():
        yield "KAGGLE_KEY", value
    settings = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config", "kaggle")
    folders = [Path(named)] if (named := environment.get("KAGGLE_CONFIG_DIR")) else [home, settings]
    for path in (*(folder / "kaggle.json" for folder in folders), home / "credentials.json"):
        for name in ("key", "token", "access_token", "refresh_token"):
            if value := _member(path, name):
                yield str(path), value


def _secrets() -> set[str]:
    named = {value for name, value in os.environ.items() if re.fullmatch(r"KAGGLE_\w*(?:KEY|TOKEN)", name)}
    found = {value.strip() for value in (*named, *(value for _, value in _credentials()))}
    return {value for value in found if len(value) >= SHORTEST_SECRET}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _member(path: Path, name: str) -> str:
    try:
        value = json.loads(_text(path) or "{}").get(name)
    except (ValueError, AttributeError):
        return ""
    return value if isinstance(value, str) else ""


def forget_secrets(text: str) -> str:
    """Replace by *** every token and key that Kaggle's client could know, passwords in addresses, signed parameters."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"(?<=://)[^/@\s]+@", "***@", text)
    return re.sub(r"(?i)([?&](?:upload_id|[\w-]*(?:token|signature|credential|key))=)[^&\s'\")]+", r"\1***", text)
