"""What is sold: products, orders, their tables, and the SQL that places one exactly once.

Imports `shop.database`.
"""
