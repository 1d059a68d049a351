#!/bin/sh
# Make the passwords and API keys that `docker compose up` needs, once: sh secrets.sh FOLDER K2_HOME...
#
# FOLDER is a volume that this project's containers read. So nobody has to choose a password, and none stands in a file
# of the repository. What is there already stays. Every K2_HOME gets the file of API keys, unless it has one.
set -eu

folder=$1
shift

# keep NAME COMMAND...: file NAME holds what COMMAND prints; the whole of it, or there is none.
keep() {
    name=$1
    shift
    [ -s "$folder/$name" ] && return
    "$@" >"$folder/.$name"
    mv "$folder/.$name" "$folder/$name"
}

password() {
    python -c 'import secrets; print(secrets.token_hex(24), end="")'
}

api_key() {
    K2_HOME=$folder k2 keys create "$@"
}

# The servers that read them run as other users; only containers that mount the volume see it.
umask 022
mkdir -p "$folder"
keep postgres_password password
keep s3_secret_key password
keep grafana_password password
keep api_key api_key --name compose --scope read --scope replay
keep metrics_key api_key --name prometheus --scope read

umask 077
for home in "$@"; do
    mkdir -p "$home"
    [ -e "$home/keys.json" ] || cp "$folder/keys.json" "$home/keys.json"
done
