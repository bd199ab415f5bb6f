# Sourced: exports DB_USERNAME and DB_PASSWORD, fetched from Secrets Manager when a service starts.
# They are in the service's memory alone: on no disk, on no command line, in no log.

secret=$(aws secretsmanager get-secret-value --secret-id "$DB_SECRET_ARN" \
  --query SecretString --output text)
DB_USERNAME=$(printf %s "$secret" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["username"])')
DB_PASSWORD=$(printf %s "$secret" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["password"])')
unset secret
export DB_USERNAME DB_PASSWORD
