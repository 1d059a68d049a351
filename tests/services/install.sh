#!/bin/sh
# Install what the services tests need and is missing: Java 17 or newer (to run Kafka and the registry), Maven (to fetch
# them). Does nothing if they are there.
set -eu

KAFKA_NEEDS_JAVA=17
ATTEMPTS=3

java_version() {
    java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'
}

missing=
command -v java >/dev/null || missing="$missing default-jre-headless"
command -v mvn >/dev/null || missing="$missing maven"

if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "the services tests need packages that are missing:$missing" >&2
        echo "install Java $KAFKA_NEEDS_JAVA or newer and Maven (on Debian, as root: apt-get install$missing)" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    attempt=1
    # shellcheck disable=SC2086  # a list of packages
    until apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; do
        if [ "$attempt" -ge "$ATTEMPTS" ]; then
            echo "apt-get could not install$missing in $ATTEMPTS attempts: see what it says above" >&2
            exit 1
        fi
        sleep $((attempt * 10))
        attempt=$((attempt + 1))
    done
fi

found="$(java_version)"
if [ "${found:-0}" -lt "$KAFKA_NEEDS_JAVA" ]; then
    echo "$(command -v java) is Java ${found:-of an unknown version}; Kafka needs $KAFKA_NEEDS_JAVA or newer" >&2
    exit 1
fi
