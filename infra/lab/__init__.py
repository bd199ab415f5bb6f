"""The article's architecture on one machine, made of real parts.

Envoy stands for the ALB (`balancer`), gunicorn process groups for the EC2 instances (`servers`),
PostgreSQL for Aurora (`database`), and moto's server, made live, for the control plane that boto3
talks to (`cloud`, `fis`). `supervision` raises them, in `processes`. Imports nothing else of ours
but `infra.near_miss` and `infra.proxies`.
"""
