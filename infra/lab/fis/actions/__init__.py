"""The faults: a file each, which is found by itself (docs/adding-a-fault.md)."""
