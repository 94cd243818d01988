"""Every figure that is reported, computed from facts as the definitions say; one module a table."""
