#!/bin/bash
# Installs what lies in this archive and starts it as a service. It runs as root, once, from
# user_data.sh.tftpl, which has fetched the archive and compared its checksum.
#
# BOOT_ROLE      shop, load-master or load-worker
# BOOT_SETTINGS  the service's environment, a NAME=value in each line; no secret is among it
# BOOT_ROOT      what comes before every path, in tests
set -euo pipefail

root=${BOOT_ROOT:-}
place=$(cd "$(dirname "$0")/../../.." && pwd)
metadata=http://169.254.169.254/latest
certificates=https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem

say() { echo "boot: $*" >&2; }

again() { # COMMAND...: a network that has just come up may need a moment
  for try in 1 2 3 4 5; do
    "$@" && return
    sleep "$try"
  done
  say "failed: $1; see above"
  return 1
}

about() { # a path of the instance's metadata
  again curl --silent --show-error --fail --max-time 5 \
    --header "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/$1"
}

say "installing Python for $BOOT_ROLE"
again dnf install --quiet --assumeyes python3.11

python3.11 -m venv "$place/venv"
again "$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --require-hashes --only-binary :all: --requirement "$place/requirements.lock"

id chaos > /dev/null 2>&1 || useradd --system --home-dir /var/lib/chaos --create-home chaos
mkdir -p "$place/runs"
chown chaos "$place/runs"

token=$(again curl --silent --show-error --fail --max-time 5 --request PUT \
  --header "X-aws-ec2-metadata-token-ttl-seconds: 300" "$metadata/api/token")
folder=$root/etc/chaos-shop
mkdir -p "$folder" "$root/etc/systemd/system"
# Aurora is spoken to over TLS, and has to be Aurora.
again curl --silent --show-error --fail --max-time 30 --output "$folder/aurora.pem" "$certificates"

{
  echo "$BOOT_SETTINGS"
  echo "AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION"
  echo "AWS_REGION=$AWS_DEFAULT_REGION"
  echo "BOOT_ROLE=$BOOT_ROLE"
  echo "INSTANCE_ID=$(about instance-id)"
  echo "AZ=$(about placement/availability-zone)"
  echo "PRIVATE_IP=$(about local-ipv4)"
  echo "PGSSLMODE=verify-full"
  echo "PGSSLROOTCERT=$folder/aurora.pem"
} > "$folder/environment"

ln --symbolic --force --no-dereference "$place" "$root/opt/chaos-shop/current"
case $BOOT_ROLE in
  shop) services=(chaos-shop.service) ;;
  load-master) services=(chaos-load.service chaos-evidence.service chaos-evidence.timer) ;;
  load-worker) services=(chaos-load.service) ;;
  *) say "BOOT_ROLE=$BOOT_ROLE: choose one of shop, load-master, load-worker"; exit 64 ;;
esac
for service in "${services[@]}"; do
  cp "$place/infra/aws/boot/$service" "$root/etc/systemd/system/"
done
systemctl daemon-reload
systemctl enable --now "${services[-1]}"
[ "$BOOT_ROLE" != load-master ] || systemctl enable --now chaos-load.service
say "started ${services[*]}"
