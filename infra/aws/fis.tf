resource "aws_fis_experiment_template" "stop_one_server" {
  description = "Stop one server of the shop (${var.name})"
  role_arn    = aws_iam_role.fis.arn

  action {
    name      = "stop-server"
    action_id = "aws:ec2:stop-instances"

    target {
      key   = "Instances"
      value = "one-server"
    }
  }

  target {
    name           = "one-server"
    resource_type  = "aws:ec2:instance"
    selection_mode = "COUNT(1)"

    dynamic "resource_tag" {
      for_each = local.target_tags

      content {
        key   = resource_tag.key
        value = resource_tag.value
      }
    }

    # A terminated instance keeps its tags for about an hour.
    filter {
      path   = "State.Name"
      values = ["running"]
    }
  }

  dynamic "stop_condition" {
    for_each = var.stops_on_alarms ? local.alarm_arns : []

    content {
      source = "aws:cloudwatch:alarm"
      value  = stop_condition.value
    }
  }

  dynamic "stop_condition" {
    for_each = var.stops_on_alarms ? [] : ["none"]

    content {
      source = stop_condition.value
    }
  }

  experiment_options {
    account_targeting            = "single-account"
    empty_target_resolution_mode = "fail"
  }

  log_configuration {
    log_schema_version = 2

    cloudwatch_logs_configuration {
      log_group_arn = "${aws_cloudwatch_log_group.fis.arn}:*"
    }
  }

  tags       = { Name = "stop-one-server" }
  depends_on = [aws_iam_role_policy.fis]
}

resource "aws_iam_role" "fis" {
  name        = "${var.name}-fis"
  description = "FIS, while it stops one server of ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "fis.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:aws:fis:${var.region}:${local.account_id}:experiment/*" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "fis" {
  #checkov:skip=CKV_AWS_290:FIS sets up the delivery of its log by itself, and AWS offers no narrower resource for that
  #checkov:skip=CKV_AWS_355:AWS offers no narrower resource for describing and for log delivery
  name = "stop-one-server"
  role = aws_iam_role.fis.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "StopTargets"
        Effect   = "Allow"
        Action   = ["ec2:StopInstances"]
        Resource = ["arn:aws:ec2:${var.region}:${local.account_id}:instance/*"]
        Condition = {
          StringEquals = { for key, value in local.target_tags : "ec2:ResourceTag/${key}" => value }
        }
      },
      {
        Sid      = "FindTargets"
        Effect   = "Allow"
        Action   = ["ec2:DescribeInstances"]
        Resource = "*"
      },
      {
        # https://docs.aws.amazon.com/fis/latest/userguide/monitoring-logging.html
        Sid    = "DeliverLog"
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery",
          "logs:DescribeLogGroups",
          "logs:DescribeResourcePolicies",
          "logs:PutResourcePolicy",
        ]
        Resource = "*"
      },
    ]
  })
}
