"""Whether a request has the form that AWS's own model of the API gives it.

boto3 has this model too, and checks types and what is required; lengths, patterns and enums are
left to the service. Messages are worded as AWS's services word them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import Shape

from infra.lab.fis.errors import InvalidRequest

_PYTHON = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "structure": dict,
    "map": dict,
    "list": list,
}


def check_shape(shape: Shape, value: Mapping[str, Any]) -> None:
    """Nothing, if `value` is as `shape` says.

    Raises:
        InvalidRequest: naming all that is wrong.

    """
    wrong = list(_faults(shape, dict(value), ""))
    if wrong:
        plural = "s" if len(wrong) > 1 else ""
        raise InvalidRequest(f"{len(wrong)} validation error{plural} detected: {'; '.join(wrong)}")


def _faults(shape: Any, value: Any, at: str) -> Iterator[str]:
    kind: Any = _PYTHON.get(shape.type_name)
    if kind is None:
        return
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        yield _fault(value, at, f"Member must be a {shape.type_name}")
        return
    yield from _own_faults(shape, value, at)
    for part, each, where in _parts(shape, value, at):
        if each is None:
            yield _fault(None, where, "Member must not be null")
        else:
            yield from _faults(part, each, where)


def _parts(shape: Any, value: Any, at: str) -> Iterator[tuple[Any, Any, str]]:
    """Shape, value and place of each part; None as the value of one that is missing."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if name in shape.required_members or value.get(name) is not None:
                yield member, value.get(name), _under(at, name)
    elif shape.type_name == "map":
        for key, each in value.items():
            yield shape.key, key, at
            yield shape.value, each, _under(at, f"{key}.member")
    elif shape.type_name == "list":
        for number, each in enumerate(value, start=1):
            yield shape.member, each, _under(at, f"{number}.member")


def _own_faults(shape: Any, value: Any, at: str) -> Iterator[str]:
    metadata = shape.metadata
    size, what = (value, "value") if isinstance(value, int) else (len(value), "length")
    if size > metadata.get("max", size):
        rule = f"Member must have {what} less than or equal to {metadata['max']}"
        yield _fault(value, at, rule)
    if size < metadata.get("min", size):
        rule = f"Member must have {what} greater than or equal to {metadata['min']}"
        yield _fault(value, at, rule)
    if not isinstance(value, str):
        return
    if metadata.get("enum") and value not in metadata["enum"]:
        rule = f"Member must satisfy enum value set: [{', '.join(metadata['enum'])}]"
        yield _fault(value, at, rule)
    pattern = metadata.get("pattern", "")
    # AWS's own examples match its patterns somewhere, not as a whole. Python knows no \p{L}.
    if pattern and r"\p" not in pattern and not re.search(pattern, value):
        yield _fault(value, at, f"Member must satisfy regular expression pattern: {pattern}")


def _under(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _fault(value: Any, at: str, rule: str) -> str:
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{at}' failed to satisfy constraint: {rule}"
