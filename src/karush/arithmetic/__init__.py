"""Number systems for the shared walker: each is arithmetic of its own and a table of rules, one per primitive."""
