"""Our command line arguments, and whether they can become a run."""
