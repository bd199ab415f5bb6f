resource "aws_db_subnet_group" "main" {
  name       = "${var.name}-aurora"
  subnet_ids = aws_subnet.private[*].id
}

resource "aws_rds_cluster_parameter_group" "main" {
  name        = "${var.name}-aurora"
  family      = "aurora-postgresql${split(".", var.aurora_version)[0]}"
  description = "TLS for everybody; when each row was committed"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # `committed_at` of orders.csv: an order that was committed after its customer gave up is a fact.
  parameter {
    name         = "track_commit_timestamp"
    value        = "1"
    apply_method = "pending-reboot"
  }
}

resource "aws_rds_cluster" "main" {
  #checkov:skip=CKV_AWS_139:A lab that cannot be taken down goes on costing money
  #checkov:skip=CKV_AWS_313:The snapshots it would copy tags to are not made
  #checkov:skip=CKV_AWS_327:Encrypted with the account's own key for RDS: a key of the lab's is 1 USD a month and protects nothing more
  #checkov:skip=CKV2_AWS_8:Orders of a load test need no backup plan
  #checkov:skip=CKV2_AWS_27:Statements in the log would cost time where time is measured; the shop logs its requests
  #checkov:skip=CKV_AWS_324:Statements in the log would cost time where time is measured
  #checkov:skip=CKV_AWS_162:The shop logs in with a password, which is in Secrets Manager alone
  cluster_identifier              = "${var.name}-aurora"
  engine                          = "aurora-postgresql"
  engine_version                  = var.aurora_version
  database_name                   = "shop"
  master_username                 = "shop"
  manage_master_user_password     = true
  db_subnet_group_name            = aws_db_subnet_group.main.name
  db_cluster_parameter_group_name = aws_rds_cluster_parameter_group.main.name
  vpc_security_group_ids          = [aws_security_group.database.id]
  storage_encrypted               = true
  enable_http_endpoint            = true
  backup_retention_period         = 1
  copy_tags_to_snapshot           = true
  skip_final_snapshot             = true

  serverlessv2_scaling_configuration {
    min_capacity = var.aurora_capacity.min
    max_capacity = var.aurora_capacity.max
  }
}

resource "aws_rds_cluster_instance" "writer" {
  #checkov:skip=CKV_AWS_118:Enhanced monitoring bills extra; CloudWatch's own figures are in the dashboard
  #checkov:skip=CKV_AWS_353:Performance Insights bills extra, and takes of an ACU what is to be measured
  #checkov:skip=CKV_AWS_354:Performance Insights is off
  identifier                 = "${var.name}-aurora-1"
  cluster_identifier         = aws_rds_cluster.main.id
  engine                     = aws_rds_cluster.main.engine
  instance_class             = "db.serverless"
  publicly_accessible        = false
  auto_minor_version_upgrade = true
}

locals {
  # Made by RDS, which keeps the password to itself: neither Terraform nor its state ever has it.
  secret_arn = aws_rds_cluster.main.master_user_secret[0].secret_arn
}
