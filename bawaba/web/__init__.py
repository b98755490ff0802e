"""What every page and endpoint shares: who may come in, how input is read, how errors and languages are answered."""
