#!/usr/bin/env bash
# A folder of Python packages, made once and again when its requirements change:
#   tests/venv.sh FOLDER REQUIREMENTS OFFLINE(0|1)
# Exit status 3: offline, and the folder is not there yet (or is another requirements file's).
set -euo pipefail

venv=$1
requirements=$2
offline=$3

python=$(command -v /usr/bin/python3 || command -v python3)
want="$("$python" --version) $(sha256sum <"$requirements")"
[ "$(cat "$venv/made-from" 2>/dev/null)" != "$want" ] || exit 0
if [ "$offline" -eq 1 ]; then
    echo "--offline, and $venv does not hold what $requirements asks for" >&2
    exit 3
fi
rm -rf "$venv"
echo "fetching the Python packages of $requirements"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip --quiet --disable-pip-version-check install -r "$requirements" </dev/null
printf '%s\n' "$want" >"$venv/made-from"
