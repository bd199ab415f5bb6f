"""FIS, made live: moto keeps the records; this checks requests, resolves targets and acts.

Of the lab it imports what its actions act on (`servers_and_database`) and moto's records.
"""
