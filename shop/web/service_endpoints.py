"""GET /, /health, /health/deep, /metrics and /openapi.json: who is answering, and how it does."""

import time
from dataclasses import dataclass

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from shop.errors import DatabaseUnavailableError
from shop.observation import metrics
from shop.web import current, description

blueprint = Blueprint("service", __name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    read_only: str


@blueprint.get("/")
def show_service() -> ResponseReturnValue:
    """Which server this is: service, instance_id, availability_zone, private_ip, status."""
    settings = current.settings()
    return jsonify(
        service="chaos-shop",
        instance_id=settings.instance_id,
        availability_zone=settings.availability_zone,
        private_ip=settings.private_ip,
        status="running",
    )


@blueprint.get("/health")
def show_health() -> ResponseReturnValue:
    """For the load balancer: 200 with no dependency, so that a database can fail alone."""
    return jsonify(status="healthy")


@blueprint.get("/health/deep")
def show_deep_health() -> ResponseReturnValue:
    """For people: 200 if an order could be written now, else 503. `latency_ms` is measured."""
    started = time.perf_counter()
    # Asked instead of SELECT 1, which a server that may no longer write answers as well.
    query = "SELECT current_setting('transaction_read_only') AS read_only"
    try:
        is_read_only = current.database().read(_Session, query)[0].read_only == "on"
        state = "read-only" if is_read_only else "connected"
    except DatabaseUnavailableError:
        state = "error"
    latency_ms = round((time.perf_counter() - started) * 1000, 2)
    if state == "connected":
        return jsonify(status="healthy", database=state, latency_ms=latency_ms)
    error = "the database is read-only" if state == "read-only" else "the database did not answer"
    return jsonify(status="unhealthy", database=state, latency_ms=latency_ms, error=error), 503


@blueprint.get("/metrics")
def show_metrics() -> ResponseReturnValue:
    """For Prometheus: see `shop.observation.metrics` for whom they speak."""
    return Response(metrics.render(), content_type=metrics.CONTENT_TYPE)


@blueprint.get("/openapi.json")
def show_description() -> ResponseReturnValue:
    """The description of these endpoints, as OpenAPI 3.1."""
    return jsonify(description.DESCRIPTION)
