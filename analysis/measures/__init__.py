"""What is measured beside the verdict: windows, latency, retries, faults, hypotheses. Pure.

Imports `analysis.evidence` and `analysis.judging`.
"""
