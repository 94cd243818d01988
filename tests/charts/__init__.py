"""Charts are drawn, readable, and never reach outside."""
