"""`python -m dirigent` is the command `dirigent`."""

from dirigent.cli import main

main(prog_name="dirigent")
