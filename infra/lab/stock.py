"""Little stock, for experiments in which it runs out."""

from __future__ import annotations

import psycopg


def set_stock(database_url: str, pieces: int) -> None:
    """Have so many pieces of each product. Before the load: a run's orders have to add up."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE products SET stock = %s", (pieces,))
