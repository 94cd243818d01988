"""`python -m connector` is the same as the console script `connector`."""

from connector.cli import main

if __name__ == "__main__":
    main()
