#!/bin/sh
# Install what the services tests need and is missing: a Java 17 or newer that compiles (to run Kafka, the registry and
# the REST catalog), Maven (to fetch them), Go 1.21 or newer (to build the S3 server; it fetches the version of itself
# that the server wants), PostgreSQL, nginx, kcat, openssl, Prometheus and its promtool. Does nothing if they are there.
set -eu

KAFKA_NEEDS_JAVA=17
GO_NEEDS_MINOR=21
ATTEMPTS=3

# Go's own archive is unpacked there, and not on the path of every shell.
PATH="$PATH:/usr/local/go/bin"

java_version() {
    java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'
}

go_minor() {
    go version | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p'
}

# The first of the servers' folders (Debian keeps one per version), or whatever is on the path.
has_postgres() {
    command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

missing=
command -v javac >/dev/null || missing="$missing default-jdk-headless"
command -v go >/dev/null || missing="$missing golang-go"
has_postgres || missing="$missing postgresql"
command -v mvn >/dev/null || missing="$missing maven"
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v kcat >/dev/null || missing="$missing kcat"
command -v openssl >/dev/null || missing="$missing openssl"
command -v promtool >/dev/null || missing="$missing prometheus"

if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "the services tests need packages that are missing:$missing" >&2
        echo "install a JDK of Java $KAFKA_NEEDS_JAVA or newer, Maven, Go, PostgreSQL, nginx, kcat, openssl and Prometheus (on Debian, as root: apt-get install$missing)" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    # Debian starts servers that it installs, unless it is told not to; the tests start their own. Source: invoke-rc.d(8).
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
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

found="$(go_minor)"
if [ "${found:-0}" -lt "$GO_NEEDS_MINOR" ]; then
    echo "$(command -v go) is Go 1.${found:-of an unknown version}; 1.$GO_NEEDS_MINOR or newer fetches the version that the" \
        "S3 server is built with: put a newer Go on the path (on Debian: golang-go of backports)" >&2
    exit 1
fi
