"""What a process records while it runs: the ledger, the journal, and counts by the second."""
