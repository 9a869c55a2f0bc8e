#!/usr/bin/env bash
# The event stores that `make bench-peers` measures beside Convoke, but for their clients in Rust, which Cargo builds: the server of UmaDB,
# message-db, and emmett with a Node for it.
#
#   scripts/peers.sh install   makes it (and Python's venv where that is missing); once
#   scripts/peers.sh where     prints its folder: programs are in bin, packages in node/node_modules
#
# What is in it, in which version, stands in benches/peers/requirements.txt and benches/peers/package-lock.json.
set -euo pipefail
peers="$(cd "$(dirname "$0")/../benches/peers" && pwd)"
wanted=("$peers/requirements.txt" "$peers/package.json" "$peers/package-lock.json" "$peers/emmett.mjs")
folder="${XDG_CACHE_HOME:-$HOME/.cache}/convoke/peers-$(cat "${wanted[@]}" | cksum | cut -d' ' -f1)"

install() {
    [ ! -e "$folder/whole" ] || return 0
    mkdir -p "$(dirname "$folder")"
    exec 7>"$folder.lock"
    flock 7
    # Somebody else may have made it meanwhile. What is cut off leaves a folder without the last file.
    [ ! -e "$folder/whole" ] || return 0
    rm -rf "$folder"
    python3 -c 'import ensurepip, venv' 2>/dev/null || "$(dirname "$0")/install-tools.sh" python
    echo "installing UmaDB, message-db and emmett into $folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check --no-compile -r "${wanted[0]}"
    mkdir "$folder/node"
    # The script lies beside the packages that it imports.
    cp "${wanted[@]:1}" "$folder/node/"
    # No package runs anything of its own at installation.
    PATH="$folder/bin:$PATH" npm ci --prefix "$folder/node" --loglevel error --ignore-scripts --no-audit --no-fund
    touch "$folder/whole"
}

case "${1:-}" in
    install) install ;;
    where) echo "$folder" ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
