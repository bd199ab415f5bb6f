"""Several processes in one run: whose ledger is where, and how the master comes to have it.

`worker` is what a worker does, `roster` what its master knows of it.
"""
