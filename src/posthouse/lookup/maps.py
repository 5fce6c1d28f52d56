"""Ordered lists of tables, as parameters such as virtual_alias_maps name them (DATABASE_README)."""
