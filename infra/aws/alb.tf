resource "aws_lb" "main" {
  #checkov:skip=CKV_AWS_150:A lab that cannot be taken down goes on costing money
  #checkov:skip=CKV2_AWS_28:No WAF: it would answer in the shop's place, and only allowed addresses reach the ALB
  #checkov:skip=CKV2_AWS_20:Plain HTTP, as in the article: a certificate needs a domain of one's own
  name                       = "${var.name}-alb"
  load_balancer_type         = "application"
  internal                   = false
  security_groups            = [aws_security_group.alb.id]
  subnets                    = aws_subnet.public[*].id
  drop_invalid_header_fields = true
  # shop/gunicorn_conf.py keeps connections for longer than this.
  idle_timeout = 60

  access_logs {
    bucket  = module.access_log.name
    prefix  = local.access_log_prefix
    enabled = true
  }
}

# The article's health check: a server that dies is noticed after 20 to 35 s.
resource "aws_lb_target_group" "shop" {
  #checkov:skip=CKV_AWS_378:Plain HTTP, as in the article, within the VPC
  name        = "${var.name}-tg"
  port        = 80
  protocol    = "HTTP"
  target_type = "instance"
  vpc_id      = aws_vpc.main.id

  health_check {
    path                = "/health"
    interval            = 10
    timeout             = 5
    unhealthy_threshold = 3
    healthy_threshold   = 2
    matcher             = "200"
  }
}

resource "aws_lb_listener" "http" {
  #checkov:skip=CKV_AWS_2:Plain HTTP, as in the article: a certificate needs a domain of one's own
  #checkov:skip=CKV_AWS_103:Plain HTTP, as in the article: a certificate needs a domain of one's own
  load_balancer_arn = aws_lb.main.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.shop.arn
  }
}
