"""What runs beneath the customers, inside Locust.

Imports of ours what `analysis.evidence` offers, and nothing else.
"""
