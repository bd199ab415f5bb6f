"""Envoy's configuration, such that its clients see what an ALB's clients see.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
says when an ALB answers 502, 503 and 504; the mappers below turn Envoy's own answers into
those. What Envoy passes on from a server is left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.lab.settings import LabSettings

CLUSTER = "shop"
_TYPE = "type.googleapis.com/envoy."

# What the access log's lines are made from (see infra.lab.balancer.access_log).
ACCESS_LOG_FIELDS = {
    "started": "%START_TIME(%s.%6f)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "target": "%UPSTREAM_HOST%",
    "to_dispatch_us": "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%",
    "to_reply_us": "%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)%",
    "total_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "duration_ms": "%DURATION%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "protocol": "%PROTOCOL%",
    "user_agent": "%REQ(USER-AGENT)%",
    "trace_id": "%REQ(X-AMZN-TRACE-ID)%",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyFiles:
    """The files through which we and Envoy talk."""

    bootstrap: Path
    endpoints: Path
    access_log: Path


def _typed(name: str, **fields: Any) -> dict[str, Any]:
    return {"@type": _TYPE + name, **fields}


def _seconds(value: float) -> str:
    return f"{value:g}s"


def _page(status: int, reason: str) -> dict[str, Any]:
    title = f"{status} {reason}"
    html = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return {
        "status_code": status,
        "body_format_override": {
            "text_format_source": {"inline_string": html},
            "content_type": "text/html",
        },
    }


def _flags(*names: str) -> dict[str, Any]:
    return {"response_flag_filter": {"flags": list(names)}}


def _reply_mappers() -> list[dict[str, Any]]:
    """The first that fits decides."""
    says_timeout = {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": _typed(
            "extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            expression="response.code_details.contains('connection_timeout')",
        ),
    }
    connect_timed_out = {
        "and_filter": {"filters": [_flags("UF"), {"extension_filter": says_timeout}]}
    }
    return [
        # No connection to the target within the connection timeout, or no answer in time.
        {"filter": connect_timed_out, **_page(504, "Gateway Time-out")},
        {"filter": _flags("UT", "SI"), **_page(504, "Gateway Time-out")},
        # Refused or reset by the target, closed with a request outstanding, or a malformed answer.
        {"filter": _flags("UF", "UC", "UR", "UPE"), **_page(502, "Bad Gateway")},
        # No target at all.
        {"filter": _flags("UH", "UO", "NC"), **_page(503, "Service Temporarily Unavailable")},
    ]


def _access_log(path: Path) -> dict[str, Any]:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": _typed(
            "extensions.access_loggers.file.v3.FileAccessLog",
            path=str(path),
            log_format={"json_format": ACCESS_LOG_FIELDS},
        ),
    }


def _http_connection_manager(settings: LabSettings, access_log: Path) -> dict[str, Any]:
    to_the_shop = {"cluster": CLUSTER, "timeout": _seconds(settings.idle_timeout_s)}
    all_hosts = {
        "name": "shop",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": to_the_shop}],
    }
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": _typed(
            "extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
        ),
    }
    return _typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="alb",
        codec_type="HTTP1",
        http_protocol_options={"accept_http_10": True},
        use_remote_address=True,
        # The shop stores the attempt's id that comes in this header: it must pass unchanged.
        generate_request_id=False,
        preserve_external_request_id=True,
        # An ALB names itself only in the answers that it makes itself.
        server_name="awselb/2.0",
        server_header_transformation="APPEND_IF_ABSENT",
        common_http_protocol_options={"idle_timeout": _seconds(settings.idle_timeout_s)},
        stream_idle_timeout=_seconds(settings.idle_timeout_s),
        local_reply_config={"mappers": _reply_mappers()},
        access_log=[_access_log(access_log)],
        route_config={"name": "all", "virtual_hosts": [all_hosts]},
        http_filters=[router],
    )


def _listener(settings: LabSettings, files: EnvoyFiles, port: int) -> dict[str, Any]:
    """Where clients come in."""
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": _http_connection_manager(settings, files.access_log),
    }
    return {
        "name": "http",
        "address": _address("127.0.0.1", port),
        # Else two labs could share a port, and each other's customers.
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [manager]}],
    }


def _cluster(settings: LabSettings, files: EnvoyFiles) -> dict[str, Any]:
    """The targets, which it reads from a file, and how it connects to them."""
    watched = {
        "path": str(files.endpoints),
        "watched_directory": {"path": str(files.endpoints.parent)},
    }
    # Enough for any load one machine makes: an ALB has no such limits.
    unlimited = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), 100_000)
    return {
        "name": CLUSTER,
        "type": "EDS",
        "lb_policy": "ROUND_ROBIN",
        "connect_timeout": _seconds(settings.target_connect_timeout_s),
        "eds_cluster_config": {"eds_config": {"path_config_source": watched}},
        # An ALB does not hand a half-made connection of a client that has gone to the
        # next one, who would then be told of its failure long before its own limit.
        "connection_pool_per_downstream_connection": True,
        # Below one per cent healthy is none healthy: an ALB then fails open.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1.0}},
        "circuit_breakers": {"thresholds": [unlimited]},
    }


def bootstrap(
    *, settings: LabSettings, files: EnvoyFiles, port: int, admin_port: int
) -> dict[str, Any]:
    """The whole configuration, to be written as JSON."""
    return {
        "node": {"id": "alb", "cluster": "chaos-shop"},
        "admin": {"address": _address("127.0.0.1", admin_port)},
        "static_resources": {
            "listeners": [_listener(settings, files, port)],
            "clusters": [_cluster(settings, files)],
        },
    }


def endpoints(targets: Mapping[tuple[str, int], bool]) -> dict[str, Any]:
    """What the watched file holds: each target's address and port, and whether it is healthy."""
    known = [
        {
            "endpoint": {"address": _address(*target)},
            "health_status": "HEALTHY" if is_healthy else "UNHEALTHY",
        }
        for target, is_healthy in sorted(targets.items())
    ]
    assignment = _typed(
        "config.endpoint.v3.ClusterLoadAssignment",
        cluster_name=CLUSTER,
        endpoints=[{"lb_endpoints": known}],
    )
    return {"resources": [assignment]}


def _address(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}
