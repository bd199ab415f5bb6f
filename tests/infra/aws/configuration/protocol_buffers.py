"""Protocol buffers, as far as Terraform's plugin protocol needs them here: fields by their number.

https://protobuf.dev/programming-guides/encoding/
"""


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def encode(*fields: tuple[int, int | bool | str | bytes]) -> bytes:
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(int(value))
        else:
            content = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(content)) + content
    return out


def decode(message: bytes) -> dict[int, bytes]:
    """The last of each field that has a length; the others are of no interest here."""
    fields, at = {}, 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = message[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            varint()
            continue
        assert key & 7 == 2, f"wire type {key & 7}"
        size = varint()
        fields[key >> 3] = message[at : at + size]
        at += size
    return fields
