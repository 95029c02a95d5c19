"""`python -m magicqueue` is the command `magicqueue`."""

from magicqueue.cli import main

if __name__ == "__main__":
    main()
