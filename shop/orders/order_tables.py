"""The orders table in SQL, for each of the two schemas that it may have.

`keyed` is the shop's own (migrations/), `article` the article's (article.sql), whose rows cannot
say which request made them.
"""

from dataclasses import dataclass

from shop.database.session import AtOnce
from shop.database.transactions import Statement
from shop.settings import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTable:
    """What can be asked of the table.

    `sell_at_once` is for orders with a key and an attempt's id, where the table has both.
    `find` lacks its WHERE, which names `orders.id` or, where `keeps_keys`, `order_key`.
    """

    sell: Statement
    sell_at_once: AtOnce | None
    find: str
    keeps_keys: bool


TYPES = ("int", "int", "text", "text", "text")

# The conditional UPDATE waits for the row's lock and looks at the stock again once it has
# it. Before that, `turn` waits for whoever is placing an order of the same key, in every
# plan, as no row of the join exists without it; without a key it is NULL and waits for
# nobody. A key that was committed meanwhile yields no row: then the decrement has to be
# rolled back, which the caller does on seeing nothing returned.
SELL_KEYED = """
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended($3, 0))
), sold AS (
    UPDATE products SET stock = stock - $2 FROM turn
    WHERE id = $1 AND stock >= $2
    RETURNING id, name, price
), placed AS (
    INSERT INTO orders (product_id, quantity, total, status, order_key, attempt_id, served_by)
    SELECT id, $2, price * $2, 'confirmed', $3, $4, $5 FROM sold
    ON CONFLICT (order_key) DO NOTHING
    RETURNING id, product_id, quantity, total, status, created_at, served_by
)
SELECT placed.*, sold.name AS product_name, pg_current_xact_id()::text AS xid
FROM placed JOIN sold ON sold.id = placed.product_id
"""

# As the other, but nobody can roll it back, and so it does all or nothing: the row goes
# first, and where its key is taken no stock is. Stock that was gone once the product's lock
# came is below 0 for `products_stock_check`, and the row goes with it.
SELL_AT_ONCE = """
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended($3, 0))
), placed AS (
    INSERT INTO orders (product_id, quantity, total, status, order_key, attempt_id, served_by)
    SELECT id, $2, price * $2, 'confirmed', $3, $4, $5 FROM products, turn
    WHERE id = $1 AND stock >= $2 AND clock_timestamp() < to_timestamp($6)
    ON CONFLICT (order_key) DO NOTHING
    RETURNING id, product_id, quantity, total, created_at
), sold AS (
    UPDATE products SET stock = stock - $2 WHERE id = $1 AND EXISTS (SELECT FROM placed)
    RETURNING name
)
SELECT id, name, total, (extract(epoch FROM created_at) * 1000000)::bigint FROM placed, sold
"""
# Locking the row is a commit of its own, which waits for a standby that must have the row's.
# A session that was ended between its commit and that wait did not.
TRACE_AT_ONCE = """
SELECT orders.id::text, name, total::text, (extract(epoch FROM created_at) * 1000000)::bigint::text
FROM orders JOIN products ON products.id = product_id
WHERE (product_id, quantity, order_key, attempt_id, served_by) = (%s, %s, %s, %s, %s)
FOR KEY SHARE OF orders
"""

SELL_ARTICLE = """
WITH sold AS (
    UPDATE products SET stock = stock - $2
    WHERE id = $1 AND stock >= $2
    RETURNING id, name, price
), placed AS (
    INSERT INTO orders (product_id, quantity, total, status)
    SELECT id, $2, price * $2, 'confirmed' FROM sold
    RETURNING id, product_id, quantity, total, status,
              created_at AT TIME ZONE 'UTC' AS created_at, $5 AS served_by
)
SELECT placed.*, sold.name AS product_name, pg_current_xact_id()::text AS xid
FROM placed JOIN sold ON sold.id = placed.product_id
"""

# Ids are not used twice by one server, but may be by the one that took its place.
TRACE_KEYED = b"""
SELECT EXISTS (SELECT FROM orders WHERE id = %(id)s AND created_at = %(created_at)s
    AND product_id = %(product_id)s AND quantity = %(quantity)s AND served_by = %(served_by)s)
"""
TRACE_ARTICLE = b"""
SELECT EXISTS (SELECT FROM orders WHERE id = %(id)s
    AND created_at AT TIME ZONE 'UTC' = %(created_at)s
    AND product_id = %(product_id)s AND quantity = %(quantity)s)
"""

FIND = """
SELECT orders.id, product_id, products.name AS product_name, quantity,
       total, status, {created_at} AS created_at, {served_by} AS served_by
FROM orders JOIN products ON products.id = orders.product_id
"""

ORDER_TABLES: dict[Schema, OrderTable] = {
    "keyed": OrderTable(
        sell=Statement(name="sell", types=TYPES, query=SELL_KEYED, trace=TRACE_KEYED),
        sell_at_once=AtOnce(
            name="sell",
            types=(*TYPES, "float8"),
            query=SELL_AT_ONCE,
            trace=TRACE_AT_ONCE,
        ),
        find=FIND.format(created_at="created_at", served_by="served_by"),
        keeps_keys=True,
    ),
    "article": OrderTable(
        sell=Statement(name="sell", types=TYPES, query=SELL_ARTICLE, trace=TRACE_ARTICLE),
        sell_at_once=None,
        find=FIND.format(created_at="created_at AT TIME ZONE 'UTC'", served_by="''"),
        keeps_keys=False,
    ),
}
