"""The one process of the house that may act as other users, and how workers reach it."""
