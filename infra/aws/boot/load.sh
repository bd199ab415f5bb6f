#!/bin/bash
# Runs Locust on an instance of the load fleet: the master with its web UI on loopback, or a worker
# for each core.
set -euo pipefail

cd "$(dirname "$0")/../../.."
python=$PWD/venv/bin/python

if [ "$BOOT_ROLE" = load-worker ]; then
  exec "$python" -m locust --locustfile locustfiles --worker \
    --master-host "$LOAD_MASTER" --master-port "${LOAD_MASTER_PORT:-5557}" \
    --processes "${LOAD_PROCESSES:--1}"
fi

. infra/aws/boot/secret.sh
DATABASE_URL=$("$python" -c 'import os, urllib.parse
part = lambda name: urllib.parse.quote(os.environ[name], safe="")
print("postgresql://{}:{}@{}:{}/{}".format(*map(part, (
    "DB_USERNAME", "DB_PASSWORD", "DB_ENDPOINT", "DB_PORT", "DB_NAME"))))')
export DATABASE_URL
unset DB_USERNAME DB_PASSWORD
exec "$python" -m locust --config "infra/experiments/${LOAD_EXPERIMENT:-stop-one-server}.toml" \
  --headful --web-host 127.0.0.1 --web-port "${LOAD_WEB_PORT:-8089}" \
  --master --master-bind-host "$PRIVATE_IP" --master-bind-port "${LOAD_MASTER_PORT:-5557}" \
  --target aws --host "$LOAD_HOST" --fis-template "$LOAD_FIS_TEMPLATE" \
  --evidence-uri "$LOAD_EVIDENCE_URI/ledgers" --evidence-format parquet
