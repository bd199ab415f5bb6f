# Logs, and the buckets. Account and Region in a bucket's name make it nobody else's. None is
# emptied by Terraform: `make aws-down` says how.

locals {
  access_log_bucket = "${var.name}-access-log-${local.account_id}-${var.region}"
  access_log_prefix = "alb"
}

resource "aws_cloudwatch_log_group" "fis" {
  #checkov:skip=CKV_AWS_158:Encrypted with CloudWatch's own key: names of instances and times are no secret
  #checkov:skip=CKV_AWS_338:Kept as long as the rest of the lab's logs
  name              = "/aws/fis/${var.name}"
  retention_in_days = var.log_days
}

module "shop_bucket" {
  source = "./bucket"
  name   = "${var.name}-shop-${local.account_id}-${var.region}"
  days   = null
}

module "access_log" {
  source = "./bucket"
  name   = local.access_log_bucket
  days   = var.log_days

  # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
  statements = [{
    Sid       = "WriteAccessLog"
    Effect    = "Allow"
    Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
    Action    = "s3:PutObject"
    Resource  = "arn:aws:s3:::${local.access_log_bucket}/${local.access_log_prefix}/AWSLogs/${local.account_id}/*"
  }]
}

module "evidence" {
  source = "./bucket"
  count  = var.fleet_workers > 0 ? 1 : 0
  name   = "${var.name}-evidence-${local.account_id}-${var.region}"
  days   = var.log_days
}

# What the servers and the fleet run, as `python -m infra.aws pack` packed it.
resource "aws_s3_object" "shop" {
  bucket = module.shop_bucket.name
  key    = "shop-${filesha256(var.shop_archive)}.tar.gz"
  source = var.shop_archive
}

resource "aws_s3_object" "load" {
  count  = var.fleet_workers > 0 ? 1 : 0
  bucket = module.shop_bucket.name
  key    = "load-${filesha256(local.load_archive)}.tar.gz"
  source = local.load_archive
}

locals {
  load_archive = "${dirname(var.shop_archive)}/load.tar.gz"
}
