"""`python -m app.cli` is `junis`."""

from app.cli import main

if __name__ == "__main__":
    main()
