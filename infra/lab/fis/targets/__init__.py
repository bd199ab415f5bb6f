"""What experiments may hit: types of resources, and which of them a target means.

Imports moto's records.
"""
