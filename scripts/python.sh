#!/usr/bin/env bash
# A Python of the tests' own: DuckDB and pandas, which open archives as other people do, and a server that speaks the S3 API.
#
#   scripts/python.sh install   makes it (and Python's venv where that is missing); once
#   scripts/python.sh where     prints the path of its interpreter
#
# What is in it, in which version, stands in tests/python/requirements.txt.
set -euo pipefail
wanted="$(cd "$(dirname "$0")/.." && pwd)/tests/python/requirements.txt"
folder="${XDG_CACHE_HOME:-$HOME/.cache}/convoke/python-$(cksum <"$wanted" | cut -d' ' -f1)"

install() {
    [ ! -e "$folder/whole" ] || return 0
    mkdir -p "$(dirname "$folder")"
    exec 7>"$folder.lock"
    flock 7
    # Somebody else may have made it meanwhile. What is cut off leaves a folder without the last file.
    [ ! -e "$folder/whole" ] || return 0
    rm -rf "$folder"
    python3 -c 'import ensurepip, venv' 2>/dev/null || "$(dirname "$0")/install-tools.sh" python
    echo "installing DuckDB, pandas and moto into $folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check --no-compile -r "$wanted"
    touch "$folder/whole"
}

case "${1:-}" in
    install) install ;;
    where) echo "$folder/bin/python" ;;
    *) echo "usage: scripts/python.sh install | where" >&2; exit 2 ;;
esac
