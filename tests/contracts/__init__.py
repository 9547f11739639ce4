"""What holds for every kind in a table: one suite for each contract, run over all that the table has."""
