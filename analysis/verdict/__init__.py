"""From a run directory to a judgement, its summary and what CI reads of it.

Imports the stages below: evidence, closing, database, judging, bulk, measures.
"""
