# Alarms on what customers see, and a dashboard. With stops_on_alarms they abort the experiment.

locals {
  alb_dimensions   = { LoadBalancer = aws_lb.main.arn_suffix }
  group_dimensions = merge(local.alb_dimensions, { TargetGroup = aws_lb_target_group.shop.arn_suffix })

  alarms = {
    alb-5xx = {
      about      = "The load balancer itself answered 502, 503 or 504"
      metric     = "HTTPCode_ELB_5XX_Count"
      statistic  = "Sum"
      above      = 50
      dimensions = local.alb_dimensions
    }
    servers-5xx = {
      about      = "Servers answered 5XX"
      metric     = "HTTPCode_Target_5XX_Count"
      statistic  = "Sum"
      above      = 50
      dimensions = local.alb_dimensions
    }
    # One is what the experiment makes; two are more than it was meant to.
    unhealthy-servers = {
      about      = "More than one server fails its health check"
      metric     = "UnHealthyHostCount"
      statistic  = "Maximum"
      above      = 1
      dimensions = local.group_dimensions
    }
  }
  alarm_arns = [for alarm in aws_cloudwatch_metric_alarm.customers : alarm.arn]
}

resource "aws_cloudwatch_metric_alarm" "customers" {
  #checkov:skip=CKV_AWS_319:Nobody is woken by a lab; FIS reads their states, and so does the dashboard
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.about} (more than ${each.value.above} in a minute)"
  namespace           = "AWS/ApplicationELB"
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  # No requests, no data: an ALB counts nothing as nothing at all.
  treat_missing_data = "notBreaching"
}

locals {
  alb_suffix   = aws_lb.main.arn_suffix
  group_suffix = aws_lb_target_group.shop.arn_suffix

  widgets = {
    "Answers" = [
      ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", local.alb_suffix],
      [".", "HTTPCode_ELB_5XX_Count", ".", "."],
      [".", "HTTPCode_Target_5XX_Count", ".", "."],
      [".", "TargetConnectionErrorCount", ".", "."],
    ]
    "Healthy servers" = [
      ["AWS/ApplicationELB", "HealthyHostCount", "LoadBalancer", local.alb_suffix, "TargetGroup", local.group_suffix],
      [".", "UnHealthyHostCount", ".", ".", ".", "."],
    ]
    "Time of the servers" = [
      ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", local.alb_suffix],
    ]
    "Aurora" = [
      ["AWS/RDS", "ServerlessDatabaseCapacity", "DBClusterIdentifier", aws_rds_cluster.main.cluster_identifier],
      [".", "DatabaseConnections", ".", "."],
      [".", "CommitLatency", ".", "."],
    ]
  }
  titles = keys(local.widgets)
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [for index, title in local.titles : {
      type   = "metric"
      x      = index % 2 * 12
      y      = floor(index / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = title
        region  = var.region
        view    = "timeSeries"
        period  = 60
        stat    = title == "Answers" ? "Sum" : "Average"
        metrics = local.widgets[title]
      }
    }]
  })
}
