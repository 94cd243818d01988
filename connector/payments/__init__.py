"""Ways to let a client pay an invoice, one module each; the table is in `registry.py`."""
