"""`python -m jaxode`, the same as the command `jaxode`."""

from jaxode.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
