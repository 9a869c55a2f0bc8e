#!/usr/bin/env bash
# A Python of the tests' own: DuckDB and pandas, which open archives as other people do, and a server that speaks the S3 API.
# With it comes a Node, and for that what AsyncAPI publishes to validate a description with.
#
#   scripts/python.sh install   makes it (and Python's venv where that is missing); once
#   scripts/python.sh where     prints the path of its interpreter; Node is beside it, Node's packages are under ../node
#
# What is in it, in which version, stands in tests/python/requirements.txt and tests/node/package-lock.json.
set -euo pipefail
tests="$(cd "$(dirname "$0")/../tests" && pwd)"
wanted=("$tests/python/requirements.txt" "$tests/node/package.json" "$tests/node/package-lock.json")
folder="${XDG_CACHE_HOME:-$HOME/.cache}/convoke/python-$(cat "${wanted[@]}" | cksum | cut -d' ' -f1)"

install() {
    [ ! -e "$folder/whole" ] || return 0
    mkdir -p "$(dirname "$folder")"
    exec 7>"$folder.lock"
    flock 7
    # Somebody else may have made it meanwhile. What is cut off leaves a folder without the last file.
    [ ! -e "$folder/whole" ] || return 0
    rm -rf "$folder"
    python3 -c 'import ensurepip, venv' 2>/dev/null || "$(dirname "$0")/install-tools.sh" python
    echo "installing DuckDB, pandas, moto and the validator of AsyncAPI into $folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check --no-compile -r "${wanted[0]}"
    mkdir "$folder/node"
    cp "${wanted[@]:1}" "$folder/node/"
    # No package runs anything of its own at installation.
    PATH="$folder/bin:$PATH" npm ci --prefix "$folder/node" --loglevel error --ignore-scripts --no-audit --no-fund
    touch "$folder/whole"
}

case "${1:-}" in
    install) install ;;
    where) echo "$folder/bin/python" ;;
    *) echo "usage: scripts/python.sh install | where" >&2; exit 2 ;;
esac
