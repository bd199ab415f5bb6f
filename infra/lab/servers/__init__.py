"""The EC2 instances: one machine's life, the Auto Scaling group, addresses and silence.

Imports `processes`, target health (`balancer`) and moto's records (`cloud.moto_server`).
"""
