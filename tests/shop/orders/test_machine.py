"""Any interleaving of orders, repeats and crashes keeps stock, orders and keys consistent."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from shop.web import current
from tests.examples import examples
from tests.shop.conftest import MakeShop, Wire, wait_until_cut_sessions_ended

pytestmark = pytest.mark.lab

Rows = Callable[[str], list[tuple[Any, ...]]]

PRODUCTS = (3, 4)
STOCK = 12
KEYS = st.sampled_from(["k1", "k2", "k3", "k4"])
CUTS = st.sampled_from([b"BEGIN", b"COMMIT\0", b"\0sell_"])


def machine(  # noqa: C901  (rules are methods of a class that closes over the shops)
    make_shop: MakeShop, wire: Wire, rows: Rows, database_url: str
) -> type[RuleBasedStateMachine]:
    """The rules over one shop whose wire can be cut, and one whose wire cannot."""
    fragile = make_shop(database_url=wire.url, settle_timeout_ms=200)
    sound = make_shop(instance_id="i-b")
    shops = {"fragile": fragile, "sound": sound}

    class Shopping(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.placed: dict[str, tuple[Any, ...]] = {}
            self.keyless = 0
            self.attempts = 0

        @initialize()
        def begin(self) -> None:
            rows("DELETE FROM orders")
            rows(f"UPDATE products SET stock = {STOCK}")

        @rule(
            key=KEYS,
            product=st.sampled_from(PRODUCTS),
            quantity=st.integers(1, 5),
            server=st.sampled_from(sorted(shops)),
        )
        def order(self, key: str, product: int, quantity: int, server: str) -> None:
            answer = self.post(server, key, product, quantity)
            self.check(answer, key, product, quantity)

        @rule(
            key=KEYS,
            product=st.sampled_from(PRODUCTS),
            quantity=st.integers(1, 5),
            cut=CUTS,
            is_delivered=st.booleans(),
            is_final=st.booleans(),
        )
        def crash(
            self,
            key: str,
            product: int,
            quantity: int,
            cut: bytes,
            is_delivered: bool,
            is_final: bool,
        ) -> None:
            wire.cut_at, wire.is_delivered, wire.is_final = cut, is_delivered, is_final
            wire.cuts = 0
            answer = self.post("fragile", key, product, quantity)
            wire.cut_at, wire.is_final = None, False
            self.check(answer, key, product, quantity)

        @rule(product=st.sampled_from(PRODUCTS))
        def order_without_a_key(self, product: int) -> None:
            answer = sound.test_client().post(
                "/orders", json={"product_id": product, "quantity": 1}
            )
            self.keyless += answer.status_code == 201
            assert answer.status_code in {201, 409}

        @rule(server=st.sampled_from(sorted(shops)))
        def lose_idle_connections(self, server: str) -> None:
            with shops[server].app_context():
                current.pool().close_idle()

        def post(self, server: str, key: str, product: int, quantity: int) -> Any:
            headers = {"Idempotency-Key": key}
            self.attempts += 1
            if self.attempts % 3:  # placed in one message, where the others are in two
                headers["X-Request-Id"] = f"attempt-{self.attempts}"
            return (
                shops[server]
                .test_client()
                .post(
                    "/orders",
                    json={"product_id": product, "quantity": quantity},
                    headers=headers,
                )
            )

        def check(self, answer: Any, key: str, product: int, quantity: int) -> None:
            body = answer.get_json()
            if body.get("outcome") == "unknown":
                wait_until_cut_sessions_ended(database_url)
            told = sound.test_client().get(f"/orders?order_key={key}")
            for _ in range(100):  # its session may not have noticed the cut yet
                if told.status_code != 409:
                    break
                told = sound.test_client().get(f"/orders?order_key={key}")
            known = self.placed.get(key)
            if answer.status_code == 201:
                assert told.get_json() == body
                assert known in {None, (body["order_id"], product, quantity)}
                is_replay = "Idempotency-Replayed" in answer.headers
                assert is_replay == (known is not None)
                self.placed[key] = (body["order_id"], product, quantity)
            elif answer.status_code == 503 and body.get("outcome") == "unknown":
                if known is None and told.status_code == 200:
                    self.placed[key] = (told.get_json()["order_id"], product, quantity)
            else:  # 409, 422 and a 503 without an outcome: nothing was done
                assert answer.status_code in {409, 422, 503}
                assert (told.status_code == 200) == (known is not None)

        @invariant()
        def books_agree(self) -> None:
            found = rows(
                "SELECT order_key, id, product_id, quantity, total"
                " = quantity * (SELECT price FROM products p WHERE p.id = product_id)"
                " FROM orders"
            )
            stock: dict[int, int] = dict(rows("SELECT id, stock FROM products"))
            assert {row[0]: row[1:4] for row in found if row[0]} == self.placed
            assert sum(row[0] is None for row in found) == self.keyless
            assert all(row[4] for row in found)
            for product in PRODUCTS:
                sold = sum(row[3] for row in found if row[2] == product)
                assert stock[product] == STOCK - sold >= 0

    return Shopping


def test_stock_orders_and_keys_agree_whatever_happens(
    make_shop: MakeShop, wire: Wire, rows: Rows, database_url: str
) -> None:
    run_state_machine_as_test(
        machine(make_shop, wire, rows, database_url),
        settings=settings(
            examples(60),
            stateful_step_count=25,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
