"""The tests mirror `src/dirigent` file by file; `contracts/` runs one suite over every kind of a contract."""
