# Load from many machines, beside the lab. Its instances carry no target tag: FIS cannot stop them.

module "fleet" {
  source = "./fleet"
  count  = var.fleet_workers > 0 ? 1 : 0

  name          = "${var.name}-fleet"
  project       = var.name
  workers       = var.fleet_workers
  instance_type = var.fleet_instance_type
  image_id      = data.aws_ssm_parameter.image.insecure_value
  vpc_id        = aws_vpc.main.id
  subnet_ids    = aws_subnet.private[*].id
  region        = var.region

  archive = {
    bucket = aws_s3_object.load[0].bucket
    key    = aws_s3_object.load[0].key
    sha256 = filesha256(local.load_archive)
  }

  evidence = {
    bucket = module.evidence[0].name
    arn    = module.evidence[0].arn
  }

  database = {
    endpoint          = aws_rds_cluster.main.endpoint
    port              = aws_rds_cluster.main.port
    name              = aws_rds_cluster.main.database_name
    secret_arn        = local.secret_arn
    security_group_id = aws_security_group.database.id
  }

  host            = "http://${aws_lb.main.dns_name}"
  fis_template_id = aws_fis_experiment_template.stop_one_server.id
  run_policy_arn  = aws_iam_policy.run.arn
  depends_on      = [aws_route.through_nat]
}

resource "aws_vpc_security_group_ingress_rule" "database_from_fleet" {
  count                        = var.fleet_workers > 0 ? 1 : 0
  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL from the load fleet's master"
  referenced_security_group_id = module.fleet[0].master_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}
