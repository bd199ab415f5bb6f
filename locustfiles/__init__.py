"""What customers do to a shop: short, and to be copied. `harness` is what runs beneath.

Locust loads `shoppers.py` and `prober.py` from this folder, and every other file that does not
begin with an underscore.
"""
