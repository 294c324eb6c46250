"""`python -m onegen_el` is `onegen-el`."""

from onegen_el.cli.main import main

if __name__ == "__main__":
    main()
