"""Several processes in one run: whose ledger is where, and how the master comes to have it."""
