#!/usr/bin/env bash
# A real Apache Kafka for tests and for trying things out.
#
#   scripts/kafka.sh install                               fetches it (and Java and Maven where they are missing); once
#   scripts/kafka.sh run FOLDER [PORT] [CONTROLLER_PORT] [ADVERTISED_PORT]
#                                                          runs it in the foreground with its data in FOLDER, formatted at first;
#                                                          clients are told of the last port, where something lies between;
#                                                          FOLDER/more.properties is added to its settings, where it is there
#   scripts/kafka.sh where                                 prints the folder of its jars
#
# Its version stands in kafka/server/pom.xml, its settings in kafka/server/server.properties.
set -euo pipefail
server="$(cd "$(dirname "$0")/.." && pwd)/kafka/server"
version=$(sed -n '/kafka_2.13/{n;s/.*<version>\(.*\)<\/version>.*/\1/p}' "$server/pom.xml")
libs="${XDG_CACHE_HOME:-$HOME/.cache}/convoke/kafka-$version-$(cksum <"$server/pom.xml" | cut -d' ' -f1)"

install() {
    if ! command -v java >/dev/null 2>&1 || { [ ! -d "$libs" ] && ! command -v mvn >/dev/null 2>&1; }; then
        "$(dirname "$0")/install-tools.sh" test
    fi
    [ ! -d "$libs" ] || return 0
    mkdir -p "$(dirname "$libs")"
    exec 7>"$libs.lock"
    flock 7
    # Somebody else may have fetched it meanwhile; a folder of this name is always whole.
    [ ! -d "$libs" ] || return 0
    echo "fetching Apache Kafka $version into $libs"
    rm -rf "$libs.part"
    mvn -q -B -f "$server/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs.part" >&2
    mv "$libs.part" "$libs"
}

java_of_kafka() {
    # Serial collection and few threads: a small server on a small machine. Errors alone are logged, to the error stream.
    exec java -Xms128m -Xmx768m -XX:+UseSerialGC -Xshare:auto -Djava.awt.headless=true -cp "$libs/*" "$@"
}

run() {
    local folder=$1 port=${2:-9092} controller=${3:-} advertised=${4:-}
    controller=${controller:-$((port + 1))}
    advertised=${advertised:-$port}
    install
    mkdir -p "$folder"
    folder=$(cd "$folder" && pwd)
    {
        cat "$server/server.properties"
        echo "listeners=CLIENTS://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller"
        echo "advertised.listeners=CLIENTS://127.0.0.1:$advertised"
        echo "controller.quorum.voters=1@127.0.0.1:$controller"
        echo "log.dirs=$folder/data"
        [ ! -e "$folder/more.properties" ] || cat "$folder/more.properties"
    } >"$folder/server.properties"
    if [ ! -e "$folder/data/meta.properties" ]; then
        # A format that was cut off is begun again; the id is that of one cluster on one machine.
        rm -rf "$folder/data"
        (java_of_kafka kafka.tools.StorageTool format -t Q29udm9rZUxvY2FsS2Fma2 -c "$folder/server.properties") >"$folder/format.log" 2>&1 \
            || { cat "$folder/format.log" >&2; exit 1; }
    fi
    echo "Apache Kafka $version, KAFKA_BROKERS=127.0.0.1:$port, data in $folder"
    java_of_kafka kafka.Kafka "$folder/server.properties"
}

case "${1:-}" in
install) install ;;
where) echo "$libs" ;;
run) [ $# -ge 2 ] || { echo "usage: $0 run FOLDER [PORT] [CONTROLLER_PORT]" >&2; exit 2; }; shift; run "$@" ;;
*) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
