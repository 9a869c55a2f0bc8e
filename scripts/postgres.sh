#!/usr/bin/env bash
# A PostgreSQL of another version than the installed one, for tests and for trying things out.
#
#   scripts/postgres.sh VERSION   prints the folder of its programs; fetches it before (and Java, Maven and xz where they are
#                                 missing), once
#
# VERSION is 15, 16, 17 or 18, or a version in full, such as 17.6.
#
# Maven fetches it: there are jars for Java programs that embed PostgreSQL. They hold the server (postgres, initdb, pg_ctl) with
# contrib. They lack the client programs (psql, pg_dump, pg_basebackup, pgbench), JIT, and compression with lz4 and zstd.
set -euo pipefail

# The newest of each major version that could be fetched. The tests run on 15 (Debian) and 18.
full_version() {
    case "$1" in
    15) echo 15.19.0 ;;
    16) echo 16.15.0 ;;
    17) echo 17.11.0 ;;
    18) echo 18.6.0 ;;
    [0-9]*.[0-9]*.[0-9]*) echo "$1" ;;
    [0-9]*.[0-9]*) echo "$1.0" ;;
    *) echo "$0: no version of PostgreSQL is known for '$1': name one in full, such as 18.6" >&2; exit 2 ;;
    esac
}

[ $# -eq 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
version=$(full_version "$1")
case "$(uname -m)" in
x86_64) machine=amd64 ;;
aarch64) machine=arm64v8 ;;
*) echo "$0: there are no binaries for $(uname -m)" >&2; exit 1 ;;
esac

# PostgreSQL refuses root, who has another user run it: that one may not enter root's home.
if [ "$(id -u)" = 0 ]; then cache=/var/cache; else cache="${XDG_CACHE_HOME:-$HOME/.cache}"; fi
folder="$cache/convoke/postgres-$version-$machine"

install() {
    if ! command -v java >/dev/null 2>&1 || ! command -v mvn >/dev/null 2>&1 || ! command -v xz >/dev/null 2>&1; then
        "$(dirname "$0")/install-tools.sh" test
    fi
    mkdir -p "$cache/convoke"
    exec 7>"$folder.lock"
    flock 7
    # Somebody else may have fetched it meanwhile; a folder of this name is always whole.
    [ ! -d "$folder" ] || return 0
    echo "fetching PostgreSQL $version into $folder"
    trap 'rm -rf "$folder.part"' EXIT
    rm -rf "$folder.part"
    mkdir -p "$folder.part/jar"
    # Maven wants a project to work on, and takes what is in the working folder for one.
    (cd "$folder.part" && mvn -q -B dependency:unpack -DoutputDirectory="$folder.part/jar" \
        -Dartifact="io.zonky.test.postgres:embedded-postgres-binaries-linux-$machine:$version:jar")
    tar -xJf "$folder.part"/jar/postgres-*.txz -C "$folder.part" --no-same-owner
    rm -r "$folder.part/jar"
    # Before others rely on it: it may miss a library of the system.
    "$folder.part/bin/postgres" --version
    mv "$folder.part" "$folder"
}

[ -d "$folder" ] || install >&2
echo "$folder/bin"
