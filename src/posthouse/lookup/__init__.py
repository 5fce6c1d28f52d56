"""Tables: what main.cf calls "maps" (DATABASE_README). open_table("hash:/etc/aliases", settings).lookup("root").

table.py opens one, tables/ has a file per type, maps.py strings them together; address_keys.py and client_keys.py
know which keys are asked for and in which order; match_list.py answers whether a name or an address is in a list.
"""
