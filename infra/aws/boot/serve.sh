#!/bin/bash
# Serves the shop, as the lab does: everything about gunicorn is in shop/gunicorn_conf.py. The
# tables are made there too, once, under an advisory lock, by whichever server starts first.
set -euo pipefail

cd "$(dirname "$0")/../../.."
python=$PWD/venv/bin/python
. infra/aws/boot/secret.sh
exec "$python" -m gunicorn --config python:shop.gunicorn_conf \
  --bind "$PRIVATE_IP:${SHOP_PORT:-80}" shop.wsgi:app
