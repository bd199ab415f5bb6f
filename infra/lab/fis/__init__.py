"""FIS, made live: moto keeps templates and tokens, this resolves targets and acts."""
