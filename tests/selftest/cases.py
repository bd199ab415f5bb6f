"""Which shops the judge is tried on under what load, and what it has to say of each."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SHOPS = Path(__file__).resolve().parents[1] / "broken_shops"
REAL = "shop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A shop under a load.

    `shop` is a file of tests/broken_shops without its suffix, or the real one; `load` is what
    tells this row from others of the same shop. `expected` are the invariants that must be found
    broken, none for a correct shop; `may_also` break as a consequence of the same mistake, and
    any other is a false accusation. `variables` are for the lab and its servers, `arguments`
    for Locust.
    """

    shop: str
    load: str = ""
    expected: tuple[str, ...] = ()
    may_also: tuple[str, ...] = ()
    may_be_undecided: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    arguments: str = ""

    @property
    def name(self) -> str:
        """What the table and the command line call it."""
        return f"{self.shop}, {self.load}" if self.load else self.shop

    @property
    def application(self) -> str:
        """What gunicorn is to serve."""
        return "shop.wsgi:app" if self.shop == REAL else f"tests.broken_shops.{self.shop}:app"

    @property
    def mistake(self) -> str:
        """The first line of its file, without the word."""
        if self.shop == REAL:
            return "none: the shop itself"
        text = ast.get_docstring(ast.parse((SHOPS / f"{self.shop}.py").read_text("utf-8"))) or ""
        return text.split("\n")[0].removeprefix("Mistake: ").rstrip(".").replace("No m", "no m")


# One process per server: more that happens in its memory happens twice.
ONE_WORKER = {"LAB_SHOP_WORKERS": "1", "SHOP_WORKERS": "1"}
# The server that is stopped has no time to finish what it is doing.
SUDDEN = {"LAB_STOPPING_S": "0.1"}
STEADY = "--arrival-rate 20"
SCARCE = {"LAB_STOCK_FACTOR": "1", "SHOP_STOCK_FACTOR": "1"}
KEYED = "--retry keyed"
LARGE_ORDERS = f"{STEADY} --order-quantity-max 12"

CASES = (
    Case(shop=REAL, load="first time"),
    Case(shop="acknowledges_first", expected=("durability",)),
    Case(shop="swallows_conflict", expected=("durability",)),
    Case(shop="forgets_commit", expected=("durability",)),
    Case(shop="writes_later", expected=("durability",)),
    Case(shop="puts_aside", expected=("durability",)),
    Case(shop="promises_nothing"),
    Case(shop="retries_inside", expected=("exactly-once",)),
    Case(shop="stores_key_later", expected=("exactly-once",), arguments=f"{KEYED} {STEADY}"),
    Case(shop="keys_in_memory", expected=("exactly-once",), arguments=f"{KEYED} {STEADY}"),
    Case(shop="plain"),
    Case(shop="counts_in_float", expected=("arithmetic",), may_also=("fidelity",)),
    Case(shop="old_prices", expected=("arithmetic",), may_also=("fidelity",)),
    Case(shop="shares_a_variable", expected=("fidelity",), variables=ONE_WORKER),
    Case(shop="takes_orders_for_repeats", expected=("durability",), variables=ONE_WORKER),
    Case(shop="names_the_newest", expected=("fidelity",)),
    Case(shop="clamps_quantity", expected=("fidelity",)),
    Case(shop=REAL, load="second time"),
    Case(shop="refuses_after_insert", expected=("definite-no",)),
    Case(shop="gives_up_too_early", expected=("definite-no",)),
    Case(shop="two_transactions", expected=("conservation",)),
    Case(
        shop="dies_between",
        expected=("conservation",),
        variables=SUDDEN,
        arguments=STEADY,
    ),
    Case(shop="reads_then_writes", expected=("conservation",), variables=ONE_WORKER),
    Case(
        shop="sells_from_a_cache",
        expected=("no-oversell",),
        variables=SCARCE,
        arguments=LARGE_ORDERS,
    ),
    Case(shop="upsells", expected=("nothing-unexpected",)),
    Case(shop="unpleasant"),
    Case(shop="unpleasant", load="retries with the key", arguments=KEYED),
    Case(shop=REAL, load="retries with the key", arguments=KEYED),
    Case(shop=REAL, load="retries with new keys", arguments="--retry blind"),
    Case(shop=REAL, load="killed in mid-order", variables=SUDDEN, arguments=STEADY),
    Case(shop=REAL, load="scarce", variables=SCARCE, arguments=LARGE_ORDERS),
    Case(
        shop=REAL,
        load="tables without keys",
        may_be_undecided=True,
        variables={"SHOP_SCHEMA": "article"},
    ),
    Case(shop=REAL, load="third time"),
)
