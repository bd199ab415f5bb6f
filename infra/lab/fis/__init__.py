"""FIS, made live: moto keeps the records; this checks requests, resolves targets and acts."""
