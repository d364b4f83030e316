"""`python notebooks/site`: run the lessons and write their pages."""

from schedule import main

main()
