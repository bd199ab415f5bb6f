"""The article's architecture on one machine, made of real parts.

Envoy stands for the ALB, gunicorn process groups for the EC2 instances, PostgreSQL for
Aurora, and moto's server, made live, for the control plane that boto3 talks to.
"""
