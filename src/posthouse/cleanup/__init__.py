"""Makes mail fit for the queue (cleanup(8)): steps.py has the order, and each step has a file of its own."""
