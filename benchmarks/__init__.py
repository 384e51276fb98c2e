"""How fast we are beside the peers that are installed: `make bench`. Never part of the tests: time passes no verdict here.

Every figure is a ratio of two things measured in turns in one run, since machines differ by a factor of two.
"""
