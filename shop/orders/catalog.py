"""What the shop sells: the products, their prices and what is left of them."""

from dataclasses import dataclass
from decimal import Decimal

from shop.database.transactions import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A row of `products`; `price` is of one piece, `stock` in pieces."""

    id: int
    name: str
    price: Decimal
    stock: int


def _product(product_id: int, name: str, price: str, stock: int) -> Product:
    return Product(id=product_id, name=name, price=Decimal(price), stock=stock)


CATALOG = (
    _product(1, "Wireless Keyboard", "49.99", 100),
    _product(2, "USB-C Hub", "34.99", 150),
    _product(3, "Mechanical Keyboard", "129.99", 50),
    _product(4, "27-inch Monitor", "349.99", 30),
    _product(5, "Webcam HD", "79.99", 80),
    _product(6, "Laptop Stand", "44.99", 120),
    _product(7, "Noise-Canceling Headphones", "199.99", 40),
    _product(8, "Portable SSD 1TB", "89.99", 90),
    _product(9, "Ergonomic Mouse", "59.99", 110),
    _product(10, "USB Microphone", "69.99", 70),
)


def load_products(database: Database) -> list[Product]:
    """Return all products by id."""
    return database.read(Product, "SELECT id, name, price, stock FROM products ORDER BY id")


def find_product(database: Database, product_id: int) -> Product | None:
    """Return the product with this id, which must fit a bigint, or None."""
    rows = database.read(
        Product,
        "SELECT id, name, price, stock FROM products WHERE id = %(id)s::bigint",
        {"id": product_id},
    )
    return rows[0] if rows else None
