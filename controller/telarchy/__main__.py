"""`python -m telarchy`."""

from telarchy.cli.main import main

main()
