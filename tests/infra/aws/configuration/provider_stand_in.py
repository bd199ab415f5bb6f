"""A stand-in for the AWS provider, so that Terraform itself plans and applies infra/aws offline.

It has the provider's schema and none of its knowledge: it takes what the schema allows, and makes
up what AWS would say (ids, ARNs, addresses). Terraform speaks to it in plugin protocol 6, which is
gRPC with values in MessagePack. A value that is not known yet is MessagePack's extension 0.
"""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgpack

from tests.infra.aws.configuration.protocol_buffers import decode, encode
from tests.infra.aws.configuration.provider_schema import Block

ACCOUNT, REGION = "123456789012", "us-east-1"
UNKNOWN = msgpack.ExtType(0, b"\0")
_NESTING = {"single": 1, "list": 2, "set": 3}

# What AWS would say where a made-up text will not do.
_SAID: dict[tuple[str, str], Any] = {
    ("aws_caller_identity", "account_id"): ACCOUNT,
    ("aws_availability_zones", "names"): [f"{REGION}{letter}" for letter in "abc"],
    ("aws_ssm_parameter", "insecure_value"): "ami-0123456789abcdef0",
    ("aws_lb", "dns_name"): f"chaos-lab-alb-1234567890.{REGION}.elb.amazonaws.com",
    ("aws_lb", "arn_suffix"): "app/chaos-lab-alb/0123456789abcdef",
    ("aws_lb_target_group", "arn_suffix"): "targetgroup/chaos-lab-tg/0123456789abcdef",
    ("aws_rds_cluster", "endpoint"): f"chaos-lab-aurora.cluster-abc.{REGION}.rds.amazonaws.com",
    ("aws_rds_cluster", "port"): 5432,
    ("aws_eip", "public_ip"): "198.51.100.7",
    ("aws_instance", "private_ip"): "10.0.10.7",
}


def _pack(value: Any) -> bytes:
    return encode((1, msgpack.packb(value)))


def _unpack(dynamic: bytes) -> Any:
    return msgpack.unpackb(decode(dynamic)[1])


def _schema(block: Block) -> bytes:
    return encode((1, 0), (2, _block(block)))


def _block(block: Block) -> bytes:
    attributes = [
        encode(
            (1, name),
            (2, json.dumps(kind)),
            *((number, True) for number, word in _USES.items() if word in use.split()),
        )
        for name, (kind, use) in block["attributes"].items()
    ]
    blocks = [
        encode(
            (1, name),
            (2, _block(inner)),
            (3, _NESTING[inner["nesting"]]),
            (4, inner["min"]),
            (5, inner["max"]),
        )
        for name, inner in block["blocks"].items()
    ]
    return encode(*((2, each) for each in attributes), *((3, each) for each in blocks))


_USES = {4: "required", 5: "optional", 6: "computed"}


