#!/bin/sh
# Runs once, in an empty cluster: two logins with nothing but a password. What they may do, `countersign database prepare` says.
set -eu
for half in people issuer; do
    psql --set=ON_ERROR_STOP=1 --set=password="$(cat "/run/secrets/$half-password")" <<SQL
SET log_statement = 'none';
CREATE ROLE countersign_$half LOGIN PASSWORD :'password';
SQL
done
