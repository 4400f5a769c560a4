"""`python -m ehlo_io` is the program `ehlo`."""

from ehlo_io.cli import main

if __name__ == "__main__":
    main(prog_name="ehlo")
