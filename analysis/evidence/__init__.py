"""What a run left behind: its records, its tables and the files that hold them.

Load generators import this package, and of `analysis` nothing else. It imports none of ours.
"""
