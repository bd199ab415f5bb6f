# `terraform output -json` is what `make chaos-load TARGET=aws` reads. No secret is among them.

output "region" {
  description = "Region of all of it."
  value       = var.region
}

output "account_id" {
  description = "Account of all of it."
  value       = local.account_id
}

output "aws_profile" {
  description = "Profile of the AWS CLI with which it was made, or null."
  value       = var.aws_profile
}

output "name" {
  description = "What the names begin with."
  value       = var.name
}

output "alb_dns_name" {
  description = "The shop's address."
  value       = aws_lb.main.dns_name
}

output "target_group_arn" {
  description = "The servers, as the load balancer knows them."
  value       = aws_lb_target_group.shop.arn
}

output "asg_name" {
  description = "The servers' Auto Scaling group."
  value       = aws_autoscaling_group.servers.name
}

output "fis_experiment_template_id" {
  description = "The experiment."
  value       = aws_fis_experiment_template.stop_one_server.id
}

output "fis_log_group" {
  description = "FIS's own log of its experiments."
  value       = aws_cloudwatch_log_group.fis.name
}

output "target_tags" {
  description = "What an instance has to carry for FIS to be able to stop it: all of these."
  value       = local.target_tags
}

output "alarm_names" {
  description = "The alarms, whether they stop the experiment or not."
  value       = sort([for alarm in aws_cloudwatch_metric_alarm.customers : alarm.alarm_name])
}

output "aurora_endpoint" {
  description = "The writer, from within the VPC."
  value       = aws_rds_cluster.main.endpoint
}

output "aurora_port" {
  description = "Its port."
  value       = aws_rds_cluster.main.port
}

output "aurora_cluster_arn" {
  description = "The database, as the Data API names it."
  value       = aws_rds_cluster.main.arn
}

output "database_secret_arn" {
  description = "Where user and password of the database are: not here."
  value       = local.secret_arn
}

output "database_name" {
  description = "The database within the cluster."
  value       = aws_rds_cluster.main.database_name
}

output "access_log_bucket" {
  description = "Where the load balancer's log arrives, every five minutes."
  value       = module.access_log.name
}

output "access_log_prefix" {
  description = "What its keys begin with."
  value       = local.access_log_prefix
}

output "shop_bucket" {
  description = "Where the packed shop is."
  value       = module.shop_bucket.name
}

output "shop_sha256" {
  description = "Which shop it is: the checksum of its archive."
  value       = filesha256(var.shop_archive)
}

output "tunnel_instance_id" {
  description = "Through which Systems Manager reaches the database, or null."
  value       = one(aws_instance.tunnel[*].id)
}

output "run_policy_arn" {
  description = "IAM policy with what a run needs, to attach to whoever runs it."
  value       = aws_iam_policy.run.arn
}

output "dashboard" {
  description = "CloudWatch's dashboard of it."
  value       = aws_cloudwatch_dashboard.main.dashboard_name
}

output "fleet_master_instance_id" {
  description = "The load fleet's master, whose web UI Systems Manager reaches, or null."
  value       = one(module.fleet[*].master_instance_id)
}

output "evidence_bucket" {
  description = "Where the load fleet's evidence arrives, or null."
  value       = one(module.evidence[*].name)
}
