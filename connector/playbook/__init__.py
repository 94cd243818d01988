"""What the head of sales wrote: read, checked, and asked about every move. No CRM, no store, no clock."""
