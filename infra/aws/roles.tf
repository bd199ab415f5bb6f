# What the servers may do, and what a run may do. FIS's own role is in fis.tf.

locals {
  only_ec2 = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role" "server" {
  name               = "${var.name}-server"
  description        = "A server of the shop"
  assume_role_policy = local.only_ec2
}

resource "aws_iam_instance_profile" "server" {
  name = "${var.name}-server"
  role = aws_iam_role.server.name
}

# A shell without a key or an open port: `aws ssm start-session`.
resource "aws_iam_role_policy_attachment" "server_ssm" {
  role       = aws_iam_role.server.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_role_policy" "server" {
  name = "fetch-shop-and-password"
  role = aws_iam_role.server.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${module.shop_bucket.arn}/${aws_s3_object.shop.key}"]
      },
      {
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [local.secret_arn]
      },
    ]
  })
}

# What `make chaos-load TARGET=aws` asks of AWS, and nothing else: attach it to whoever runs it.
resource "aws_iam_policy" "run" {
  #checkov:skip=CKV_AWS_355:AWS offers no narrower resource for describing and listing
  name        = "${var.name}-run"
  description = "Watch the lab, start and stop its experiment, read its database and its logs"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.may_use_the_tunnel, [
      {
        Sid    = "Watch"
        Effect = "Allow"
        Action = [
          "autoscaling:DescribeAutoScalingGroups",
          "autoscaling:DescribeScalingActivities",
          "cloudwatch:DescribeAlarms",
          "ec2:DescribeInstances",
          "ec2:DescribeSubnets",
          "elasticloadbalancing:DescribeListeners",
          "elasticloadbalancing:DescribeLoadBalancerAttributes",
          "elasticloadbalancing:DescribeLoadBalancers",
          "elasticloadbalancing:DescribeRules",
          "elasticloadbalancing:DescribeTargetGroupAttributes",
          "elasticloadbalancing:DescribeTargetGroups",
          "elasticloadbalancing:DescribeTargetHealth",
          "fis:GetSafetyLever",
          "fis:ListExperiments",
          "fis:ListExperimentTemplates",
        ]
        # AWS offers no narrower resource for these.
        Resource = "*"
      },
      {
        Sid      = "Start"
        Effect   = "Allow"
        Action   = ["fis:GetExperimentTemplate", "fis:StartExperiment"]
        Resource = ["arn:aws:fis:${var.region}:${local.account_id}:experiment-template/${aws_fis_experiment_template.stop_one_server.id}"]
      },
      {
        Sid    = "Experiment"
        Effect = "Allow"
        Action = [
          "fis:GetExperiment",
          "fis:ListExperimentResolvedTargets",
          "fis:StartExperiment",
          "fis:StopExperiment",
          "fis:TagResource",
        ]
        Resource = ["arn:aws:fis:${var.region}:${local.account_id}:experiment/*"]
      },
      {
        # The first experiment of an account makes it: FIS watches alarms and tags with it.
        Sid       = "FirstExperiment"
        Effect    = "Allow"
        Action    = ["iam:CreateServiceLinkedRole"]
        Resource  = ["arn:aws:iam::${local.account_id}:role/aws-service-role/fis.amazonaws.com/AWSServiceRoleForFIS"]
        Condition = { StringEquals = { "iam:AWSServiceName" = "fis.amazonaws.com" } }
      },
      {
        Sid    = "ReadDatabase"
        Effect = "Allow"
        Action = [
          "rds-data:BeginTransaction",
          "rds-data:CommitTransaction",
          "rds-data:ExecuteStatement",
          "rds-data:RollbackTransaction",
        ]
        Resource = [aws_rds_cluster.main.arn]
      },
      {
        Sid      = "DatabasePassword"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [local.secret_arn]
      },
      {
        Sid      = "ListLogs"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [module.access_log.arn]
      },
      {
        Sid      = "ReadLogs"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${module.access_log.arn}/*"]
      },
    ])
  })
}

locals {
  may_use_the_tunnel = flatten([for tunnel in aws_instance.tunnel : [
    {
      Sid    = "OpenTunnel"
      Effect = "Allow"
      Action = ["ssm:StartSession"]
      Resource = [
        tunnel.arn,
        "arn:aws:ssm:${var.region}::document/AWS-StartPortForwardingSessionToRemoteHost",
      ]
    },
    {
      Sid      = "CloseTunnel"
      Effect   = "Allow"
      Action   = ["ssm:TerminateSession"]
      Resource = ["arn:aws:ssm:${var.region}:${local.account_id}:session/$${aws:userid}-*"]
    },
  ]])
}
