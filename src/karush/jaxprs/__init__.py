"""What the structure of a traced program says: one walker, and the analyses that are rule tables for it."""
