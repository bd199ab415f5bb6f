"""Processes of this machine: groups of them, the guard that ends them with us, ports, waiting.

Knows nothing of shops or AWS. Imports of the lab its errors alone.
"""
