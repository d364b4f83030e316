"""`python notebooks/site`: run the lessons and write their pages."""

from run import main

main()
