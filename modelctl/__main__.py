"""What runs for `python -m modelctl`? The command line."""

from modelctl.cli import main

if __name__ == "__main__":
    main()
