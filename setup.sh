#!/bin/sh
# Creates the environment once; the hash of what it was made from decides whether it is up to date, not file times.
set -eu

if [ "$VENV" = none ]; then
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "error: VENV=none needs Python 3.11 or newer, $PYTHON is $("$PYTHON" --version 2>&1)" >&2; exit 2; }
    exit 0
fi

wanted=$(cat pyproject.toml constraints.txt setup.sh | cksum)
extras=dev${EXTRAS:+,$EXTRAS}
# extras once asked for are there for good: a later command without them changes nothing
case "$(cat "$VENV/.foldpack" 2>/dev/null || true)" in
    "$wanted "*"[$extras]"*) exit 0 ;;
    "$wanted "*) [ -z "${EXTRAS:-}" ] && exit 0 ;;
esac

python=
for candidate in "$PYTHON" python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || { echo "error: Foldpack needs Python 3.11 or newer; install it, or name it: make PYTHON=/path/to/python3.12 setup" >&2; exit 2; }

echo "setup       $($python --version) -> $VENV (once; a few minutes)"
if [ -n "$UV" ]; then
    uv venv --quiet --allow-existing --python "$python" "$VENV"
    install="uv pip install --quiet --python $VENV/bin/python"
else
    [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV" || {
        echo "error: cannot create $VENV; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
    install="$VENV/bin/python -m pip install --quiet --disable-pip-version-check"
fi
if [ -n "$TORCH_INDEX" ]; then
    $install -c constraints.txt --index-url "$TORCH_INDEX" torch
fi
$install -c constraints.txt -e ".[$extras]" || {
    echo "error: the installation failed (above); check the network, then run the same command again" >&2; exit 2; }
echo "$wanted [dev] [$extras]" > "$VENV/.foldpack"
echo "setup       done"
