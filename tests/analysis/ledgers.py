"""Writes the ledgers of a big run quickly: shoppers who browse, and now and then order.

And what a killed process leaves beside one.
"""

import random
from pathlib import Path

from analysis.evidence.ledger.line_records import LedgerClosed, LedgerOpened
from analysis.evidence.ledger.tail import SIZE, head_of, start_of_machine, tail_of

START = 1_795_435_200_000_000
IN_FLIGHT = 20  # attempts that are open at any moment
ORDERS_IN = 7  # one request in so many is an order
_BLOCK = 10_000
_ENDS = (
    '"acknowledged",201,"",{order},"i-0a1b2c3d",120',
    '"indeterminate",502,"",null,"",null',
    '"indeterminate",null,"timeout",null,"",null',
    '"rejected",409,"",null,"i-0a1b2c3d",40',
)


def write_ledger(
    path: Path,
    *,
    requests: int,
    seed: int = 1,
    orders_in: int = ORDERS_IN,
    is_killed: bool = False,
    order_ends: bool = True,
) -> int:
    """Write a ledger of so many requests, orders among them, and return its lines.

    A killed process leaves its last attempts open and half a line; without `order_ends` no
    attempt ends at all.
    """
    rng = random.Random(seed)
    written = 1
    with path.open("wb") as file:
        file.write(LedgerOpened(process_id=path.stem, at=START).to_line())
        open_attempts: list[tuple[str, int]] = []
        for block in range(0, requests, _BLOCK):
            lines: list[str] = []
            for number in range(block, min(block + _BLOCK, requests)):
                at = START + number * 997
                if number % orders_in:
                    lines.append(_browse(number, at))
                    continue
                lines.append(_sent(rng, number, at, open_attempts))
                if order_ends and len(open_attempts) > IN_FLIGHT:
                    lines.append(_ended(rng, at, open_attempts))
            written += len(lines)
            file.write("".join(lines).encode("ascii"))
        if is_killed:
            file.write(b'["sent","half a li')
            return written + 1
        rest = [_ended(rng, START, open_attempts) for _ in range(len(open_attempts) * order_ends)]
        file.write("".join(rest).encode("ascii"))
        file.write(LedgerClosed(at=START + requests * 997).to_line())
        return written + len(rest) + 1


def leave_tail(ledger: Path, text: bytes = b"", *, start: bytes | None = None) -> None:
    """Write the tail that a killed process leaves beside its ledger, by default of this machine."""
    head = head_of(offset=ledger.stat().st_size, start=start or start_of_machine())
    tail_of(ledger).write_bytes((head + text).ljust(SIZE, b"\0"))


def _browse(number: int, at: int) -> str:
    return (
        f'["request","u{number % 50}","/products","GET",null,{at - 9_000},{at},200,"",2173,'
        f'"i-0a1b2c3d"]\n'
    )


def _sent(rng: random.Random, number: int, at: int, open_attempts: list[tuple[str, int]]) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    name = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    open_attempts.append((name, number))
    return (
        f'["sent","{name}","{name[::-1]}",1,"u{number % 50}",{number % 10 + 1},{number % 3 + 1},'
        f'{at - 50},{at},"Root=1-{digits[:8]}-{digits[8:]}",""]\n'
    )


def _ended(rng: random.Random, at: int, open_attempts: list[tuple[str, int]]) -> str:
    name, number = open_attempts.pop(rng.randrange(len(open_attempts)))
    end = _ENDS[0 if rng.random() < 0.95 else rng.randrange(len(_ENDS))].format(order=number)
    return f'["ended","{name}",{at + 12_000},{end}]\n'