def _each_block(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        yield from value


class StandIn:
    """The provider. `schema` is provider_schema.json's content."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._made = 0
        self._lock = threading.Lock()
        self._default_tags: dict[str, str] = {}
        self.answers: dict[str, Callable[[dict[int, bytes]], bytes]] = {
            "GetProviderSchema": self._describe,
            "ValidateProviderConfig": lambda _: b"",
            "ValidateResourceConfig": lambda _: b"",
            "ValidateDataResourceConfig": lambda _: b"",
            "ConfigureProvider": self._configure,
            "UpgradeResourceState": self._upgrade,
            "ReadResource": lambda asked: encode((1, asked[2])),
            "PlanResourceChange": self._plan,
            "ApplyResourceChange": self._apply,
            "ReadDataSource": self._read,
            "StopProvider": lambda _: b"",
        }

    def _describe(self, _: dict[int, bytes]) -> bytes:
        def entries(number: int, kind: str) -> list[tuple[int, bytes]]:
            return [
                (number, encode((1, name), (2, _schema(block))))
                for name, block in self._schema[kind].items()
            ]

        provider = (1, _schema(self._schema["configuration"]))
        return encode(provider, *entries(2, "resource"), *entries(3, "data"))

    def _configure(self, asked: dict[int, bytes]) -> bytes:
        (tags,) = _unpack(asked[2])["default_tags"]
        self._default_tags = tags["tags"]
        return b""

    def _upgrade(self, asked: dict[int, bytes]) -> bytes:
        return encode((1, encode((2, decode(asked[3])[1]))))

    def _plan(self, asked: dict[int, bytes]) -> bytes:
        name, proposed = asked[1].decode(), _unpack(asked[3])
        if proposed is not None:
            self._mark(self._schema["resource"][name], proposed)
        return encode((1, _pack(proposed)))

    def _mark(self, block: Block, value: dict[str, Any]) -> None:
        """Note what AWS will say: computed and not told."""
        for name, (_, use) in block["attributes"].items():
            if "computed" in use and value[name] is None:
                value[name] = UNKNOWN
        for name, inner in block["blocks"].items():
            for each in _each_block(value[name]):
                self._mark(inner, each)

    def _apply(self, asked: dict[int, bytes]) -> bytes:
        name, planned = asked[1].decode(), _unpack(asked[3])
        if planned is not None:
            self._fill(name, self._schema["resource"][name], planned)
        return encode((1, _pack(planned)))

    def _read(self, asked: dict[int, bytes]) -> bytes:
        name, told = asked[1].decode(), _unpack(asked[2])
        block = self._schema["data"][name]
        self._mark(block, told)
        self._fill(name, block, told)
        return encode((1, _pack(told)))

    def _fill(self, resource: str, block: Block, value: dict[str, Any]) -> None:
        for name, (kind, _) in block["attributes"].items():
            if name == "tags_all":
                value[name] = {**self._default_tags, **(value.get("tags") or {})}
            elif isinstance(value[name], msgpack.ExtType):
                value[name] = _SAID.get((resource, name)) or self._made_up(resource, name, kind)
        for name, inner in block["blocks"].items():
            for each in _each_block(value[name]):
                self._fill(resource, inner, each)

    def _made_up(self, resource: str, name: str, kind: Any) -> Any:
        if kind == "string":
            return self._text(resource, name)
        if isinstance(kind, str):
            return 1 if kind == "number" else False
        if kind[0] == "list" and isinstance(kind[1], list):
            return [self._made_up(resource, name, kind[1])]
        if kind[0] == "object":
            return {each: self._made_up(resource, each, of) for each, of in kind[1].items()}
        return {} if kind[0] == "map" else []

    def _text(self, resource: str, name: str) -> str:
        with self._lock:
            self._made += 1
        noun = resource.removeprefix("aws_").replace("_", "-")
        if name.endswith("arn"):
            return f"arn:aws:{noun}:{REGION}:{ACCOUNT}:{name}/{self._made:08x}"
        return f"{noun}-{self._made:08x}" if name == "id" else f"{name}-{self._made:x}"


class _Service(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc is not typed
    def __init__(self, provider: StandIn) -> None:
        self._provider = provider

    def service(self, details: Any) -> Any:
        answer = self._provider.answers.get(details.method.rpartition("/")[2])
        if answer is None or not details.method.startswith("/tfplugin6.Provider/"):
            return None
        return grpc.unary_unary_rpc_method_handler(lambda asked, _: answer(decode(asked)))


@contextmanager
def standing_in(schema: dict[str, Any], folder: Path) -> Iterator[str]:
    """Listen in `folder`; what is yielded is what TF_REATTACH_PROVIDERS has to be."""
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((_Service(StandIn(schema)),))
    place = folder / "aws.sock"
    server.add_insecure_port(f"unix:{place}")
    server.start()
    try:
        yield json.dumps(
            {
                "registry.terraform.io/hashicorp/aws": {
                    "Protocol": "grpc",
                    "ProtocolVersion": 6,
                    "Pid": 1,
                    "Test": True,
                    "Addr": {"Network": "unix", "String": str(place)},
                }
            }
        )
    finally:
        server.stop(None).wait()
