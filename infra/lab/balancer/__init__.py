"""Envoy, set up to answer as an ALB does: configuration, health checks, access log.

Imports of the lab `processes`, its settings, and where a machine is (`servers.machine`).
"""
