"""Greylisting: who writes for the first time is asked to come again (postgrey(8)). One engine, in two dresses:

the daemon `postgrey` (drop_in.py), and the restriction and service of the house (in_house.py).
triplet.py makes keys, rules.py decides, whitelist.py excepts, and store.py says what is kept and where.
"""
