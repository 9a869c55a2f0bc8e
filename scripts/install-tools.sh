#!/usr/bin/env bash
# Installs what building, running and testing need and the machine does not have: compilers for C and C++, OpenSSL for the Kafka
# client, mold, curl, Rust, and PostgreSQL's programs (15 or newer). Convoke starts a private server from these; the system's
# own cluster, which the package would make and start, is not wanted and not made. Says nothing where nothing is missing.
#
# With the word `test` also what only tests need: Java (and its compiler, for a client that tests run from its source) and Maven for
# Apache Kafka and for PostgreSQLs of other versions, two readers of topics by other hands, Python's
# venv, and redis-server and pgbouncer, whose own services are not wanted either and not started. With `python` that venv; with
# `peers` the compiler of Protobuf that the clients of other event stores are built with.
set -euo pipefail

missing=()
want() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
want cc gcc
want c++ g++
want make make
want mold mold
want curl curl
want pkg-config pkg-config
[ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
[ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)
[ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || missing+=(ca-certificates)

if [ "${1:-}" = test ]; then
    want javac openjdk-17-jdk-headless
    want mvn maven
    want xz xz-utils
    want kcat kcat
    /usr/bin/python3 -c 'import confluent_kafka' >/dev/null 2>&1 || missing+=(python3-confluent-kafka)
fi

if [ "${1:-}" = peers ]; then
    want protoc protobuf-compiler
fi

if [ "${1:-}" = test ] || [ "${1:-}" = python ] || [ "${1:-}" = peers ]; then
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
fi

has_postgres() {
    local bin version
    for bin in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin $(dirname "$(command -v postgres 2>/dev/null || echo /none/postgres)"); do
        [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] || continue
        version=$("$bin/postgres" --version | grep -oE '[0-9]+' | head -n 1)
        [ "${version:-0}" -ge 15 ] && return 0
    done
    return 1
}
postgres=no
has_postgres || postgres=yes
# Packages whose services would be started.
services=()
if [ "${1:-}" = test ]; then
    for program in redis-server pgbouncer; do
        # Debian keeps some where only administrators look.
        PATH="$PATH:/usr/sbin" command -v $program >/dev/null 2>&1 || services+=("$program")
    done
fi

# What is missing besides the small tools.
servers() {
    [ $postgres = no ] || printf ' %s' "$1"
    [ ${#services[@]} -eq 0 ] || printf ' %s' "${services[@]}"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null 2>&1; then sudo "$@"; else
        echo "These need to be installed, and this user can not: ${missing[*]}$(servers postgresql)" >&2
        echo "As root: apt-get install ${missing[*]}$(servers postgresql)" >&2
        exit 1
    fi
}
install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null; }

if [ ${#missing[@]} -gt 0 ] || [ $postgres = yes ] || [ ${#services[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Please install with your package manager: ${missing[*]}$(servers 'PostgreSQL 15 or newer (the server)')" >&2
        exit 1
    fi
    echo "installing ${missing[*]}$(servers postgresql)"
    as_root apt-get update -q >/dev/null
    [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
    if [ $postgres = yes ]; then
        install postgresql-common
        as_root sed -ri 's/^#?\s*create_main_cluster\s*=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
        install postgresql
    fi
    if [ ${#services[@]} -gt 0 ]; then
        # A service that is masked is neither started by its package nor at the next boot; where there is no systemd, a policy says so.
        if [ -d /run/systemd/system ]; then
            as_root systemctl mask "${services[@]/%/.service}" >/dev/null 2>&1
            install "${services[@]}"
        elif [ -e /usr/sbin/policy-rc.d ]; then
            install "${services[@]}"
        else
            printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
            as_root chmod 755 /usr/sbin/policy-rc.d
            install "${services[@]}" || { as_root rm -f /usr/sbin/policy-rc.d; exit 1; }
            as_root rm -f /usr/sbin/policy-rc.d
        fi
    fi
fi

PATH="$HOME/.cargo/bin:$PATH"
if ! command -v cargo >/dev/null 2>&1; then
    echo "installing Rust into ~/.cargo (rustup)"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal --component clippy,rustfmt --no-modify-path
fi
